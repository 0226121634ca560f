"""What one run left for reports: its stages, their cost, its results."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path

from unsup_asr.formats.checked import read_json
from unsup_asr.formats.finished import check_written
from unsup_asr.report.results import Results


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


def finished_stages(folder: Path) -> dict[str, Path]:
    """Folders of the finished stages of a run by name, as they ended; `folder` as above.

    Of an experiment none of whose runs has ended: the newest of each stage.
    """
    run = run_folder(folder)
    if run != folder or folder.parent.name == "runs":
        named = {path: path.name for path in run.glob("*") if path.is_dir()}
    else:
        finished = [path.parent for path in run.glob("*/*/stage.json")]
        named = {path: path.parent.name for path in finished if path.suffix != ".partial"}
    newest = {named[path]: path for path in sorted(named, key=_ended)}
    return dict(sorted(newest.items(), key=lambda item: _ended(item[1])))


def wall_times(stages: Mapping[str, Path]) -> dict[str, float]:
    """Seconds that each stage took, of those that say it; ValueError for a damaged record."""
    records = {name: folder / "stage.json" for name, folder in stages.items()}
    return {name: _read_stage(path).wall_s for name, path in records.items() if path.is_file()}


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


def _ended(stage: Path) -> tuple[int, str]:
    record = stage / "stage.json"
    return (record if record.is_file() else stage).stat().st_mtime_ns, stage.name


def _recipe(run: Path) -> str:
    return run.parents[1].name if run.parent.name == "runs" else run.name
