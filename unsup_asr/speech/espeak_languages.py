"""The languages that espeak-ng speaks: codes, names, and the few that a wrong code may mean."""

from __future__ import annotations

import difflib
from functools import lru_cache
from pathlib import Path

import espeakng_loader

_MOST_NEAR = 6


@lru_cache(maxsize=1)
def languages() -> dict[str, str]:
    """Language codes that espeak-ng can speak, each with the data file that defines it.

    The code is the first one the file names, as phonemizer has it, so that text and speech agree.
    """
    return {code: file for code, (file, _) in _defined().items()}


@lru_cache(maxsize=1)
def language_names() -> dict[str, str]:
    """English name of each code."""
    return {code: name for code, (_, name) in _defined().items()}


def near_languages(code: str) -> list[str]:
    """At most six codes that may be meant: of the same primary code, or of a name or a longer code
    that begins alike (`swa` and `swahili` for `sw`).
    """
    wanted = code.replace("_", "-").lower()
    primary = wanted.split("-")[0]
    known = sorted(languages(), key=lambda code: (len(code), code))  # main varieties first
    names = {language_names()[code].lower(): code for code in reversed(known)}
    near = [other for other in known if other.split("-")[0] == primary]
    if len(primary) > 2:
        near += [other for other in known if language_names()[other].lower().startswith(primary)]
        near += [other for other in known if other == primary[:2]]
    near += [names[n] for n in difflib.get_close_matches(wanted, names, n=3, cutoff=0.75)]
    return list(dict.fromkeys(near))[:_MOST_NEAR]


def no_such_language(code: str) -> str:
    """What to tell whoever named a language that espeak-ng does not speak."""
    near = [f"{known} ({language_names()[known]})" for known in near_languages(code)]
    meant = f"near codes: {', '.join(near)}" if near else "no code is near it"
    return (
        f"espeak-ng has no language {code!r}; {meant}. `espeak-ng --voices` lists all; a language "
        "that it does not speak needs another phonemiser (docs/your-own-data.md)"
    )


@lru_cache(maxsize=1)
def _defined() -> dict[str, tuple[str, str]]:
    """File and name of each code."""
    root = Path(espeakng_loader.get_data_path()) / "lang"
    found: dict[str, tuple[str, str]] = {}
    for path in sorted(root.rglob("*")):
        if path.is_file():
            lines = path.read_text("utf-8", errors="replace").splitlines()
            code = next(line.split()[1] for line in lines if line.startswith("language "))
            name = next((line[5:].strip() for line in lines if line.startswith("name ")), code)
            found.setdefault(code, (path.relative_to(root).as_posix(), name))
    return found
