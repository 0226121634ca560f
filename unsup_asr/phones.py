"""One canonical phone inventory out of espeak-ng's many spellings, for speech and text alike.

espeak-ng writes some sequences as one phoneme (`aɪɚ`, `əl`, `ɑːɹ`, `n̩`) and others, of the same
sounds, as two. The rules below are about IPA letters, not about one language:

* stress, length, tie bars, and tones (digits and Chao letters) are dropped;
* nasal tildes, aspiration, palatalisation and other quality marks are kept;
* a syllabic consonant becomes schwa and the consonant (`n̩` -> `ə n`);
* a vowel and a consonant in one phoneme are split (`əl` -> `ə l`, `ɔːɹ` -> `ɔ ɹ`);
* of a vowel sequence, a final schwa-like glide is split off (`aɪɚ` -> `aɪ ɚ`, `iə` -> `i ə`);
  other diphthongs and all affricates stay whole (`oʊ`, `tʃ`).
"""

from __future__ import annotations

import unicodedata
from functools import lru_cache

VOWELS = frozenset("aeiouyɑɐɒæɛɜɝəɚɘɵɞɪʏɨʉɯɤʌɔøœɶʊᵻᵿ")
CENTRAL_GLIDES = frozenset("əɚɐ")
SYLLABIC = "\u0329"
DROPPED = frozenset(
    "ˈˌ'ːˑ͜͡‿"  # stress, length, ties
    "0123456789˥˦˧˨˩"  # tones
    "\u200d\u032f-_|. "  # joiners, non-syllabic mark, separators
)


@lru_cache(maxsize=65536)
def fold_espeak(phone: str) -> tuple[str, ...]:
    """Canonical phones of one espeak-ng phoneme in IPA: none, one or several."""
    letters = _letters(phone)
    groups: list[list[str]] = []
    for letter in letters:
        if SYLLABIC in letter and not _is_vowel(letter):
            groups.append(["ə"])
            groups.append([letter.replace(SYLLABIC, "")])
        elif groups and _continues(groups[-1], letter):
            groups[-1].append(letter)
        else:
            groups.append([letter])
    return tuple(unicodedata.normalize("NFC", "".join(group)) for group in groups)


def fold_espeak_sequence(phones: list[str] | tuple[str, ...]) -> tuple[str, ...]:
    """Canonical phones of a sequence of espeak-ng phonemes."""
    return tuple(folded for phone in phones for folded in fold_espeak(phone))


def _letters(phone: str) -> list[str]:
    """Base letters, each with the marks that modify it, without the dropped ones."""
    letters: list[str] = []
    for character in unicodedata.normalize("NFD", phone):
        if character in DROPPED:
            continue
        is_mark = unicodedata.category(character) in ("Mn", "Lm", "Sk")
        if is_mark and letters:
            letters[-1] += character
        elif not is_mark:
            letters.append(character)
    return letters


def _continues(group: list[str], letter: str) -> bool:
    """Whether the letter belongs to the phone begun by the group."""
    if _is_vowel(letter) != _is_vowel(group[-1]):
        return False
    if not _is_vowel(letter):
        return True
    return len(group) == 1 and letter[0] not in CENTRAL_GLIDES


def _is_vowel(letter: str) -> bool:
    return letter[0] in VOWELS
