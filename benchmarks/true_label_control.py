"""The first gate of the adversarial game: features that are the true phones, one-hot, plus noise.

Speech and text are different sentences of made-up English, phonemized by espeak-ng; nothing pairs
them. Until the game finds the phones here from random weights, nothing on real features means
anything. All members of the preset's population play side by side; who is kept is decided by its
label-free rule; the phone error rate is of utterances that the game has read, without their
phones.

    OMP_NUM_THREADS=2 python -m benchmarks.true_label_control
    ... --vary gradient_penalty=0.1,0.2 --seeds 3   # other members
    ... --set discriminator_kernel=6 --updates 2400 # other options
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

from gan.population import Population
from lm.ngram import NgramEstimator
from lm.perplexity import PerplexityScorer
from lm.phonemize import EspeakPhonemizer
from unsup_asr.corpora.sentences import frequent_words, sample_sentences
from unsup_asr.engine.config import instantiate
from unsup_asr.engine.recipe_files import GROUPS
from unsup_asr.formats.ragged import RaggedArray
from unsup_asr.scoring.criterion import weighted_perplexity
from unsup_asr.speech.runs import merge_repeats
from unsup_asr.types import Int32Array

NUM_SPEECH, NUM_TEXT = 3000, 20000


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--preset", choices=("w2vu", "w2vu_cpu", "yeh2019"), default="w2vu_cpu")
    parser.add_argument("--seed", type=int, default=0, help="of the first member")
    parser.add_argument("--seeds", type=int, help="how many, instead of the preset's")
    parser.add_argument("--vary", nargs="*", metavar="OPTION=VALUE,VALUE,...")
    parser.add_argument("--updates", type=int)
    parser.add_argument("--noise", type=float, default=0.1)
    parser.add_argument("--set", nargs="*", default=[], metavar="OPTION=VALUE")
    arguments = parser.parse_args()
    options = OmegaConf.merge(
        {"seed": arguments.seed}, OmegaConf.load(GROUPS / "gan" / f"{arguments.preset}.yaml")
    )
    trainer = with_options(instantiate(options.trainer), arguments.set)
    if arguments.updates:
        trainer = replace(trainer, updates=arguments.updates)
    population: Population = instantiate(options.population)
    if arguments.seeds:
        population = replace(population, num_seeds=arguments.seeds)
    if arguments.vary is not None:
        pairs = (choice.split("=") for choice in arguments.vary)
        vary = {name: [float(v) for v in values.split(",")] for name, values in pairs}
        population = replace(population, vary=vary)
    sentences, num_phones = phone_sentences()
    speech, text = sentences[:NUM_SPEECH], sentences[NUM_SPEECH:]
    members = population.differences(trainer)
    print(f"preset {arguments.preset}, {trainer.updates} updates, members {members}", flush=True)
    start = time.process_time()
    with tempfile.TemporaryDirectory() as folder:
        arpa = Path(folder) / "phones.arpa"
        NgramEstimator(order=4).estimate_to(arpa, ([str(p) for p in s] for s in text))

        def criterion(found: list[Int32Array]) -> tuple[float, float]:
            named = [[str(p) for p in transcript] for transcript in found]
            perplexity = PerplexityScorer().perplexity(arpa, named)
            return perplexity, weighted_perplexity(perplexity, named, num_phones=num_phones)

        def validate(found: list[Int32Array]) -> dict[str, float]:
            _, weighted = criterion(found)
            rate = error_rate(found, speech)  # a control may look; the choice does not
            print(
                f"    {time.process_time() - start:6.0f} CPU s  PER {rate:5.1f}  "
                f"weighted perplexity {weighted:6.1f}",
                flush=True,
            )
            return {"weighted_lm_perplexity": weighted}

        segments = noisy_one_hot(speech, num_phones, arguments.noise)
        trained = population.player(trainer)(
            noisy_one_hot(speech, num_phones, arguments.noise, trainer.frames_per_segment),
            text,
            num_phones=num_phones,
            validate=validate,
            checkpoint_dir=Path(folder) / "checkpoint",
            validation_segments=segments,
        )
        wrote = [member.transcribe(segments) for member in trained]
        perplexities = [criterion(found)[0] for found in wrote]
    rates = [error_rate(found, speech) for found in wrote]
    for differences, rate, member in zip(members, rates, trained, strict=True):
        stopped = "" if member.stopped_at is None else f", given up at {member.stopped_at}"
        print(f"  {differences}: PER {rate:.1f} (update {member.chosen_update}{stopped})")
    choices = population.choices(wrote, perplexities, vocabulary_size=num_phones)
    for name, number in choices.items():
        print(f"  {name} takes member {number}: PER {rates[number]:.1f}")
    print(
        f"chosen by {population.rule}: PER {rates[choices[population.rule]]:.1f}; "
        f"{sum(rate <= 5 for rate in rates)} of {len(rates)} members at 5 or less; "
        f"{time.process_time() - start:.0f} CPU s"
    )


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
    return [merge_repeats(s) for s in kept if len(s)], len(ids)


def noisy_one_hot(
    sentences: list[np.ndarray], num_phones: int, noise: float, num_frames: int = 1
) -> RaggedArray:
    """Each phone `num_frames` times in a row of its segment, every time with other noise."""
    rng = np.random.default_rng(1)
    one_hot = np.tile(np.eye(num_phones, dtype=np.float32), num_frames)
    return RaggedArray.from_arrays(
        {
            str(i): one_hot[s] + noise * rng.standard_normal(one_hot[s].shape, dtype=np.float32)
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
