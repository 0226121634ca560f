"""The first gate of the adversarial game: features that are the true phones, one-hot, plus noise.

Speech and text are different sentences of made-up English, phonemized by espeak-ng; nothing pairs
them. Until the game finds the phones here from random weights, nothing on real features means
anything. Prints the phone error rate of utterances as training goes on, by seed and preset.

    OMP_NUM_THREADS=1 python benchmarks/true_label_control.py --preset cpu --seeds 0 1 2
"""

from __future__ import annotations

import argparse
import tempfile
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
from omegaconf import OmegaConf
from rapidfuzz.distance import Levenshtein

from gan.infer import join_repeats
from gan.trainer import AdversarialTrainer
from lm.phonemize import EspeakPhonemizer
from unsup_asr.config import GROUPS, instantiate
from unsup_asr.corpora.sentences import frequent_words, sample_sentences
from unsup_asr.ragged import RaggedArray

NUM_SPEECH, NUM_TEXT, NUM_SCORED = 3000, 20000, 200


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--preset", choices=("w2vu", "w2vu_cpu"), default="w2vu_cpu")
    parser.add_argument("--seeds", type=int, nargs="+", default=[0])
    parser.add_argument("--updates", type=int)
    parser.add_argument("--noise", type=float, default=0.1)
    parser.add_argument("--set", nargs="*", default=[], metavar="OPTION=VALUE")
    arguments = parser.parse_args()
    sentences, num_phones = phone_sentences()
    speech, text = sentences[:NUM_SPEECH], sentences[NUM_SPEECH:]
    segments = noisy_one_hot(speech, num_phones, arguments.noise)
    scored = RaggedArray(
        segments.values_array[: segments.offsets[NUM_SCORED]],
        segments.ids[:NUM_SCORED],
        segments.offsets[: NUM_SCORED + 1],
    )
    options = with_options(trainer(arguments.preset), arguments.set)
    if arguments.updates:
        options = replace(options, updates=arguments.updates)
    for seed in arguments.seeds:
        start = time.process_time()

        def score(found: list[np.ndarray], start: float = start) -> dict[str, float]:
            rate = error_rate(found, speech)
            print(f"    {time.process_time() - start:6.0f} CPU s  PER {rate:.1f}", flush=True)
            return {"weighted_lm_perplexity": rate}  # a control may look at references

        print(f"preset {arguments.preset}, seed {seed}: {options.updates} updates", flush=True)
        with tempfile.TemporaryDirectory() as folder:
            trained = replace(options, seed=seed).train(
                segments,
                text,
                num_phones=num_phones,
                validate=score,
                validation_segments=scored,
                checkpoint_dir=Path(folder),
            )
        last = trained.history[-1]["weighted_lm_perplexity"]
        print(f"  last PER {last:.1f}, {time.process_time() - start:.0f} CPU s", flush=True)


def trainer(preset: str) -> AdversarialTrainer:
    """The trainer of `gan=preset` in a recipe."""
    options = OmegaConf.merge({"seed": 0}, OmegaConf.load(GROUPS / "gan" / f"{preset}.yaml"))
    return instantiate(options.trainer)


def phone_sentences() -> tuple[list[np.ndarray], int]:
    """Sentences as phone ids, equal neighbours joined; phones rarer than 300 are left out."""
    words, probabilities = frequent_words("en", 8000)
    sentences = sample_sentences(
        words,
        probabilities,
        num_sentences=NUM_SPEECH + NUM_TEXT,
        min_words=6,
        max_words=12,
        generator=np.random.default_rng(0),
    )
    lines = EspeakPhonemizer(language="en-us").phonemize_sentences(sentences)
    spoken = [[phone for word in line for phone in word] for line in lines]
    phones, counts = np.unique([p for s in spoken for p in s], return_counts=True)
    ids = {str(phone): i for i, phone in enumerate(phones[counts >= 300])}
    kept = [np.array([ids[p] for p in s if p in ids], dtype=np.int32) for s in spoken]
    return [join_repeats(s) for s in kept if len(s)], len(ids)


def noisy_one_hot(sentences: list[np.ndarray], num_phones: int, noise: float) -> RaggedArray:
    rng = np.random.default_rng(1)
    one_hot = np.eye(num_phones, dtype=np.float32)
    return RaggedArray.from_arrays(
        {
            str(i): one_hot[s] + noise * rng.standard_normal((len(s), num_phones), dtype=np.float32)
            for i, s in enumerate(sentences)
        }
    )


def error_rate(found: list[np.ndarray], truth: list[np.ndarray]) -> float:
    pairs = list(zip(found, truth, strict=False))
    errors = sum(Levenshtein.distance(a.tolist(), b.tolist()) for a, b in pairs)
    return 100 * errors / sum(len(b) for _, b in pairs)


def with_options(options, changes: list[str]):
    """OPTION=VALUE strings put into the options, converted to the type of what they replace."""
    for change in changes:
        name, value = change.split("=")
        kind = type(getattr(options, name))
        options = replace(options, **{name: value == "true" if kind is bool else kind(value)})
    return options


if __name__ == "__main__":
    main()
