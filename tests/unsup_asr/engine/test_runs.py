"""`latest` is one run, whatever others do at the same time."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
from omegaconf import DictConfig, OmegaConf

from unsup_asr.engine.runs import read_run
from unsup_asr.engine.stages import Stage, StageContext, StageFailedError, run_stages
from unsup_asr.engine.status import status
from unsup_asr.formats.finished import read_record
from unsup_asr.types import RunRecord

RECORD = RunRecord("unsup-asr run mine", "abc", "2026-01-02")


def config(seed: int) -> DictConfig:
    return OmegaConf.create({"seed": seed, "runtime": {"num_threads": 1}})


def write(context: StageContext) -> None:
    (context.out / "seed.txt").write_text(str(context.seed))


def graph() -> list[Stage]:
    return [Stage("train", write), Stage("model", write, ("train",))]


def seeds(root: Path) -> dict[str, str]:
    """The seed of each stage of the latest run."""
    return {
        path.parent.name: path.read_text() for path in sorted((root / "latest").glob("*/seed.txt"))
    }


def test_the_latest_run_is_one_though_another_ran_meanwhile(tmp_path: Path) -> None:
    def meanwhile(context: StageContext) -> None:
        run_stages(graph(), config(2), tmp_path)
        write(context)

    run_stages([graph()[0], Stage("model", meanwhile, ("train",))], config(1), tmp_path)
    assert seeds(tmp_path) == {"train": "1", "model": "1"}
    assert len(list((tmp_path / "runs").glob("*/run.json"))) == 2


def test_latest_is_switched_at_the_end_of_a_run_and_not_before(tmp_path: Path) -> None:
    def look(context: StageContext) -> None:
        write(context)
        assert seeds(tmp_path) == {"train": "1", "model": "1"}

    run_stages(graph(), config(1), tmp_path)
    run_stages([graph()[0], Stage("model", look, ("train",))], config(2), tmp_path)
    assert seeds(tmp_path) == {"train": "2", "model": "2"}

    def fail(_: StageContext) -> None:
        raise ValueError("no")

    with pytest.raises(StageFailedError):
        run_stages([graph()[0], Stage("model", fail, ("train",))], config(3), tmp_path)
    assert seeds(tmp_path) == {"train": "2", "model": "2"}


def test_latest_follows_the_last_run_even_when_it_had_nothing_to_do(tmp_path: Path) -> None:
    for seed in (0, 1, 0):
        run_stages(graph(), config(seed), tmp_path)
    assert seeds(tmp_path) == {"train": "0", "model": "0"}
    links = [tmp_path / "latest", tmp_path / "latest" / "model"]
    assert not any(link.readlink().is_absolute() for link in links)


def test_a_run_of_some_stages_shows_what_else_is_done_with_the_same_options(
    tmp_path: Path,
) -> None:
    run_stages(graph(), config(0), tmp_path)
    run_stages(graph(), config(0), tmp_path, until="train")
    assert seeds(tmp_path) == {"train": "0", "model": "0"}
    run_stages(graph(), config(1), tmp_path, until="train")
    assert seeds(tmp_path) == {"train": "1"}
    run_stages(graph(), config(0), tmp_path, until="train", force=["train"])
    assert seeds(tmp_path) == {"train": "0"}  # the model was made from another one


def test_latest_forgets_stages_that_the_graph_no_longer_has(tmp_path: Path) -> None:
    run_stages(graph(), config(0), tmp_path)
    run_stages(graph()[:1], config(0), tmp_path)
    assert seeds(tmp_path) == {"train": "0"}


def test_the_manifest_of_a_run_names_its_stages_and_who_made_it(tmp_path: Path) -> None:
    folders = run_stages(graph(), config(0), tmp_path, record=RECORD)
    latest = tmp_path / "latest"
    assert read_run(latest) == RECORD
    stages = json.loads((latest / "run.json").read_text())["stages"]
    assert {name: facts["key"] for name, facts in stages.items()} == {
        name: folder.name for name, folder in folders.items()
    }
    record = read_record(folders["model"])
    assert record is not None
    assert stages["model"]["identity"] == record["identity"]


def test_earlier_runs_can_still_be_read(tmp_path: Path) -> None:
    run_stages(graph(), config(1), tmp_path)
    first = (tmp_path / "latest").resolve()
    run_stages(graph(), config(2), tmp_path)
    assert (first / "model" / "seed.txt").read_text() == "1"


def test_links_of_an_earlier_version_give_way_and_other_files_do_not(tmp_path: Path) -> None:
    run_stages(graph(), config(0), tmp_path)
    latest = tmp_path / "latest"

    def as_before() -> None:
        latest.unlink()
        shutil.rmtree(tmp_path / "runs")
        latest.mkdir()
        (latest / "model").symlink_to(Path("..", "model", "0123456789ab"))

    as_before()
    assert {row.state for row in status(graph(), config(0), tmp_path)} == {"done"}
    run_stages(graph(), config(0), tmp_path)
    assert seeds(tmp_path) == {"train": "0", "model": "0"}
    as_before()
    (latest / "notes.txt").write_text("mine")
    with pytest.raises(ValueError, match=r"latest is a folder with files of its own \(notes\.txt"):
        run_stages(graph(), config(0), tmp_path)
    assert (latest / "notes.txt").read_text() == "mine"
