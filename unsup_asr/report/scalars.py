"""Curves of stages that learn, as scalars for TensorBoard (extra `tensorboard`): as they are noted
while a stage runs, or from the files of one that noted nothing.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from unsup_asr.formats.checked import read_json_value

_FLUSHED_EVERY_S = 5


def write_tensorboard(stage: Path, out: Path) -> int:
    """Write the curves of a stage's folder into `out`/<stage>/<key>; how many it has.

    ValueError where the package is missing.
    """
    curves = curves_of(stage)
    if not curves:
        return 0
    with _writer(out / stage.parent.name / stage.name) as writer:
        for name, (steps, values) in curves.items():
            for step, value in zip(steps, values, strict=True):
                writer.add_scalar(name, value, step)
    return len(curves)


class LiveScalars:
    """Scalars of a stage as they come, each on disk within seconds."""

    def __init__(self, stage: Path, out: Path) -> None:
        self._folder = out / stage.parent.name / stage.name
        self._writer: Any = None

    @property
    def has_any(self) -> bool:
        """Whether something was written."""
        return self._writer is not None

    def write(self, name: str, step: int, value: float) -> None:
        """One value; ValueError where the package is missing."""
        if self._writer is None:
            self._writer = _writer(self._folder)
        self._writer.add_scalar(name, value, step)

    def close(self) -> None:
        """Write what is left."""
        if self._writer is not None:
            self._writer.close()


def _writer(folder: Path) -> Any:
    try:
        from torch.utils.tensorboard import SummaryWriter
    except ModuleNotFoundError as error:
        raise ValueError(
            "runtime.tensorboard=true needs the package tensorboard, which is not installed: "
            "pip install 'unsup-asr[tensorboard]'"
        ) from error
    return SummaryWriter(str(folder), flush_secs=_FLUSHED_EVERY_S)


def curves_of(stage: Path) -> dict[str, tuple[Sequence[int], Sequence[float]]]:
    """Steps and values by name: the game's of each member, matching's of each restart, losses of
    realignment, HMM and CTC, the dev PER of the SUPERB recipe; none of stages that do not learn.
    """
    found: dict[str, tuple[Sequence[int], Sequence[float]]] = {}
    if (path := stage / "gan.json").is_file():
        game = read_json_value(path)
        every = int(game["validate_every"])
        for number, member in enumerate(game["members"]):
            for name, values in _columns(member["history"]).items():
                steps = [every * (i + 1) for i in range(len(values))]
                found[f"{name}/member {number}"] = (steps, values)
    if (path := stage / "matching.json").is_file():
        for number, curve in enumerate(read_json_value(path)["curves"], start=1):
            found[f"loss/restart {number}"] = ([20 * i for i in range(len(curve))], curve)
    if (path := stage / "curve.json").is_file():
        curve = read_json_value(path)
        found["loss"] = (range(1, len(curve) + 1), curve)
    if (path := stage / "superb.json").is_file():
        superb = read_json_value(path)
        every = int(superb["evaluate_every"])
        dev = superb["dev_per"]
        found["PER on dev"] = ([every * (i + 1) for i in range(len(dev))], dev)
    return found


def _columns(rows: Sequence[Mapping[str, float]]) -> dict[str, list[float]]:
    """Numbers that every row has, by name."""
    names = [name for name in (rows[0] if rows else {}) if all(name in row for row in rows)]
    return {name: [float(row[name]) for row in rows] for name in names}
