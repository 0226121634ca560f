"""What one run left for reports: its results, the cost of its stages, what pictures need."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path

from unsup_asr.formats.checked import read_json
from unsup_asr.formats.finished import check_written
from unsup_asr.report.assets import Assets
from unsup_asr.report.results import Results
from unsup_asr.report.signs import DIAGNOSIS_FILE, SIGNS_FILE, read_findings, read_signs
from unsup_asr.scoring.signs import Signs


def run_folder(folder: Path) -> Path:
    """The folder of one run: of `exp/<recipe>` that of its latest, else the folder itself.

    Links are followed once: who reads the answer reads one run, though another one may end.
    """
    latest = folder / "latest"
    return latest.resolve() if latest.is_dir() else folder


def load_results(folder: str | Path) -> Results:
    """The results of a run, with wall times and peak memory of its stages.

    `folder` is `exp/<recipe>`, for its latest run, or one of `exp/<recipe>/runs`.
    """
    run = run_folder(Path(folder))
    results = Results.read(_made_by_evaluate(run, "results.json"))
    paths = sorted(run.glob("*/stage.json"), key=lambda path: path.stat().st_mtime_ns)
    if not paths:
        return results
    stages = {path.parent.name: _read_stage(path) for path in paths}
    _check_one_run(run, stages)
    return replace(
        results,
        wall_by_stage={name: stage.wall_s for name, stage in stages.items()},
        ran_on_by_stage={name: stage.ran_on for name, stage in stages.items()},
        peak_rss_mb=max(stage.peak_rss_mb for stage in stages.values()),
    )


def load_assets(folder: Path) -> Assets:
    """What the pictures of a run's report are drawn from; `folder` as for `load_results`."""
    return Assets.read(_made_by_evaluate(run_folder(folder), "assets.json").parent)


def load_unscored(folder: Path) -> tuple[dict[str, Signs], tuple[str, ...]] | None:
    """Signs by system and the diagnosis of a run without references; None of any other."""
    run = run_folder(folder)
    stage = run / "diagnosis"
    if (run / "evaluate").exists() or (run / "references").exists():
        return None
    if not (stage / SIGNS_FILE).is_file():
        return None
    check_written(stage)
    messages = tuple(found.message for found in read_findings(stage / DIAGNOSIS_FILE))
    return read_signs(stage / SIGNS_FILE), messages


@dataclass(frozen=True)
class _Stage:
    """What a report reads of `stage.json`."""

    wall_s: float
    peak_rss_mb: float
    ran_on: str
    identity: str
    made_from: dict[str, str]  # identities of its inputs


def _read_stage(path: Path) -> _Stage:
    try:
        data = read_json(path)
        return _Stage(
            float(data["wall_s"]),
            float(data["peak_rss_mb"]),
            str(data.get("ran_on", "cpu")),
            data.get("identity", ""),
            dict(data.get("input_identities", {})),
        )
    except (ValueError, KeyError, TypeError, OverflowError) as error:
        raise ValueError(
            f"{path}: damaged ({error!r}); expected JSON with numbers wall_s and peak_rss_mb. "
            f"Remove {path.parent} and run again."
        ) from error


def _check_one_run(run: Path, stages: Mapping[str, _Stage]) -> None:
    """ValueError when a stage was made again, and what is made from it not yet."""
    for name, stage in stages.items():
        for source, identity in stage.made_from.items():
            if source in stages and stages[source].identity != identity:
                raise ValueError(
                    f"{run}: {source} was made again after {name} was made from it, so they do not "
                    f"belong together. Run `unsup-asr run {_recipe(run)}` again, with its options"
                )


def _made_by_evaluate(run: Path, name: str) -> Path:
    path = run / "evaluate" / name
    check_written(path.parent)
    if not path.is_file():
        raise ValueError(
            f"{path}: no results yet; expected the output of the `evaluate` stage. "
            f"Run `unsup-asr run {_recipe(run)}` to its end first."
        )
    return path


def _recipe(run: Path) -> str:
    return run.parents[1].name if run.parent.name == "runs" else run.name
