"""What a stage has done so far, kept in its folder, part by part, until it is done with all.

A part is a folder that appears whole or not at all, with the digests of its files beside them.
"""

from __future__ import annotations

import hashlib
import json
import logging
import shutil
from collections.abc import Callable, Sequence
from pathlib import Path

from unsup_asr.formats.finished import describe_outputs

log = logging.getLogger(__name__)

PARTS = "parts"  # below the stage's folder while it runs
_CONTENTS = "contents.json"


def kept(folder: Path, make: Callable[[Path], object]) -> Path:
    """The folder, with the files that `make` writes into one: now, or in an earlier try.

    One whose files are not, bit for bit, what was written is made again.
    """
    if folder.exists():
        if _is_whole(folder):
            return folder
        log.warning("%s is damaged and made again", folder)
        shutil.rmtree(folder)
    scratch = folder.with_name(f"{folder.name}.begun")
    if scratch.exists():
        shutil.rmtree(scratch)
    scratch.mkdir(parents=True)
    make(scratch)
    (scratch / _CONTENTS).write_text(json.dumps(describe_outputs(scratch)), "utf-8")
    scratch.rename(folder)
    return folder


def block_name(split: str, number: int, ids: Sequence[str]) -> str:
    """Of the part with a block of utterances: other utterances are another part."""
    digest = hashlib.sha256("\n".join(ids).encode()).hexdigest()
    return f"{split}_{number}_{digest[:12]}"


def _is_whole(folder: Path) -> bool:
    try:
        written = json.loads((folder / _CONTENTS).read_text("utf-8"))
    except (OSError, ValueError, RecursionError):
        return False
    found = describe_outputs(folder)
    del found[_CONTENTS]
    return found == written
