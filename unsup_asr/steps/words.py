"""Stages `lexicon`, `words` and `supervised_words`: what the final system and the baseline hear.

Both read the text's lexicon and a model of the text's words, of stage `lexicon`. Stage `words` is
also a model folder, for `transcribe --words`.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Mapping, Sequence

import numpy as np
from omegaconf import DictConfig, OmegaConf

from unsup_asr.acoustic.network import load_network
from unsup_asr.acoustic.posteriors import log_posteriors
from unsup_asr.engine.config import instantiate
from unsup_asr.engine.stages import StageContext
from unsup_asr.formats.checked import read_json_value
from unsup_asr.formats.digests import digest_file
from unsup_asr.formats.hypotheses import write_hypotheses, write_word_hypotheses
from unsup_asr.formats.lines import read_lines
from unsup_asr.formats.phone_text import read_inventory, read_phone_sentences
from unsup_asr.protocols import WordCandidate, WordDecoder, WordTuning
from unsup_asr.recognise.description import DIGESTS
from unsup_asr.recognise.phones import BLANK
from unsup_asr.recognise.words import DECODER, WORDS_FOLDER, recognise_words, word_decoder
from unsup_asr.steps.inputs import frame_timing, open_split
from unsup_asr.types import Float32Array

TUNING = "tuning.json"


def run_lexicon(context: StageContext) -> None:
    """Write what word decoders read: the text's lexicon and a model of its words."""
    text = context.input("text")
    folder = context.out / WORDS_FOLDER
    folder.mkdir()
    (folder / "lexicon.tsv").write_bytes(text.file("lexicon.tsv").read_bytes())
    sentences = (line.split() for line in read_lines(text.file("words.txt")))
    instantiate(context.config.words.estimator).estimate_to(folder / "words.arpa", sentences)


def run_words(context: StageContext) -> None:
    """Write words and phones of dev and test, beside a copy of the model and of the lexicon."""
    model = context.input("model")
    described = OmegaConf.create(read_json_value(model.file("model.json")))
    assert isinstance(described, DictConfig)
    for name in described[DIGESTS]:
        (context.out / name).write_bytes(model.file(name).read_bytes())
    shutil.copytree(context.input("lexicon").file(WORDS_FOLDER), context.out / WORDS_FOLDER)
    _decode(context, "model", ("dev", "test"))
    for name in ("lexicon.tsv", "words.arpa", DECODER):
        described[DIGESTS][f"{WORDS_FOLDER}/{name}"] = digest_file(
            context.out / WORDS_FOLDER / name
        )
    (context.out / "model.json").write_text(
        json.dumps(OmegaConf.to_container(described), indent=1), "utf-8"
    )


def run_supervised_words(context: StageContext) -> None:
    """Words of the supervised baseline on test, by the same means."""
    (context.out / WORDS_FOLDER).mkdir()
    _decode(context, "supervised", ("test",))


def _decode(context: StageContext, network_from: str, splits: tuple[str, ...]) -> None:
    """Tune; write the decoder's options, `words/<split>.tsv` and `hypotheses/<split>.tsv`, which
    are the phones of the words.
    """
    models = context.input("lexicon").file(WORDS_FOLDER)
    network = load_network(context.input(network_from).file("network.json").parent)
    inventory = read_inventory(context.input("text").file("inventory.json"))
    symbols = [BLANK, *inventory]
    timing = frame_timing(context)
    posteriors = {
        split: log_posteriors(network, open_split(context, "features", "acoustic", split))
        for split in dict.fromkeys(("dev", *splits))
    }
    options = {str(key): value for key, value in context.config.words.decoder.items()}
    if context.config.words.tuning is not None:
        chosen = _tune(context, word_decoder(options, models), posteriors["dev"], symbols)
        options |= {"lm_weight": chosen.lm_weight, "word_score": chosen.word_score}
    (context.out / WORDS_FOLDER / DECODER).write_text(json.dumps(options, indent=1), "utf-8")
    decoder = word_decoder(options, models)
    for split in splits:
        found = recognise_words(
            decoder,
            posteriors[split],
            symbols,
            stack=network.shape.stack,
            kept=open_split(context, "features", "kept", split),
            timing=timing,
        )
        words = [words for words, _ in found]
        write_word_hypotheses(context.out / WORDS_FOLDER / f"{split}.tsv", words)
        write_hypotheses(context.out / "hypotheses" / f"{split}.tsv", [p for _, p in found])


def _tune(
    context: StageContext,
    decoder: WordDecoder,
    posteriors: Mapping[str, Float32Array],
    symbols: Sequence[str],
) -> WordCandidate:
    """The pair of weights of the best criterion; `tuning.json` keeps all, with what they gave."""
    tuning: WordTuning = instantiate(context.config.words.tuning)
    shuffled = np.random.default_rng(context.seed).permutation(sorted(posteriors)).tolist()
    ids = sorted(shuffled[: tuning.num_utterances])
    text = read_phone_sentences(context.input("text").file("phones.txt"))
    num_phones = sum(len(word) for sentence in text for word in sentence)
    candidates = tuning.candidates(
        decoder,
        [posteriors[i] for i in ids],
        symbols,
        phones_a_word=num_phones / sum(map(len, text)),
    )
    found = [
        {
            "lm_weight": c.lm_weight,
            "word_score": c.word_score,
            "criterion": c.criterion,
            "words": dict(zip(ids, c.sentences, strict=True)),
        }
        for c in candidates
    ]
    (context.out / TUNING).write_text(json.dumps(found, ensure_ascii=False), "utf-8")
    return candidates[0]
