"""Stages `lexicon`, `words`, `supervised_words`, `train_words`: what the final system and the
baseline hear, and pseudo-labels for a model of letters.

All read the text's lexicon and a model of the text's words, of stage `lexicon`. Stage `words` is
also a model folder, for `transcribe --words`.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Sequence
from functools import partial
from pathlib import Path

import numpy as np
from omegaconf import DictConfig, OmegaConf

from unsup_asr.acoustic.network import AcousticNetwork
from unsup_asr.acoustic.posteriors import log_posteriors
from unsup_asr.engine.config import instantiate
from unsup_asr.engine.stages import StageContext
from unsup_asr.formats.checked import read_json, read_json_value
from unsup_asr.formats.digests import digest_file
from unsup_asr.formats.hypotheses import (
    read_hypotheses,
    read_word_hypotheses,
    write_hypotheses,
    write_word_hypotheses,
)
from unsup_asr.formats.lines import read_lines
from unsup_asr.formats.phone_text import read_inventory, read_phone_sentences
from unsup_asr.progress import progress_bar
from unsup_asr.protocols import WordCandidate, WordDecoder, WordTuning
from unsup_asr.recognise.acoustic_models import load_acoustic_model
from unsup_asr.recognise.description import DIGESTS
from unsup_asr.recognise.phones import BLANK
from unsup_asr.recognise.words import (
    DECODER,
    WORD_MODEL,
    WORDS_FOLDER,
    recognise_words,
    word_decoder,
)
from unsup_asr.steps.hearing import heard
from unsup_asr.steps.parts import PARTS, kept, kept_blocks
from unsup_asr.upstreams.ctc_network import CTCNetwork

TUNING = "tuning.json"
# Of a block of utterances.
_WORDS = "words.tsv"
_PHONES = "phones.tsv"


def run_lexicon(context: StageContext) -> None:
    """Write what word decoders read: the text's lexicon and a model of its words."""
    text = context.input("text")
    folder = context.out / WORDS_FOLDER
    folder.mkdir()
    (folder / "lexicon.tsv").write_bytes(text.file("lexicon.tsv").read_bytes())
    sentences = (line.split() for line in read_lines(text.file("words.txt")))
    instantiate(context.config.words.estimator).estimate_to(folder / WORD_MODEL, sentences)


def run_words(context: StageContext) -> None:
    """Write words and phones of dev and test, beside a copy of the model and of the lexicon."""
    model = context.input("model")
    described = OmegaConf.create(read_json_value(model.file("model.json")))
    assert isinstance(described, DictConfig)
    for name in described[DIGESTS]:
        (context.out / name).parent.mkdir(exist_ok=True)
        shutil.copyfile(model.file(name), context.out / name)
    shutil.copytree(
        context.input("lexicon").file(WORDS_FOLDER), context.out / WORDS_FOLDER, dirs_exist_ok=True
    )
    _decode(context, "model", ("dev", "test"))
    for name in ("lexicon.tsv", WORD_MODEL, DECODER):
        described[DIGESTS][f"{WORDS_FOLDER}/{name}"] = digest_file(
            context.out / WORDS_FOLDER / name
        )
    (context.out / "model.json").write_text(
        json.dumps(OmegaConf.to_container(described), indent=1), "utf-8"
    )


def run_supervised_words(context: StageContext) -> None:
    """Words of the supervised baseline on test, by the same means."""
    (context.out / WORDS_FOLDER).mkdir(exist_ok=True)
    _decode(context, "supervised", ("test",))


def run_train_words(context: StageContext) -> None:
    """Words of the training recordings, as stage `words` decodes: `words/train.tsv`."""
    words = context.input("words")
    decoder = word_decoder(
        read_json(words.file(f"{WORDS_FOLDER}/{DECODER}")), words.file(WORDS_FOLDER)
    )
    (context.out / WORDS_FOLDER).mkdir(exist_ok=True)
    network = load_acoustic_model(words.file("."))
    _decode_splits(context, decoder, network, ("train",), context.out / PARTS / "words")
    shutil.rmtree(context.out / PARTS)


def _decode(context: StageContext, network_from: str, splits: tuple[str, ...]) -> None:
    """Tune; write the decoder's options, `words/<split>.tsv` and `hypotheses/<split>.tsv`, which
    are the phones of the words. Goes on with the first block that no earlier try has decoded.
    """
    network = load_acoustic_model(context.input(network_from).file("."))
    tuned = kept(context.out / PARTS / "tuned", partial(_tune, context, network))
    for path in sorted(tuned.iterdir()):
        target = {DECODER: context.out / WORDS_FOLDER, TUNING: context.out}.get(path.name)
        if target is not None:
            shutil.copyfile(path, target / path.name)
    options = read_json(tuned / DECODER)
    decoded = context.out / PARTS / digest_file(tuned / DECODER)[:12]
    decoder = word_decoder(options, context.input("lexicon").file(WORDS_FOLDER))
    _decode_splits(context, decoder, network, splits, decoded)
    shutil.rmtree(context.out / PARTS)


def _decode_splits(
    context: StageContext,
    decoder: WordDecoder,
    network: AcousticNetwork | CTCNetwork,
    splits: Sequence[str],
    parts: Path,
) -> None:
    for split in splits:
        frames = heard(context, network, split).inputs
        with progress_bar(len(frames), f"{context.stage} {split}") as tick:
            recognise = partial(_recognise, context, decoder, network, split)
            blocks = kept_blocks(parts, split, frames, recognise, tick)
        write_word_hypotheses(
            context.out / WORDS_FOLDER / f"{split}.tsv",
            (h for block in blocks for h in read_word_hypotheses(block / _WORDS)),
        )
        write_hypotheses(
            context.out / "hypotheses" / f"{split}.tsv",
            (h for block in blocks for h in read_hypotheses(block / _PHONES)),
        )


def _recognise(
    context: StageContext,
    decoder: WordDecoder,
    network: AcousticNetwork | CTCNetwork,
    split: str,
    ids: Sequence[str],
    out: Path,
) -> None:
    """Words and phones of a block of utterances."""
    audio = heard(context, network, split)
    found = recognise_words(
        decoder,
        log_posteriors(network, {i: audio.inputs[i] for i in ids}),
        _symbols(context),
        stack=network.stack,
        kept=audio.kept,
        timing=audio.timing,
    )
    write_word_hypotheses(out / _WORDS, (words for words, _ in found))
    write_hypotheses(out / _PHONES, (phones for _, phones in found))


def _symbols(context: StageContext) -> list[str]:
    """What the outputs of a network stand for."""
    return [BLANK, *read_inventory(context.input("text").file("inventory.json"))]


def _tune(context: StageContext, network: AcousticNetwork | CTCNetwork, out: Path) -> None:
    """Write the decoder's options, with the pair of weights of the best criterion; `tuning.json`
    keeps all pairs, with what they gave.
    """
    options = {str(key): value for key, value in context.config.words.decoder.items()}
    if context.config.words.tuning is not None:
        tuning: WordTuning = instantiate(context.config.words.tuning)
        frames = heard(context, network, "dev").inputs
        shuffled = np.random.default_rng(context.seed).permutation(sorted(frames)).tolist()
        ids = sorted(shuffled[: tuning.num_utterances])
        found = log_posteriors(network, {i: frames[i] for i in ids})
        text = read_phone_sentences(context.input("text").file("phones.txt"))
        num_phones = sum(len(word) for sentence in text for word in sentence)
        candidates = tuning.candidates(
            word_decoder(options, context.input("lexicon").file(WORDS_FOLDER)),
            [found[i] for i in ids],
            _symbols(context),
            phones_a_word=num_phones / sum(map(len, text)),
        )
        _write_candidates(out / TUNING, ids, candidates)
        best = candidates[0]
        options |= {"lm_weight": best.lm_weight, "word_score": best.word_score}
    (out / DECODER).write_text(json.dumps(options, indent=1), "utf-8")


def _write_candidates(path: Path, ids: Sequence[str], candidates: Sequence[WordCandidate]) -> None:
    found = [
        {
            "lm_weight": c.lm_weight,
            "word_score": c.word_score,
            "criterion": c.criterion,
            "words": dict(zip(ids, c.sentences, strict=True)),
        }
        for c in candidates
    ]
    path.write_text(json.dumps(found, ensure_ascii=False), "utf-8")
