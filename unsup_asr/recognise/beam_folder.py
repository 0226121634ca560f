"""A fine-tuned model's n-gram model as `Wav2Vec2ProcessorWithLM` of transformers loads it.

Its decoder (pyctcdecode) scores words, and knows two alphabets: letters, of which a space ends a
word, and pieces, of which a leading ▁ begins one. Phones are given as pieces that each begin a
word, so that each is scored by the n-gram model of phones, however many characters it has.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Mapping, Sequence
from itertools import islice
from pathlib import Path

from omegaconf import DictConfig

from unsup_asr.formats.checked import read_json
from unsup_asr.formats.lines import read_lines
from unsup_asr.recognise.acoustic_models import FINETUNED
from unsup_asr.recognise.letters import BOUNDARY, SPELLINGS
from unsup_asr.recognise.words import DECODER, WORD_MODEL, WORDS_FOLDER
from unsup_asr.upstreams.ctc_network import PREPROCESSOR, write_tokenizer

WITH_LANGUAGE_MODEL = "with_language_model"
_BEGINS_WORD = "▁"
_ALPHA, _BETA, _UNKNOWN_OFFSET = 0.5, 1.5, -10.0  # pyctcdecode's own


def write_phone_beam(
    folder: Path, out: Path, inventory: Sequence[str], decoder: DictConfig | Mapping
) -> bool:
    """Write the folder `with_language_model` in `out`, with the weights of the model's decoder.

    False, and nothing, where that decoder has no n-gram model of phones.
    """
    if decoder.get("lm_path") is None or decoder.get("lexicon_path") is not None:
        return False
    pieces = [_BEGINS_WORD + phone for phone in inventory]
    _write(
        folder,
        out / WITH_LANGUAGE_MODEL,
        symbols=["", *pieces],
        alphabet={"labels": ["", *pieces], "is_bpe": True},
        unigrams=inventory,
        n_grams=folder / str(decoder["lm_path"]),
        weights=(float(decoder.get("lm_weight", 1.0)), float(decoder.get("insertion_score", 0.0))),
    )
    return True


def write_word_beam(folder: Path, out: Path, letters: Sequence[str]) -> None:
    """The same of a model of letters, with the n-gram model of the text's words.

    Weights are those of the model's decoder of words, or where it has none pyctcdecode's own.
    """
    words = folder / WORDS_FOLDER
    for name in (DECODER, SPELLINGS, WORD_MODEL):
        if not (words / name).is_file():
            raise ValueError(f"{words}: no {name}, which a model of letters has; copy it again")
    lines = read_lines(words / SPELLINGS)
    decoder = read_json(words / DECODER)
    _write(
        folder,
        out / WITH_LANGUAGE_MODEL,
        symbols=["", *letters],
        word_boundary=BOUNDARY,
        alphabet={
            "labels": ["", *(" " if letter == BOUNDARY else letter for letter in letters)],
            "is_bpe": False,
        },
        unigrams=[line.partition("\t")[0] for line in islice(lines, 1, None)],
        n_grams=words / WORD_MODEL,
        weights=(float(decoder.get("lm_weight", _ALPHA)), float(decoder.get("word_score", _BETA))),
    )


def _write(
    folder: Path,
    out: Path,
    *,
    symbols: Sequence[str],
    alphabet: Mapping[str, object],
    unigrams: Sequence[str],
    n_grams: Path,
    weights: tuple[float, float],
    word_boundary: str | None = None,
) -> None:
    alpha, beta = weights
    inner = out / "language_model"  # which may hold these three files alone
    inner.mkdir(parents=True)
    attributes = {
        "alpha": alpha,
        "beta": beta,
        "unk_score_offset": _UNKNOWN_OFFSET,
        "score_boundary": True,
    }
    (inner / "attrs.json").write_text(json.dumps(attributes), "utf-8")
    (inner / "unigrams.txt").write_text("".join(f"{one}\n" for one in sorted(unigrams)), "utf-8")
    shutil.copyfile(n_grams, inner / n_grams.name)
    (out / "alphabet.json").write_text(json.dumps(alphabet), "ascii")  # read by a locale's encoding
    shutil.copyfile(folder / FINETUNED / PREPROCESSOR, out / PREPROCESSOR)
    write_tokenizer(out, symbols, word_boundary=word_boundary, processor="Wav2Vec2ProcessorWithLM")
