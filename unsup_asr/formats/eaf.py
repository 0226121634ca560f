"""Recognised phones, and words, as a file of ELAN (.eaf), written by pympi.

Source of the format: Max Planck Institute for Psycholinguistics, "EAF annotation format", 2.8.
"""

from __future__ import annotations

import mimetypes
from collections.abc import Sequence
from pathlib import Path
from urllib.parse import quote
from xml.etree import ElementTree

from unsup_asr.types import Hypothesis, WordHypothesis


def eaf(phones: Hypothesis, *, audio: Path, words: WordHypothesis | None = None) -> str:
    """The file's text: a tier `phones`, above it one of `words`, linked to the recording.

    Times are whole milliseconds; an annotation lasts one at least. Where there are confidences,
    each annotation has its own on a tier that depends on it, `phones confidence`.
    """
    from pympi import Elan

    document = Elan.Eaf(author="unsup-asr")
    document.remove_tier("default")
    document.add_linguistic_type(_CONFIDENCE, "Symbolic_Association", timealignable=False)
    kind = mimetypes.guess_type(audio.name)[0] or "application/octet-stream"
    path = audio.resolve()
    document.add_linked_file(path.as_uri(), f"./{quote(bytes(Path(path.name)))}", kind)
    if words is not None:
        _add_tier(document, "words", words.words, words)
    _add_tier(document, "phones", phones.phones, phones)
    document.adocument["DATE"] = _NO_DATE
    found = ElementTree.tostring(Elan.to_adocument(document), encoding="unicode")
    return f'<?xml version="1.0" encoding="UTF-8"?>\n{found}'


_NO_DATE = "1970-01-01T00:00:00+00:00"  # one recording and model, one file
_ALIGNED, _CONFIDENCE = "default-lt", "confidence"  # types of tiers


def _add_tier(
    document, name: str, labels: Sequence[str], timed: Hypothesis | WordHypothesis
) -> None:
    document.add_tier(name, ling=_ALIGNED)
    for label, start_s, end_s in zip(labels, timed.starts_s, timed.ends_s, strict=True):
        start = round(1000 * start_s)
        document.add_annotation(name, start, max(start + 1, round(1000 * end_s)), label)
    if not timed.confidences:
        return
    below = f"{name} confidence"
    document.add_tier(below, ling=_CONFIDENCE, parent=name)
    aligned, referring = document.tiers[name][0], document.tiers[below][1]
    # pympi's add_ref_annotation looks for each one's annotation by its time, among all of them
    for of, confidence in zip(list(aligned), timed.confidences, strict=True):
        identifier = document.generate_annotation_id()
        document.annotations[identifier] = below
        referring[identifier] = (of, f"{confidence:.2f}", None, None)
