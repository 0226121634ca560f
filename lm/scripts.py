"""Which Unicode scripts a language is written in, and which script a letter belongs to."""

from __future__ import annotations

import unicodedata
from functools import lru_cache

# Languages of espeak-ng that are not written in Latin letters. A key matches the code itself or
# the part before a hyphen; the longer one wins.
_SCRIPTS: dict[str, tuple[str, ...]] = {
    "am": ("ETHIOPIC",),
    "ar": ("ARABIC",),
    "as": ("BENGALI",),
    "ba": ("CYRILLIC",),
    "be": ("CYRILLIC",),
    "bg": ("CYRILLIC",),
    "bn": ("BENGALI",),
    "bpy": ("BENGALI",),
    "chr": ("CHEROKEE",),
    "cmn": ("CJK",),
    "cmn-latn-pinyin": ("LATIN",),
    "cv": ("CYRILLIC",),
    "el": ("GREEK",),
    "en-shaw": ("SHAVIAN",),
    "fa": ("ARABIC",),
    "fa-latn": ("LATIN",),
    "grc": ("GREEK",),
    "gu": ("GUJARATI",),
    "hak": ("CJK", "LATIN"),
    "he": ("HEBREW",),
    "hi": ("DEVANAGARI",),
    "hy": ("ARMENIAN",),
    "hyw": ("ARMENIAN",),
    "ja": ("HIRAGANA", "KATAKANA", "CJK"),
    "ka": ("GEORGIAN",),
    "kk": ("CYRILLIC",),
    "kn": ("KANNADA",),
    "ko": ("HANGUL",),
    "kok": ("DEVANAGARI",),
    "ky": ("CYRILLIC",),
    "mk": ("CYRILLIC",),
    "ml": ("MALAYALAM",),
    "mn": ("CYRILLIC",),
    "mr": ("DEVANAGARI",),
    "my": ("MYANMAR",),
    "ne": ("DEVANAGARI",),
    "nog": ("CYRILLIC",),
    "or": ("ORIYA",),
    "pa": ("GURMUKHI",),
    "ru": ("CYRILLIC",),
    "ru-lv": ("CYRILLIC", "LATIN"),
    "sd": ("ARABIC",),
    "shn": ("MYANMAR",),
    "si": ("SINHALA",),
    "sr": ("CYRILLIC", "LATIN"),
    "ta": ("TAMIL",),
    "te": ("TELUGU",),
    "th": ("THAI",),
    "tt": ("CYRILLIC",),
    "ug": ("ARABIC",),
    "uk": ("CYRILLIC",),
    "ur": ("ARABIC",),
    "yue": ("CJK",),
}
_KNOWN = frozenset(script for scripts in _SCRIPTS.values() for script in scripts) | {"LATIN"}


def scripts_of_language(language: str) -> tuple[str, ...]:
    """First words of Unicode letter names, LATIN where nothing else is known of the language."""
    return _SCRIPTS.get(language) or _SCRIPTS.get(language.split("-")[0]) or ("LATIN",)


@lru_cache(maxsize=65536)
def script_of_letter(character: str) -> str | None:
    """LATIN, CYRILLIC, ARABIC...; None for what belongs to no one script (digits, marks)."""
    if unicodedata.category(character)[0] != "L":
        return None
    script = unicodedata.name(character, "").replace("-", " ").split(" ")[0]
    return script if script in _KNOWN else None
