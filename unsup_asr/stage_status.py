"""What is done and what is not, and why: the words of `unsup-asr status`."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from omegaconf import DictConfig

from unsup_asr.artifacts import read_record
from unsup_asr.stages import Stage, stage_keys


@dataclass(frozen=True)
class StageStatus:
    """done, stale, partial or missing; `reason` says why in words."""

    stage: str
    state: str
    reason: str
    key: str


def status(stages: Sequence[Stage], config: DictConfig, root: Path) -> list[StageStatus]:
    """What is done, stale (and why), partial or missing."""
    rows: list[StageStatus] = []
    for name, material in stage_keys(stages, config).items():
        key = str(material["key"])
        final = root / name / key
        if read_record(final) is not None:
            rows.append(StageStatus(name, "done", "", key))
        elif final.with_name(f"{key}.partial").exists():
            rows.append(StageStatus(name, "partial", "was begun and not finished", key))
        else:
            latest = read_record(root / "latest" / name)
            if latest is None:
                rows.append(StageStatus(name, "missing", "has not run", key))
            else:
                rows.append(StageStatus(name, "stale", "; ".join(_changes(latest, material)), key))
    return rows


def _changes(latest: dict[str, object], now: dict[str, object]) -> Iterator[str]:
    """What differs between the last run and now, in words."""
    before, after = _leaves(latest.get("config")), _leaves(now["config"])
    for key in sorted(before.keys() | after.keys()):
        if before.get(key) != after.get(key):
            yield f"{key} {before.get(key)!r} -> {after.get(key)!r}"
    for part, words in (
        ("version", "its code"),
        ("seed", "seed"),
        ("external", "the user's files"),
    ):
        if latest.get(part) != now[part]:
            values = f" {latest.get(part)} -> {now[part]}" if part != "external" else ""
            yield f"{words} changed{values}"
    inputs_before, inputs_now = latest.get("inputs"), now["inputs"]
    assert isinstance(inputs_now, dict)
    for name, key in inputs_now.items():
        if not isinstance(inputs_before, dict) or inputs_before.get(name) != key:
            yield f"input {name} changed"


def _leaves(node: object, prefix: str = "") -> dict[str, object]:
    if isinstance(node, dict):
        return {
            path: value
            for key, child in node.items()
            for path, value in _leaves(child, f"{prefix}.{key}" if prefix else str(key)).items()
        }
    return {prefix: node}
