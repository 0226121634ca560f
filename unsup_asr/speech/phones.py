"""One canonical phone inventory out of espeak-ng's many spellings, for speech and text alike.

espeak-ng writes some sequences as one phoneme (`aɪɚ`, `əl`, `ɑːɹ`, `n̩`) and others, of the same
sounds, as two. The rules below are about IPA letters, not about one language:

* stress, length, tie bars, tones (digits, Chao letters, and the final `ɜ` by which espeak-ng
  writes a third tone: `iɜ`) and punctuation are dropped;
* a dot after a letter means retroflex where IPA has such a letter (`ts.` -> `tʂ`, `r.` -> `ɽ`),
  and the apical vowel after it (`i.` -> `ɨ`);
* `nɡ` after a vowel is one sound (`onɡ` -> `o ŋ`);
* doubled letters, which mark length too, become one (`ss` -> `s`);
* nasal tildes, aspiration, palatalisation and other quality marks are kept;
* a syllabic consonant becomes schwa and the consonant (`n̩` -> `ə n`);
* a vowel and a consonant in one phoneme are split (`əl` -> `ə l`, `ɔːɹ` -> `ɔ ɹ`);
* of a vowel sequence, a final schwa-like glide is split off (`aɪɚ` -> `aɪ ɚ`, `iə` -> `i ə`), and
  a close vowel before an opener one (`iɛ` -> `i ɛ`, `uei` -> `u ei`); falling diphthongs and all
  affricates stay whole (`oʊ`, `tʃ`).
"""

from __future__ import annotations

import unicodedata
from functools import lru_cache

VOWELS = frozenset("aeiouyɑɐɒæɛɜɝəɚɘɵɞɪʏɨʉɯɤʌɔøœɶʊᵻᵿ")
CENTRAL_GLIDES = frozenset("əɚɐ")
CLOSE_VOWELS = frozenset("iuy")
NEARLY_CLOSE_VOWELS = frozenset("ɪʊʏɨʉɯ")
DOTTED = {"t": "ʈ", "d": "ɖ", "s": "ʂ", "z": "ʐ", "n": "ɳ", "l": "ɭ", "r": "ɽ", "i": "ɨ"}
TONE_3 = "ɜ"
HOMOGLYPHS = str.maketrans({"ε": "ɛ", "g": "ɡ"})  # Greek epsilon, Latin g
SYLLABIC = "\u0329"
RHOTIC_HOOK = "˞"
DROPPED = frozenset("ˈˌːˑ\u0361\u035c\u032f")  # stress, length, ties, non-syllabic mark


@lru_cache(maxsize=65536)
def fold_espeak(phone: str) -> tuple[str, ...]:
    """Canonical phones of one espeak-ng phoneme in IPA: none, one or several."""
    letters = _letters(phone)
    groups: list[list[str]] = []
    for letter in letters:
        if SYLLABIC in letter and not _is_vowel(letter):
            groups.append(["ə"])
            groups.append([letter.replace(SYLLABIC, "")])
        elif groups and letter[0] == groups[-1][-1][0]:
            groups[-1][-1] = max(groups[-1][-1], letter, key=len)  # a geminate is a long phone
        elif groups and _is_velar_nasal(groups, letter):
            groups[-1] = ["ŋ"]
        elif groups and _continues(groups[-1], letter):
            groups[-1].append(letter)
        else:
            groups.append([letter])
    return tuple(unicodedata.normalize("NFC", "".join(group)) for group in groups)


def is_modifier(character: str) -> bool:
    """Whether the character qualifies the letter before it and is no sound itself."""
    return unicodedata.category(character) in ("Mn", "Lm") or character == RHOTIC_HOOK


def _letters(phone: str) -> list[str]:
    """Base letters, each with the marks that modify it, without the dropped ones."""
    letters: list[str] = []
    ends_in_tone = False
    for character in unicodedata.normalize("NFD", phone.translate(HOMOGLYPHS)):
        if is_modifier(character):
            ends_in_tone = False
            if letters and character not in DROPPED:
                letters[-1] += character
        elif character == "." and letters:
            letters[-1] = DOTTED.get(letters[-1], letters[-1])
        elif unicodedata.category(character)[0] == "L":
            ends_in_tone = character == TONE_3 and len(letters) > 0
            letters.append(character)
    return letters[:-1] if ends_in_tone else letters


def _continues(group: list[str], letter: str) -> bool:
    """Whether the letter belongs to the phone begun by the group."""
    if _is_vowel(letter) != _is_vowel(group[-1]):
        return False
    if not _is_vowel(letter):
        return True
    if len(group) == 2 or letter[0] in CENTRAL_GLIDES:
        return False
    return group[0] not in CLOSE_VOWELS or letter[0] in CLOSE_VOWELS | NEARLY_CLOSE_VOWELS


def _is_velar_nasal(groups: list[list[str]], letter: str) -> bool:
    """Whether the letter ends the `nɡ` of a syllable's rhyme."""
    return letter == "ɡ" and groups[-1] == ["n"] and len(groups) > 1 and _is_vowel(groups[-2][-1])


def _is_vowel(letter: str) -> bool:
    return letter[0] in VOWELS
