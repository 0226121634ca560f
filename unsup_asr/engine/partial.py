"""The folder of a stage that is being made, `<key>.partial`, and what it was begun from."""

from __future__ import annotations

import json
import shutil
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path

from unsup_asr.formats.finished import BEGUN


@dataclass(frozen=True)
class Beginning:
    """What decides whether a stage may go on where an earlier try ended."""

    input_identities: Mapping[str, str]
    arithmetic: Mapping[str, str]  # how the process rounds
    forced: bool  # asked to be made again though it was done


def partial_folder(final: Path) -> Path:
    """Where the stage of a finished folder is made."""
    return final.with_name(f"{final.name}.partial")


def begin(final: Path, now: Beginning, *, resumable: bool) -> Mapping[str, str]:
    """Make the partial folder, or keep that of an earlier try; how that one rounded.

    A resumable stage goes on if its inputs are what they were. One that is forced goes on only in
    a folder that was forced too: the rest is what it is to make again.
    """
    partial = partial_folder(final)
    before = _begun(partial) if resumable else None
    if (
        before is not None
        and before.input_identities == now.input_identities
        and (before.forced or not now.forced)
    ):
        return before.arithmetic
    if partial.exists():
        shutil.rmtree(partial)
    partial.mkdir()
    (partial / BEGUN).write_text(json.dumps(asdict(now), indent=1), "utf-8")
    return now.arithmetic


def _begun(partial: Path) -> Beginning | None:
    """None where nothing says what the folder was begun from: it is as good as none."""
    try:
        return Beginning(**json.loads((partial / BEGUN).read_text("utf-8")))
    except (OSError, ValueError, TypeError):
        return None
