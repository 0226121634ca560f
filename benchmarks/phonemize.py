"""Sentences a second through normalisation and phonemization, one thread.

python benchmarks/phonemize.py [--language en-us] [--sentences 20000]
"""

import argparse
import time

import numpy as np

from lm.normalize import TextNormalizer
from lm.phonemize import EspeakPhonemizer
from unsup_asr.corpora.sentences import frequent_words, sample_sentences


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--language", default="en-us")
    parser.add_argument("--sentences", type=int, default=20000)
    arguments = parser.parse_args()
    words, probabilities = frequent_words(arguments.language, 5000)
    lines = sample_sentences(
        words,
        probabilities,
        num_sentences=arguments.sentences,
        min_words=6,
        max_words=12,
        generator=np.random.default_rng(0),
    )
    start = time.perf_counter()
    normalized, _ = TextNormalizer(language=arguments.language).normalize_lines(lines)
    normalized_at = time.perf_counter()
    text = EspeakPhonemizer(language=arguments.language).phonemize_text(normalized)
    phonemized_at = time.perf_counter()
    num_words = sum(map(len, text.words))
    print(f"normalise  {len(lines) / (normalized_at - start):9.0f} sentences/s")
    print(
        f"phonemize  {len(lines) / (phonemized_at - normalized_at):9.0f} sentences/s  "
        f"{num_words / (phonemized_at - normalized_at):9.0f} words/s"
    )
    print(text.counts)


if __name__ == "__main__":
    main()
