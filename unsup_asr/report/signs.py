"""What the stage `diagnosis` leaves for reports: signs of every system, and messages."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path

from unsup_asr.formats.checked import read_json
from unsup_asr.scoring.signs import Signs

SIGNS_FILE, DIAGNOSIS_FILE = "signs.json", "diagnosis.json"


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
