"""The folder that `Wav2Vec2ProcessorWithLM` loads.

pyctcdecode asks for numpy 1 and is no dependency; where it is (`pip install --no-deps pyctcdecode
pygtrie`), transformers' own class decodes.
"""

from __future__ import annotations

import itertools
import json
import logging
import math
from pathlib import Path

import kenlm
import numpy as np
import pytest
import torch
import transformers
from omegaconf import OmegaConf
from torch.nn import functional as F
from torch.nn.utils.rnn import pad_sequence

from lm.ngram import NgramEstimator
from unsup_asr.recognise.beam_folder import write_phone_beam, write_word_beam

PHONES = ["a", "aɪ", "tʃ", "n", "t", "ɪ"]
WEIGHTS = {"lm_weight": 0.8, "insertion_score": 0.6}
DECODER = OmegaConf.create({"_target_": "lm.beam.BeamDecoder", "lm_path": "phones.arpa", **WEIGHTS})


@pytest.fixture
def model(tmp_path: Path) -> Path:
    folder = tmp_path / "model"
    extractor = transformers.Wav2Vec2FeatureExtractor(sampling_rate=16000, do_normalize=True)
    extractor.save_pretrained(folder / "finetuned")
    rng = np.random.default_rng(0)
    often = np.array([0.4, 0.3, 0.1, 0.1, 0.05, 0.05])
    sentences = [rng.choice(PHONES, size=9, p=often).tolist() for _ in range(60)]
    NgramEstimator(order=3).estimate_to(folder / "phones.arpa", sentences)
    return folder


def test_phones_are_pieces_that_each_begin_a_word(model: Path) -> None:
    assert write_phone_beam(model, model, PHONES, DECODER)
    out = model / "with_language_model"
    alphabet = json.loads((out / "alphabet.json").read_text("ascii"))
    assert alphabet == {"labels": ["", *(f"▁{phone}" for phone in PHONES)], "is_bpe": True}
    vocabulary = json.loads((out / "vocab.json").read_text("utf-8"))
    assert sorted(vocabulary, key=vocabulary.get) == ["<pad>", *alphabet["labels"][1:]]
    inner = out / "language_model"
    names = ["attrs.json", "phones.arpa", "unigrams.txt"]
    assert sorted(path.name for path in inner.iterdir()) == names  # pyctcdecode refuses others
    assert (inner / "unigrams.txt").read_text("utf-8").split() == sorted(PHONES)
    assert json.loads((inner / "attrs.json").read_text("utf-8")) == {
        "alpha": 0.8,
        "beta": 0.6,
        "unk_score_offset": -10.0,
        "score_boundary": True,
    }


@pytest.mark.parametrize(
    "decoder",
    [
        {"_target_": "lm.greedy.GreedyDecoder"},
        {"_target_": "lm.words.WordDecoder", "lm_path": "w.arpa", "lexicon_path": "lexicon.tsv"},
    ],
)
def test_a_decoder_without_a_model_of_phones_leaves_none(decoder: dict, model: Path) -> None:
    assert not write_phone_beam(model, model, PHONES, decoder)
    assert not (model / "with_language_model").exists()


def test_transformers_finds_the_best_phones_of_all_there_are(
    model: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """By the posterior of CTC, summed over alignments, and the n-grams, with our weights."""
    pytest.importorskip("pyctcdecode")
    write_phone_beam(model, model, PHONES, DECODER)
    with caplog.at_level(logging.ERROR):
        processor = transformers.Wav2Vec2ProcessorWithLM.from_pretrained(
            model / "with_language_model"
        )
    n_grams = kenlm.Model(str(model / "phones.arpa"))
    sequences = [s for n in range(1, 5) for s in itertools.product(range(6), repeat=n)]
    targets = pad_sequence([torch.tensor(s) + 1 for s in sequences], batch_first=True)
    lengths = torch.tensor([len(s) for s in sequences])
    fluency = torch.tensor(
        [n_grams.score(" ".join(PHONES[p] for p in s)) * math.log(10) for s in sequences]
    )
    rng = np.random.default_rng(1)
    num_changed = 0
    for _ in range(8):
        logits_TV = torch.from_numpy(3 * rng.standard_normal((4, 7)).astype(np.float32))
        scores_TV = logits_TV.log_softmax(1)
        heard = -F.ctc_loss(
            scores_TV[:, None].expand(-1, len(sequences), -1),
            targets,
            torch.full_like(lengths, 4),
            lengths,
            reduction="none",
        )
        best = sequences[int((heard + 0.8 * fluency + 0.6 * lengths).argmax())]
        found = processor.decode(
            scores_TV.numpy(), beam_width=5000, beam_prune_logp=-80.0, token_min_logp=-80.0
        )
        assert found.text.split() == [PHONES[p] for p in best]
        num_changed += best != sequences[int(heard.argmax())]
    assert num_changed > 2


def letters_of(model: Path) -> Path:
    folder = model / "words"
    folder.mkdir()
    words = ["an", "ox", "oxen"]
    lines = ["word\tphones", *(f"{word}\t{' '.join(word)}" for word in words)]
    (folder / "spellings.tsv").write_text("\n".join(lines) + "\n", "utf-8")
    sentences = [["an", "ox"], ["oxen"], ["an", "ox", "an", "ox"]] * 9
    NgramEstimator(order=2).estimate_to(folder / "words.arpa", sentences)
    (folder / "decoder.json").write_text('{"_target_": "lm.spelling.SpellingDecoder"}', "utf-8")
    return model


LETTERS = ["a", "e", "n", "o", "x", "|"]


def test_letters_have_the_words_of_the_text(model: Path) -> None:
    write_word_beam(letters_of(model), model, LETTERS)
    out = model / "with_language_model"
    alphabet = json.loads((out / "alphabet.json").read_text("ascii"))
    assert alphabet == {"labels": ["", "a", "e", "n", "o", "x", " "], "is_bpe": False}
    assert (out / "language_model/unigrams.txt").read_text("utf-8").split() == ["an", "ox", "oxen"]
    attributes = json.loads((out / "language_model" / "attrs.json").read_text("utf-8"))
    assert (attributes["alpha"], attributes["beta"]) == (0.5, 1.5)
    tokenizer = transformers.AutoTokenizer.from_pretrained(out)
    assert tokenizer.decode([1, 3, 3, 0, 6, 4, 5]) == "an ox"


def test_transformers_prefers_words_of_the_text(
    model: Path, caplog: pytest.LogCaptureFixture
) -> None:
    pytest.importorskip("pyctcdecode")
    write_word_beam(letters_of(model), model, LETTERS)
    with caplog.at_level(logging.ERROR):
        processor = transformers.Wav2Vec2ProcessorWithLM.from_pretrained(
            model / "with_language_model"
        )
    scores_TV = torch.full((6, 7), -5.0)
    for frame, letter in enumerate([1, 3, 0, 6, 4, 1]):  # "an oa"
        scores_TV[frame, letter] = 0.0
    scores_TV[5, 5] = -0.5  # nearly as good: "an ox"
    found = processor.decode(scores_TV.log_softmax(1).numpy())
    assert found.text == "an ox"
