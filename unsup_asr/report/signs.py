"""What the stage `diagnosis` leaves for reports: signs of every system, and findings."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from unsup_asr.formats.checked import read_json, read_json_value
from unsup_asr.scoring.signs import Signs

SIGNS_FILE, DIAGNOSIS_FILE = "signs.json", "diagnosis.json"


@dataclass(frozen=True)
class Finding:
    """One thing that is wrong: `kind` is stable, for machines; `message` is for people."""

    kind: str
    message: str


def write_findings(path: Path, findings: Sequence[Finding]) -> None:
    """As JSON, a list of objects; causes first."""
    data = [asdict(finding) for finding in findings]
    path.write_text(json.dumps(data, ensure_ascii=False, indent=1), "utf-8")


def read_findings(path: Path) -> tuple[Finding, ...]:
    """What `write_findings` wrote; ValueError when it is damaged."""
    data = read_json_value(path)
    try:
        return tuple(Finding(str(one["kind"]), str(one["message"])) for one in data)
    except (KeyError, TypeError) as error:
        raise ValueError(
            f"{path}: not the findings of a run ({error}); run `diagnosis` again"
        ) from error


def write_signs(path: Path, signs: Mapping[str, Signs]) -> None:
    """As JSON, one object a system."""
    data = {name: of_one.to_json() for name, of_one in signs.items()}
    path.write_text(json.dumps(data, ensure_ascii=False, indent=1), "utf-8")


def read_signs(path: Path) -> dict[str, Signs]:
    """What `write_signs` wrote; ValueError when it is damaged."""
    data = read_json(path)
    try:
        return {name: Signs.from_json(of_one) for name, of_one in data.items()}
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise ValueError(
            f"{path}: not the signs of a run ({error}); run `diagnosis` again"
        ) from error
