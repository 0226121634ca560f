"""Utterances a second and PER of greedy, phone-beam and word decoding on made-up posteriors.

python benchmarks/decode.py [--utterances 100] [--workers 1]

Posteriors are those of sentences of phones of random lengths, with confusions that last a whole
phone and smooth noise; 300 frames of 45 phones an utterance, no blank.
"""

import argparse
import tempfile
import time
from pathlib import Path

import numpy as np
from rapidfuzz.distance import Levenshtein

from lm.beam import BeamDecoder
from lm.greedy import decode_greedy_runs
from lm.inventory import count_inventory
from lm.lexicon import Lexicon
from lm.ngram import NgramEstimator
from lm.phonemize import EspeakPhonemizer
from lm.words import WordDecoder
from unsup_asr.corpora.sentences import frequent_words, sample_sentences

NUM_FRAMES = 300


def made_up_posteriors(
    phones: list[int], confusable: np.ndarray, generator: np.random.Generator
) -> np.ndarray:
    num_phones = len(confusable)
    edges = np.cumsum([0, *generator.integers(4, 13, len(phones))])
    durations = np.diff(np.round(edges * NUM_FRAMES / edges[-1]).astype(int))
    logits = np.repeat(generator.normal(0, 0.8, (len(phones), num_phones)), durations, axis=0)
    labels = np.repeat(phones, durations)
    frames = np.arange(len(labels))
    logits[frames, labels] += 4.0
    raised = np.repeat(generator.normal(1.5, 1.2, (len(phones), confusable.shape[1])), durations, 0)
    logits[frames[:, None], confusable[labels]] += raised
    noise = generator.normal(0, 1.5, (len(labels) + 4, num_phones))
    logits += sum(noise[k : k + len(labels)] for k in range(5)) / 5
    log_total = np.logaddexp.reduce(logits, axis=1, keepdims=True)
    return (logits - log_total).astype(np.float32)


def error_rate(found: list, references: list) -> float:
    errors = sum(Levenshtein.distance(a, b) for a, b in zip(found, references, strict=True))
    return 100.0 * errors / sum(map(len, references))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--utterances", type=int, default=100)
    parser.add_argument("--workers", type=int, default=1)
    arguments = parser.parse_args()
    num, workers = arguments.utterances, arguments.workers
    generator = np.random.default_rng(0)
    words, probabilities = frequent_words("en-us", 5000)
    lines = sample_sentences(
        words,
        probabilities,
        num_sentences=20000 + num,
        min_words=6,
        max_words=12,
        generator=generator,
    )
    text = EspeakPhonemizer().phonemize_text(lines)
    sentences = [[p for word in line for p in word] for line in text.phones]
    inventory = count_inventory(sentences, min_count=1, rare="keep")
    phones, index = list(inventory.phones), inventory.index
    confusable = np.array([generator.choice(len(phones), 5, replace=False) for _ in phones])
    references, spoken_words = sentences[20000:], [line.split() for line in lines[20000:]]
    posteriors = [
        made_up_posteriors([index[p] for p in reference], confusable, generator)
        for reference in references
    ]
    mean_frames = np.mean([len(p) for p in posteriors])
    print(f"{num} utterances, {mean_frames:.0f} frames, {len(phones)} phones, {workers} workers")

    start = time.perf_counter()
    greedy = [decode_greedy_runs(p, phones).phones for p in posteriors]
    rate = num / (time.perf_counter() - start)
    print(f"greedy          {rate:8.1f} utterances/s  PER {error_rate(greedy, references):6.2f}")
    with tempfile.TemporaryDirectory() as folder:
        phone_lm, word_lm = Path(folder) / "phones.arpa", Path(folder) / "words.arpa"
        NgramEstimator(order=4).estimate_to(phone_lm, sentences[:20000])
        NgramEstimator(order=3).estimate_to(word_lm, [line.split() for line in lines[:20000]])
        lexicon = Path(folder) / "lexicon.tsv"
        Lexicon.from_counts(text.pronunciation_counts).write(lexicon)
        for beam in (50, 500):
            decoder = BeamDecoder(lm_path=str(phone_lm), beam=beam)
            decoder.decode(posteriors[0], phones)  # loads the model
            start = time.perf_counter()
            decoded = decoder.decode_batch(posteriors, phones)
            rate = num / (time.perf_counter() - start)
            per = error_rate([best[0].phones for best in decoded], references)
            print(f"phone beam {beam:4d} {rate:8.1f} utterances/s  PER {per:6.2f}", flush=True)
        for beam in (50, 100, 300):
            word_decoder = WordDecoder(
                lexicon_path=str(lexicon),
                lm_path=str(word_lm),
                lm_weight=2.0,
                word_score=-2.0,
                beam=beam,
            )
            start = time.perf_counter()
            found = word_decoder.decode_batch(posteriors, phones, num_workers=workers)
            sentences_found = [best for (best,) in found]
            rate = num / (time.perf_counter() - start)
            per = error_rate([s.phones for s in sentences_found], references)
            wer = error_rate([[w.word for w in s.words] for s in sentences_found], spoken_words)
            print(
                f"word beam {beam:5d} {rate:8.1f} utterances/s  PER {per:6.2f}  WER {wer:6.2f}  "
                "(loading included)",
                flush=True,
            )


if __name__ == "__main__":
    main()
