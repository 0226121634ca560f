"""One key for a language everywhere: espeak-ng's code; and what corpora call the same language."""

from __future__ import annotations

import wordfreq

from unsup_asr.speech.espeak_languages import languages, no_such_language

# Folder names of Multilingual LibriSpeech by the primary part of espeak-ng's code.
MLS_NAMES = {
    "en": "english",
    "de": "german",
    "nl": "dutch",
    "fr": "french",
    "es": "spanish",
    "it": "italian",
    "pt": "portuguese",
    "pl": "polish",
}
# Common Voice's locales where they are not the primary part of espeak-ng's code.
_COMMON_VOICE_LOCALES = {
    "cmn": "zh-CN",
    "ga": "ga-IE",
    "hy": "hy-AM",
    "nb": "nb-NO",
    "ne": "ne-NP",
    "pa": "pa-IN",
    "sv": "sv-SE",
}
# wordfreq's code where it is not the primary part of espeak-ng's.
_WORDFREQ_CODES = {"cmn": "zh", "yue": "zh", "hak": "zh", "no": "nb"}


def check_language(code: str) -> None:
    """ValueError, with near codes, where espeak-ng has no such language."""
    if code not in languages():
        raise ValueError(no_such_language(code))


def mls_name(code: str) -> str:
    """The language as MLS names its folders (`de` -> `german`); ValueError for one it lacks."""
    check_language(code)
    name = MLS_NAMES.get(code.split("-")[0])
    if name is None:
        offered = ", ".join(f"{primary} ({name})" for primary, name in MLS_NAMES.items())
        raise ValueError(f"MLS has no language {code!r}; it has {offered}")
    return name


def wordfreq_code(code: str) -> str | None:
    """The language as wordfreq names it, None where it has no list: `cmn` -> `zh`."""
    primary = code.split("-")[0]
    name = _WORDFREQ_CODES.get(primary, primary)
    return name if name in wordfreq.available_languages() else None


def common_voice_locale(code: str) -> str:
    """The language as Common Voice names its folders: `en-us` -> `en`, `cmn` -> `zh-CN`."""
    check_language(code)
    primary = code.split("-")[0]
    return _COMMON_VOICE_LOCALES.get(primary, primary)
