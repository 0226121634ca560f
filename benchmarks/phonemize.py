"""Sentences a second through normalisation and phonemization, one thread; then the whole front
end, from a file into a folder, and the most memory it took.

python benchmarks/phonemize.py [--language en-us] [--sentences 100000] [--front-end-alone]
"""

import argparse
import tempfile
import time
from pathlib import Path

import numpy as np

from lm.front_end import EspeakFrontEnd
from lm.normalize import TextNormalizer
from lm.phonemize import EspeakPhonemizer
from lm.phonemized import PhonemizeTally
from unsup_asr.corpora.sentences import frequent_words, sample_sentences
from unsup_asr.engine.record import peak_rss_mb


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--language", default="en-us")
    parser.add_argument("--sentences", type=int, default=100_000)
    parser.add_argument("--front-end-alone", action="store_true")
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
    if not arguments.front_end_alone:
        in_memory(lines, arguments.language)
    with tempfile.TemporaryDirectory() as folder:
        (Path(folder) / "text.txt").write_text("\n".join(lines) + "\n", "utf-8")
        del lines
        before_mb = peak_rss_mb()
        start = time.perf_counter()
        front_end = EspeakFrontEnd(language=arguments.language)
        front_end.prepare(Path(folder) / "text.txt", Path(folder))
        wall_s = time.perf_counter() - start
    print(f"front end  {wall_s:9.1f} s in all; peak {peak_rss_mb():.0f} MB, {before_mb:.0f} before")


def in_memory(lines: list[str], language: str) -> None:
    start = time.perf_counter()
    normalized, _ = TextNormalizer(language=language).normalize_lines(lines)
    normalized_at = time.perf_counter()
    tally = PhonemizeTally()
    num_words = sum(
        len(line.words) for line in EspeakPhonemizer(language=language).stream(normalized, tally)
    )
    phonemized_at = time.perf_counter()
    print(f"normalise  {len(lines) / (normalized_at - start):9.0f} sentences/s")
    print(
        f"phonemize  {len(lines) / (phonemized_at - normalized_at):9.0f} sentences/s  "
        f"{num_words / (phonemized_at - normalized_at):9.0f} words/s"
    )
    print(tally.counts)


if __name__ == "__main__":
    main()
