"""`validate`: is the recipe whole, and is the data what it says, before hours are spent on it?"""

from __future__ import annotations

import argparse
import json
import tempfile
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from itertools import islice
from pathlib import Path

from omegaconf import DictConfig

from unsup_asr.commands.run import recipe_of
from unsup_asr.corpora.audio_files import counted
from unsup_asr.corpora.speaker_split import LEAST_TRAIN_SHARE
from unsup_asr.engine.config import build_all, instantiate
from unsup_asr.formats.manifest import read_manifest
from unsup_asr.formats.names import shown_in_lines
from unsup_asr.pipeline import build_graph, has_references
from unsup_asr.types import SPLITS, Utterance

_NUM_LINES = 2000  # of the text, phonemized as a sample


def validate(arguments: argparse.Namespace) -> int:
    """Print one line a check; 1 when one of them found something bad."""
    config = recipe_of(arguments)
    print(f"ok   recipe: {config.recipe}, every key and type known")
    codes = [_report(name, check) for name, check in _checks(config)]
    return int(any(codes))


def _checks(config: DictConfig) -> Iterator[tuple[str, Callable[[], str]]]:
    yield "options", lambda: f"{build_all(config)} components can be built"
    yield "stages", lambda: f"{len(build_graph(config))} in the graph"
    with tempfile.TemporaryDirectory() as folder:
        corpus = Path(folder) / "corpus"
        corpus.mkdir()
        if _is_recorded(config):
            yield "data", lambda: _read_data(config, corpus)
            if (corpus / "text.txt").is_file():
                yield "text", lambda: _phonemize_sample(config, corpus / "text.txt")


def _is_recorded(config: DictConfig) -> bool:
    """Whether the corpus is data that lies somewhere; others are made by the first stage."""
    if "audio" in config.corpus:
        return True
    try:
        return hasattr(instantiate(config.corpus), "source_files")
    except ValueError:
        return False  # the check of the options has said so


def _report(name: str, check: Callable[[], str]) -> int:
    try:
        print(f"ok   {name}: {check()}", flush=True)
    except (ValueError, OSError) as error:
        print(f"BAD  {name}: {shown_in_lines(str(error))}", flush=True)
        return 1
    return 0


def _read_data(config: DictConfig, out: Path) -> str:
    """Read all audio, the text and the references as the first stages would."""
    corpus = instantiate(config.corpus)
    corpus.build(out)
    scored = "no references, nothing to score"
    if has_references(config):
        corpus.build_references(out, out)
        scored = "references"
    found = {name: read_manifest(out / f"{name}.jsonl") for name in SPLITS}
    parts = [
        f"{name} {len(utterances)} utterances, {_minutes(utterances):.1f} min, "
        f"{len({u.speaker for u in utterances})} speakers"
        for name, utterances in found.items()
    ]
    summary = json.loads((out / "corpus.json").read_text("utf-8"))
    if "speakers_from" in summary:
        num_speakers = len({u.speaker for of in found.values() for u in of})
        parts.append(f"{num_speakers} speakers understood from {summary['speakers_from']}")
        share = _minutes(found["train"]) / sum(map(_minutes, found.values()))
        if share < LEAST_TRAIN_SHARE:
            parts.append(f"only {100 * share:.0f} % of the audio is left for training")
    if summary.get("left_out"):
        parts.append(f"left out {counted(summary['left_out'])}")
    if summary.get("num_skipped"):
        parts.append(f"skipped {summary['num_skipped']} that cannot be read")
    if alone := Counter(u.channel for of in found.values() for u in of if u.channel is not None):
        parts.append(f"one channel heard of {alone.total()} utterances")
    return "; ".join([*parts, scored])


def _minutes(utterances: Sequence[Utterance]) -> float:
    return sum(u.duration_s for u in utterances) / 60


def _phonemize_sample(config: DictConfig, text: Path) -> str:
    """Phonemize the first lines: the text's script must be that of the language."""
    with text.open(encoding="utf-8") as stream:
        lines = list(islice(stream, _NUM_LINES))
    with tempfile.TemporaryDirectory() as folder:
        sample = Path(folder) / "text.txt"
        sample.write_text("".join(lines), "utf-8")
        out = Path(folder) / "out"
        out.mkdir()
        instantiate(config.text.front_end).prepare(sample, out)
    return f"{len(lines)} lines phonemized"
