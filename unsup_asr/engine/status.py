"""What is done of a recipe and why the rest is not, in words."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from omegaconf import DictConfig

from unsup_asr.engine.keys import MISSING_FILE, stage_keys
from unsup_asr.engine.partial import partial_folder
from unsup_asr.engine.runs import LATEST
from unsup_asr.engine.stages import Stage
from unsup_asr.formats.finished import DamagedArtifactError, check_sizes, read_record


@dataclass(frozen=True)
class StageStatus:
    """`state` is done, stale, partial, damaged or missing; `reason` says why in words."""

    stage: str
    state: str
    reason: str
    key: str


def status(
    stages: Sequence[Stage], config: DictConfig, root: Path, *, ask_foreign: bool = True
) -> list[StageStatus]:
    """One row a stage, in the order of the graph. Looks at sizes, does not read payloads.

    `ask_foreign` as in `stage_keys`.
    """
    described = stage_keys(stages, config, root, ask_foreign=ask_foreign)
    rows: dict[str, StageStatus] = {}
    identities: dict[str, object] = {}  # of stages that are done
    for stage in stages:
        material = described[stage.name]
        inputs = {name: identities.get(name) for name in stage.inputs}
        state, reason = _state(root, material, inputs)
        if state == "done":
            final = root / stage.name / str(material["key"])
            identities[stage.name] = (read_record(final) or {}).get("identity")
        rows[stage.name] = StageStatus(stage.name, state, reason, str(material["key"]))
    return list(rows.values())


def _state(
    root: Path, material: Mapping[str, object], inputs: Mapping[str, object]
) -> tuple[str, str]:
    """`inputs` has the identities of inputs that are done, None for the others."""
    final = root / str(material["stage"]) / str(material["key"])
    try:
        record = read_record(final)
        if record is not None:
            check_sizes(final)
            made_from = _mapping(record.get("input_identities"))
            again = [name for name, now in inputs.items() if made_from.get(name) != now]
            if not again:
                return "done", ""
            waiting = [name for name in again if inputs[name] is None]
            if waiting:
                return "stale", f"input {waiting[0]} is to be made first"
            return "stale", "; ".join(f"input {name} was made again" for name in again)
        latest = read_record(root / LATEST / str(material["stage"]))
    except DamagedArtifactError as error:
        return "damaged", str(error)
    if partial_folder(final).exists():
        return "partial", "was begun and not finished"
    if latest is None:
        return "missing", "has not run"
    return "stale", "; ".join(_changes(latest, material)) or "its folder was deleted"


def _changes(latest: Mapping[str, object], now: Mapping[str, object]) -> Iterator[str]:
    """What differs between the last run and now, in words."""
    before, after = _leaves(latest.get("config")), _leaves(now["config"])
    for key in sorted(before.keys() | after.keys()):
        if before.get(key) != after.get(key):
            yield f"{key} {_value(before, key)} -> {_value(after, key)}"
    for part, words in (("version", "stage version"), ("seed", "seed")):
        if latest.get(part) != now[part]:
            yield f"{words} {latest.get(part)} -> {now[part]}"
    files_before, files_now = _mapping(latest.get("external")), _mapping(now["external"])
    for path, digest in files_now.items():
        if files_before.get(path) != digest:
            yield f"{path} {'is missing' if digest == MISSING_FILE else 'changed'}"
    upstreams_before = _mapping(latest.get("upstreams"))
    for key, digest in _mapping(now.get("upstreams")).items():
        if upstreams_before.get(key) != digest:
            yield f"what {key} gives changed"
    inputs_before, inputs_now = _mapping(latest.get("inputs")), _mapping(now["inputs"])
    for name, key in inputs_now.items():
        if inputs_before.get(name) != key:
            yield f"input {name} {'changed' if name in inputs_before else 'is new'}"
    for name in inputs_before.keys() - inputs_now.keys():
        yield f"input {name} is gone"


def _leaves(node: object, prefix: str = "") -> dict[str, object]:
    if not isinstance(node, dict) or not node:
        return {prefix: node}
    found: dict[str, object] = {}
    for key, child in node.items():
        found |= _leaves(child, f"{prefix}.{key}" if prefix else str(key))
    return found


def _value(leaves: Mapping[str, object], key: str) -> str:
    return str(leaves[key]) if key in leaves else "(none)"


def _mapping(value: object) -> dict[str, object]:
    return value if isinstance(value, dict) else {}
