"""`export-data`: utterances, and what was recognised in them, for other toolkits."""

from __future__ import annotations

import argparse
import os
import shutil
from pathlib import Path

from unsup_asr.commands import UsageError
from unsup_asr.formats.hypotheses import WORD_COLUMNS, read_hypotheses, read_word_hypotheses
from unsup_asr.formats.kaldi_data import write_kaldi
from unsup_asr.formats.lhotse_manifests import write_lhotse
from unsup_asr.formats.lines import read_lines
from unsup_asr.formats.manifest import read_manifest
from unsup_asr.formats.names import shown
from unsup_asr.types import Hypothesis, WordHypothesis

_WRITERS = {"kaldi": write_kaldi, "lhotse": write_lhotse}


def export_data(arguments: argparse.Namespace) -> int:
    """Write a folder, whole or not at all; 0."""
    out = Path(arguments.out)
    if out.exists() and (not out.is_dir() or any(out.iterdir())):
        raise UsageError(f"{shown(out)} is there already; name a folder that is new, or empty")
    utterances = read_manifest(Path(arguments.manifest))
    recognised: dict[str, Hypothesis] | dict[str, WordHypothesis] = {}
    if arguments.hypotheses is not None:
        path = Path(arguments.hypotheses)
        recognised = _recognised(path)
        if unknown := set(recognised) - {u.id for u in utterances}:
            raise ValueError(
                f"{shown(path)}: {len(unknown)} of {len(recognised)} hypotheses are for utterances "
                f"that {shown(arguments.manifest)} does not hold (first: {min(unknown)!r}); give "
                "the manifest that they are of"
            )
    out.parent.mkdir(parents=True, exist_ok=True)
    scratch = out.with_name(f"{out.name}.{os.getpid()}.partial")
    scratch.mkdir()
    try:
        _WRITERS[arguments.format](scratch, utterances, recognised)
        scratch.replace(out)
    finally:
        shutil.rmtree(scratch, ignore_errors=True)
    said = f", {len(recognised)} of them recognised" if recognised else ""
    print(f"{len(utterances)} utterances{said} written to {shown(out)}")
    return 0


def _recognised(path: Path) -> dict[str, Hypothesis] | dict[str, WordHypothesis]:
    """Phones or words by utterance id: the header tells which."""
    if not path.is_file():
        raise UsageError(f"{shown(path)}: no such file; expected hypotheses of a run")
    if next(read_lines(path), "").split("\t")[: len(WORD_COLUMNS)] == list(WORD_COLUMNS):
        return {h.utterance_id: h for h in read_word_hypotheses(path)}
    return {h.utterance_id: h for h in read_hypotheses(path)}
