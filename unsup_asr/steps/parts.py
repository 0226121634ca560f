"""What a stage has done so far, kept in its folder, part by part, until it is done with all.

A part is a folder that appears whole or not at all, with the digests of its files beside them.
"""

from __future__ import annotations

import hashlib
import json
import logging
import shutil
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path

from unsup_asr.acoustic.posteriors import id_blocks
from unsup_asr.formats.finished import describe_outputs
from unsup_asr.types import Float32Array

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
        log.warning("%s is damaged and made again; if that happens often, look at the disk", folder)
        shutil.rmtree(folder)
    scratch = folder.with_name(f"{folder.name}.begun")
    if scratch.exists():
        shutil.rmtree(scratch)
    scratch.mkdir(parents=True)
    make(scratch)
    (scratch / _CONTENTS).write_text(json.dumps(describe_outputs(scratch)), "utf-8")
    scratch.rename(folder)
    return folder


def kept_blocks(
    folder: Path,
    split: str,
    frames: Mapping[str, Float32Array],
    make: Callable[[Sequence[str], Path], object],
    progress: Callable[[], None],
) -> list[Path]:
    """Parts below `folder`, one a block of a split's utterances: `make` writes what it has of a
    block into one. Memory does not grow with the hours; `progress` is called once an utterance.
    """
    parts: list[Path] = []
    for number, ids in enumerate(id_blocks(frames)):
        parts.append(kept(folder / _block_name(split, number, ids), partial(make, ids)))
        for _ in ids:
            progress()
    return parts


def _block_name(split: str, number: int, ids: Sequence[str]) -> str:
    """Other utterances are another part."""
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
