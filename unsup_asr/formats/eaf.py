"""Recognised phones, and words, as a file of ELAN (.eaf), written by pympi.

Source of the format: Max Planck Institute for Psycholinguistics, "EAF annotation format", 2.8.
"""

from __future__ import annotations

import mimetypes
from collections.abc import Sequence
from pathlib import Path
from urllib.parse import quote
from xml.etree import ElementTree

from unsup_asr.types import Hypothesis, Seconds, WordHypothesis


def eaf(phones: Hypothesis, *, audio: Path, words: WordHypothesis | None = None) -> str:
    """The file's text: a tier `phones`, above it one of `words`, linked to the recording.

    Times are whole milliseconds; an annotation lasts one at least.
    """
    from pympi import Elan

    document = Elan.Eaf(author="unsup-asr")
    document.remove_tier("default")
    kind = mimetypes.guess_type(audio.name)[0] or "application/octet-stream"
    path = audio.resolve()
    document.add_linked_file(path.as_uri(), f"./{quote(bytes(Path(path.name)))}", kind)
    if words is not None:
        _add_tier(document, "words", words.words, words.starts_s, words.ends_s)
    _add_tier(document, "phones", phones.phones, phones.starts_s, phones.ends_s)
    document.adocument["DATE"] = _NO_DATE
    found = ElementTree.tostring(Elan.to_adocument(document), encoding="unicode")
    return f'<?xml version="1.0" encoding="UTF-8"?>\n{found}'


_NO_DATE = "1970-01-01T00:00:00+00:00"  # one recording and model, one file


def _add_tier(
    document,
    name: str,
    labels: Sequence[str],
    starts_s: Sequence[Seconds],
    ends_s: Sequence[Seconds],
) -> None:
    document.add_tier(name)
    for label, start_s, end_s in zip(labels, starts_s, ends_s, strict=True):
        start = round(1000 * start_s)
        document.add_annotation(name, start, max(start + 1, round(1000 * end_s)), label)
