"""`validate`: is the recipe whole, and is the data what it says, before hours are spent on it?"""

from __future__ import annotations

import argparse
import json
import tempfile
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from itertools import islice
from pathlib import Path

from omegaconf import DictConfig

from unsup_asr.commands.run import recipe_of
from unsup_asr.corpora.audio_files import counted
from unsup_asr.corpora.speaker_split import LEAST_TRAIN_SHARE
from unsup_asr.engine.config import build_all, instantiate
from unsup_asr.formats.hypotheses import read_words
from unsup_asr.formats.lines import read_lines
from unsup_asr.formats.manifest import read_manifest
from unsup_asr.formats.names import shown_in_lines
from unsup_asr.formats.phone_text import read_inventory, read_merged_phones
from unsup_asr.pipeline import build_graph, has_references, speaks
from unsup_asr.speech.espeak_languages import language_names
from unsup_asr.steps.references import FEW_WORDS, REMEDY, check_known, references_in, unknown_share
from unsup_asr.types import SPLITS, Utterance

_NUM_LINES = 2000  # of the text, phonemized as a sample
_LEAST_KNOWN_WORDS = 0.05  # of references, in the sample, below which they are hardly words
_TOLD = {  # counts of lines that a user should know of
    "num_switched": "with words that espeak-ng says in another language",
    "num_mended": "said in pieces, for espeak-ng lost words of them",
    "num_silent_lines": "without a phone",
}


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
                text = Path(folder) / "text"
                text.mkdir()
                yield "text", lambda: _phonemize_sample(config, corpus / "text.txt", text)
                if speaks(config) and (text / "written.txt").is_file():
                    yield "voices", lambda: _read_aloud(config, text)
                if (corpus / "references").is_dir() and (text / "inventory.json").is_file():
                    yield "references", lambda: _compare_references(config, corpus, text)


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


def _phonemize_sample(config: DictConfig, text: Path, out: Path) -> str:
    """Phonemize the first lines: they must be of the language, and in its script."""
    sample = out / "sample.txt"
    num_lines = 0
    with sample.open("w", encoding="utf-8") as stream:
        for line in islice(read_lines(text), _NUM_LINES):
            stream.write(line + "\n")
            num_lines += 1
    instantiate(config.text.front_end).prepare(sample, out)
    counts = json.loads((out / "counts.json").read_text("utf-8"))
    parts = [f"{num_lines} lines phonemized, {len(_known_phones(out))} phones"]
    if dropped := sum(n for reason, n in counts.get("lines", {}).items() if reason != "kept"):
        parts.append(f"{dropped} dropped ({_reasons(counts['lines'])})")
    if (unknown := counts.get("unknown_words", {})).get("running"):
        shown = " ".join(list(unknown["most_frequent"])[:5])
        parts.append(f"{unknown['distinct']} words cannot be said, such as {shown}")
    for name, told in _TOLD.items():
        if number := counts.get("phonemized", {}).get(name):
            parts.append(f"{number} {told}")
    return "; ".join(parts)


def _read_aloud(config: DictConfig, text: Path) -> str:
    """Say in which language's voices the text is read: they must be those of its spelling."""
    sample = list(read_lines(text / "written.txt"))
    num_said = sum(bool(line) for line in sample)
    language = instantiate(config.start.spoken_text).language
    if not num_said:
        raise ValueError(
            f"start={config.start.road} has espeak-ng read the text, and of {len(sample)} lines "
            "none has words that can be read (a text of phones alone has none); expected words, or "
            "start=matching or start=game, which need no voices"
        )
    return (
        f"espeak-ng's of {language} ({language_names()[language]}) read the text, {num_said} of "
        f"{len(sample)} lines; where that is not its spelling, start=matching"
    )


def _reasons(lines: Mapping[str, int]) -> str:
    dropped = {why.replace("_", " "): n for why, n in lines.items() if n and why != "kept"}
    return ", ".join(f"{n} {why}" for why, n in dropped.items())


def _known_phones(text: Path) -> set[str]:
    """All phones of the sample, those too that are rare in it."""
    inventory = text / "inventory.json"
    dropped = json.loads((text / "counts.json").read_text("utf-8"))["dropped_phones"]
    return {*read_inventory(inventory), *read_merged_phones(inventory), *dropped}


def _compare_references(config: DictConfig, corpus: Path, text: Path) -> str:
    """References must be in the phones of the text, and their words those of its language."""
    front_end = instantiate(config.text.front_end)
    files = sorted((corpus / "references").glob("*.tsv"))
    in_words = [path for path in files if path.name.endswith(".words.tsv")]
    said = [w for path in in_words for words in read_words(path).values() for w in words]
    references = [r for path in files for r in references_in(path, front_end, {})]
    parts: list[str] = []
    written = set((text / "words.txt").read_text("utf-8").split())
    if said:
        share = sum(word in written for word in front_end.normalize_words(said)) / len(said)
        parts.append(f"{share:.0%} of their words are in the text's sample")
        if share < _LEAST_KNOWN_WORDS and len(written) >= FEW_WORDS:
            raise ValueError(f"{parts[0]} ({' '.join(said[:8])}...). {REMEDY[True]}")
    known = _known_phones(text)
    check_known(references, known, num_words=len(written), are_words=bool(said))
    parts.append(f"{unknown_share(references, known):.1%} of their phones are not in it")
    return "; ".join([f"{len(references)} utterances", *parts])
