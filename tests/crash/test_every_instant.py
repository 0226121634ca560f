"""Death at every single change on disk: what is there afterwards is whole, and the run goes on.

A small graph, run in forks of this process that kill themselves at the n-th rename, link, removal,
or opening of a file to write, for every n that there is.
"""

from __future__ import annotations

import json
import os
import shutil
import signal
import sys
from collections.abc import Callable
from functools import partial
from pathlib import Path

import pytest
from omegaconf import OmegaConf

from unsup_asr.engine.stages import Stage, StageContext, run_stages
from unsup_asr.engine.status import status
from unsup_asr.formats.finished import check_contents
from unsup_asr.steps.parts import PARTS, kept

_CHANGES = {"os.rename", "os.remove", "os.mkdir", "os.rmdir", "os.symlink", "os.truncate"}
CONFIG = OmegaConf.create({"seed": 0, "words": {"number": 3}})


def _first(context: StageContext) -> None:
    for name in ("a", "b"):
        (context.out / f"{name}.txt").write_text(f"{name} of {context.config.words.number}")


def _write(text: str, out: Path) -> None:
    (out / "step.txt").write_text(text)


def _steps(context: StageContext) -> None:
    text = context.input("first").file("a.txt").read_text()
    for step in range(2):
        part = kept(context.out / PARTS / str(step), partial(_write, f"{text} {step}"))
        (context.out / f"{step}.txt").write_text((part / "step.txt").read_text())
    shutil.rmtree(context.out / PARTS)


STAGES = [
    Stage("first", _first, config_keys=("words",)),
    Stage("steps", _steps, ("first",), resumable=True),
    Stage("last", _first, ("steps",), config_keys=("words",)),
]


def _dies_at(number: int, root: Path) -> Callable[[str, tuple[object, ...]], None]:
    """An audit hook: SIGKILL at the so-manieth change below `root`."""
    left = number

    def hook(event: str, arguments: tuple[object, ...]) -> None:
        nonlocal left
        writes = event == "open" and isinstance(arguments[2], int) and arguments[2] & os.O_CREAT
        if (event in _CHANGES or writes) and str(root) in str(arguments[0]) + str(arguments[1:2]):
            left -= 1
            if left == 0:
                os.kill(os.getpid(), signal.SIGKILL)

    return hook


def _in_a_fork(act: Callable[[], object], *, dies_at: int = 0, root: Path = Path()) -> int:
    """Exit code of what is done in a child; -9 where it was killed."""
    child = os.fork()
    if child == 0:  # never returns, whatever happens
        try:
            sys.addaudithook(_dies_at(dies_at, root))
            act()
            os._exit(0)
        except BaseException:  # noqa: BLE001 - the parent is told by the code
            os._exit(1)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])


def payloads(root: Path) -> dict[str, str]:
    """All that the latest run made."""
    return {
        str(path.relative_to(root / "latest")): path.read_text()
        for stage in (root / "latest").iterdir()
        if stage.is_dir()
        for path in stage.iterdir()
        if path.suffix == ".txt" and path.name != "log.txt"
    }


def _is_between_two(root: Path) -> bool:
    """Whether a result was put aside and its successor not yet put in its place."""
    return any(
        not path.with_name(path.name.removesuffix(".replaced")).exists()
        for path in root.glob("*/*.replaced")
    )


def _check_whole(root: Path) -> None:
    """Whatever says that it is finished is; `latest` is a whole run."""
    for record in root.glob("*/*/stage.json"):
        if not record.parent.name.endswith((".partial", ".replaced")):
            check_contents(record.parent)
    if (root / "latest").exists() and not _is_between_two(root):
        run = json.loads((root / "latest" / "run.json").read_text("utf-8"))
        for stage in run["stages"]:
            check_contents(root / "latest" / stage)
    states = {row.state for row in status(STAGES, CONFIG, root)}
    assert "damaged" not in states


@pytest.mark.parametrize("force", [[], ["steps"]], ids=["first run", "forced again"])
def test_a_run_may_die_at_any_change_on_disk(
    tmp_path: Path, force: list[str], is_long: bool
) -> None:
    def go(root: Path, forced: list[str]) -> Callable[[], object]:
        return lambda: run_stages(STAGES, CONFIG, root, force=forced)

    go(tmp_path / "alone", [])()
    expected = payloads(tmp_path / "alone")
    assert len(expected) == 6
    step = 1 if is_long else 3  # every third change in the suite
    number = 1 - step + (len(force) % step)
    code = -signal.SIGKILL
    while code == -signal.SIGKILL:
        number += step
        root = tmp_path / str(number)
        if force:
            go(root, [])()
        code = _in_a_fork(go(root, force), dies_at=number, root=root)
        _check_whole(root)
        if force and not _is_between_two(root):
            assert payloads(root) == expected  # the old result, or the new one
        go(root, [])()
        assert payloads(root) == expected, number
        assert {row.state for row in status(STAGES, CONFIG, root)} == {"done"}
    assert code == 0
    assert number > 20
