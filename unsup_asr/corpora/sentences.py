"""Where sentences come from when a corpus is made up: word frequencies, or a text file."""

from __future__ import annotations

import unicodedata
from collections import defaultdict
from pathlib import Path

import numpy as np
import wordfreq

from unsup_asr.corpora.languages import wordfreq_code
from unsup_asr.formats.lines import read_lines

# wordfreq ranks spelled letters ("s", "d", "t") among frequent words; true one-letter words
# ("a", "i", "y", "à", "o") rank above this.
ONE_LETTER_MAX_RANK = 60


def frequent_words(language: str, num_words: int) -> tuple[list[str], np.ndarray]:
    """The most frequent alphabetic words in the language's script, with probabilities (sum 1)."""
    code = wordfreq_code(language)
    if code is None:
        available = ", ".join(sorted(wordfreq.available_languages()))
        raise ValueError(
            f"no word frequencies for language {language!r}. wordfreq has: {available}. "
            "Give sentences as text_path instead"
        )
    candidates = [
        word
        for rank, word in enumerate(wordfreq.top_n_list(code, 2 * num_words))
        if _is_alphabetic(word) and (len(word) > 1 or rank < ONE_LETTER_MAX_RANK)
    ]
    table = wordfreq.get_frequency_dict(code)
    frequencies = {word: table[word] for word in candidates}
    script = _dominant_script(frequencies)
    words = [word for word in candidates if _script(word) == script][:num_words]
    weights = np.array([frequencies[word] for word in words])
    return words, weights / weights.sum()


def sample_sentences(
    words: list[str],
    probabilities: np.ndarray,
    *,
    num_sentences: int,
    min_words: int,
    max_words: int,
    generator: np.random.Generator,
) -> list[str]:
    """Distinct sentences of independent words; lengths uniform from min_words to max_words."""
    sentences: dict[str, None] = {}
    num_drawn = 0
    while len(sentences) < num_sentences:
        lengths = generator.integers(min_words, max_words + 1, size=num_sentences)
        drawn = generator.choice(len(words), size=int(lengths.sum()), p=probabilities)
        offset = 0
        for length in lengths:
            sentences[" ".join(words[i] for i in drawn[offset : offset + length])] = None
            offset += length
        num_drawn += num_sentences
        if num_drawn > 20 * num_sentences:
            raise ValueError(
                f"only {len(sentences)} distinct sentences in {num_drawn} draws from "
                f"{len(words)} words; expected {num_sentences}. Raise vocabulary_size or max_words"
            )
    return list(sentences)[:num_sentences]


def read_sentences(path: Path, *, generator: np.random.Generator) -> list[str]:
    """Distinct non-empty lines of a text file, white space normalised, shuffled."""
    if not path.is_file():
        raise ValueError(f"{path}: no such text file; text_path needs one sentence a line")
    lines = (" ".join(line.split()) for line in read_lines(path))
    sentences = [line for line in dict.fromkeys(lines) if line]
    if not sentences:
        raise ValueError(f"{path}: no sentences; text_path needs one sentence a line")
    return [sentences[i] for i in generator.permutation(len(sentences))]


def _is_alphabetic(word: str) -> bool:
    return all(unicodedata.category(character)[0] in "LM" for character in word)


def _script(word: str) -> str:
    """First word of the Unicode name of the first letter: LATIN, CYRILLIC, ARABIC..."""
    return unicodedata.name(word[0], "UNKNOWN").split()[0]


def _dominant_script(frequencies: dict[str, float]) -> str:
    mass: defaultdict[str, float] = defaultdict(float)
    for word, frequency in frequencies.items():
        mass[_script(word)] += frequency
    return max(mass, key=lambda script: mass[script])
