"""Stages `letters` and `supervised_letters`: an upstream fine-tuned on letters, which writes words.

The first learns the spelling of what stage `train_words` has recognised, the second that of the
references. Both are model folders for `transcribe --words`; letters stand where phones do.
"""

from __future__ import annotations

import json
import logging
import shutil
from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import islice

import numpy as np
from omegaconf import OmegaConf

from unsup_asr.acoustic.posteriors import posterior_blocks
from unsup_asr.engine.config import instantiate
from unsup_asr.engine.stages import StageContext
from unsup_asr.formats.checked import read_json
from unsup_asr.formats.digests import digest_file
from unsup_asr.formats.hypotheses import read_word_hypotheses, read_words, write_word_hypotheses
from unsup_asr.formats.lines import read_lines
from unsup_asr.formats.phone_text import phone_ids, write_inventory
from unsup_asr.recognise.acoustic_models import FINETUNED, save_letter_model
from unsup_asr.recognise.description import DIGESTS, TRAINED
from unsup_asr.recognise.letters import BOUNDARY, SPELLINGS, UNITS
from unsup_asr.recognise.phones import BLANK
from unsup_asr.recognise.words import (
    DECODER,
    WORD_MODEL,
    WORDS_FOLDER,
    recognise_words,
    word_decoder,
)
from unsup_asr.steps.ctc import CHECKPOINT, trained_network
from unsup_asr.steps.hearing import heard, training_inputs
from unsup_asr.steps.model import trained
from unsup_asr.types import Int32Array, WordHypothesis
from unsup_asr.upstreams.ctc_network import CTCNetwork

log = logging.getLogger(__name__)


def run_letters(context: StageContext) -> None:
    """Train on the words recognised in train; decode dev and test."""
    pseudo = read_word_hypotheses(context.input("train_words").file(f"{WORDS_FOLDER}/train.tsv"))
    _train(context, {h.utterance_id: h.words for h in pseudo}, ("dev", "test"))


def run_supervised_letters(context: StageContext) -> None:
    """The same on references; nothing where they are phones."""
    given = context.input("references")
    name = "references/train.words.tsv"
    if not given.has(name):
        log.warning(
            "the references are phones, not words: no baseline of letters is trained. Give words "
            "(corpus.reference_kind=words) to have one"
        )
        return
    front_end = instantiate(context.config.text.front_end)
    said = {i: front_end.normalize_words(w) for i, w in read_words(given.file(name)).items()}
    _train(context, said, ("test",))


def spelled(words: Sequence[str]) -> list[str]:
    """Letters of words, with the boundary between two."""
    letters = [letter for word in words for letter in (BOUNDARY, *word)]
    return letters[1:]


def _train(
    context: StageContext, words: Mapping[str, Sequence[str]], splits: Sequence[str]
) -> None:
    training = instantiate(context.config.self_training.training)
    known = _lexicon_words(context)
    letters = [*sorted({letter for word in known for letter in word} - {BOUNDARY}), BOUNDARY]
    features = training_inputs(context, training, "train")
    targets = dict(_targets(words, letters))
    network = trained_network(context, training, features, targets, num_outputs=len(letters))
    save_letter_model(network, context.out, letters)
    _write_description(context, letters, known)
    for split in splits:
        found = _recognised(context, network, letters, split)
        write_word_hypotheses(context.out / WORDS_FOLDER / f"{split}.tsv", found)
    (context.out / CHECKPOINT).unlink()


def _targets(
    words: Mapping[str, Sequence[str]], letters: Sequence[str]
) -> Iterator[tuple[str, Int32Array]]:
    """Letters that the text does not have are left out, and counted."""
    known, num_unknown = set(letters), 0
    for utterance_id, said in words.items():
        found = spelled(said)
        kept = [letter for letter in found if letter in known]
        num_unknown += len(found) - len(kept)
        yield utterance_id, np.asarray(phone_ids(kept, letters))
    if num_unknown:
        log.warning(
            "left out %d letters that the text's words lack. If they are many, words and text are "
            "of different spellings",
            num_unknown,
        )


def _lexicon_words(context: StageContext) -> list[str]:
    lines = read_lines(context.input("lexicon").file(f"{WORDS_FOLDER}/lexicon.tsv"))
    return list(dict.fromkeys(line.partition("\t")[0] for line in islice(lines, 1, None)))


def _write_description(context: StageContext, letters: Sequence[str], known: Iterable[str]) -> None:
    """What makes the folder a model: what outputs stand for, how words are found."""
    folder = context.out / WORDS_FOLDER
    folder.mkdir(exist_ok=True)
    lines = [f"{word}\t{' '.join(word)}\n" for word in known]
    (folder / SPELLINGS).write_text("".join(["word\tphones\n", *lines]), "utf-8")
    n_grams = context.input("lexicon").file(f"{WORDS_FOLDER}/{WORD_MODEL}")
    shutil.copyfile(n_grams, folder / n_grams.name)
    options = OmegaConf.to_container(context.config.self_training.letters, resolve=True)
    assert isinstance(options, dict)
    (folder / DECODER).write_text(json.dumps(options["word_decoder"], indent=1), "utf-8")
    write_inventory(context.out / "inventory.json", letters, {})
    names = [
        "inventory.json",
        *(f"{WORDS_FOLDER}/{name}" for name in (SPELLINGS, n_grams.name, DECODER)),
        *(f"{FINETUNED}/{path.name}" for path in sorted((context.out / FINETUNED).iterdir())),
    ]
    described = {
        "decoder": options["decoder"],
        UNITS: "letters",
        TRAINED: trained(context.config.self_training.training),
        DIGESTS: {name: digest_file(context.out / name) for name in names},
    }
    (context.out / "model.json").write_text(json.dumps(described, indent=1), "utf-8")


def _recognised(
    context: StageContext, network: CTCNetwork, letters: Sequence[str], split: str
) -> Iterator[WordHypothesis]:
    options = read_json(context.out / WORDS_FOLDER / DECODER)
    decoder = word_decoder(options, context.out / WORDS_FOLDER)
    audio = heard(context, network, split)
    for block in posterior_blocks(network, audio.inputs):
        found = recognise_words(
            decoder,
            block,
            [BLANK, *letters],
            stack=network.stack,
            kept=audio.kept,
            timing=audio.timing,
        )
        yield from (words for words, _ in found)
