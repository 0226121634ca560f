"""Samples as strips: wave and spectrogram over rows of phones that can be clicked."""

from __future__ import annotations

import base64
import io
import wave
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from html import escape

import numpy as np

from unsup_asr.report.page.document import note
from unsup_asr.report.results import SampleTranscript
from unsup_asr.report.samples import SAMPLE_RATE, Sample, Samples
from unsup_asr.scoring.metrics import align, count_errors
from unsup_asr.types import Float32Array, Seconds

_PX_A_SECOND = 200
_WAVE_PX, _SPECTROGRAM_PX = 64, 96
_IPA = ' lang="und-fonipa"'
_HOW_CHOSEN = (
    "Utterances of the test set in the order of a hash of their ids, which knows nothing of what "
    "was said or found"
)
_RIGHT = ("", "")  # of a phone: no kind, no facts
_KEYS = (
    "Click a phone or a word to hear it, the wave to hear all from there; by keys: Tab to a row, "
    "arrows along it, Enter to hear"
)
_WRONG = (
    '<p class="note"><span class="legend wrong">taken for another</span> '
    '<span class="legend deleted">missed</span> '
    '<span class="legend inserted">inserted</span></p>'
)


@dataclass(frozen=True)
class _Token:
    """What stands in a row: a phone or a word, when, and what is to be known of it."""

    label: str
    start_s: Seconds
    end_s: Seconds
    facts: str = ""
    kind: str = ""  # wrong, inserted, deleted


def sample_parts(samples: Samples) -> Iterable[str]:
    """Notes and one block a sample."""
    if not samples.shown:
        yield note("No utterance of the test set has been heard, so there is none to show")
        return
    yield note(_HOW_CHOSEN)
    if any(sample.sound is not None for sample in samples.shown):
        yield note(_KEYS)
    if samples.num_too_long:
        yield note(f"{samples.num_too_long} were left out, which would make the page too large")
    if samples.fault:
        yield note(f"Without sound, since {samples.fault.rstrip('.')}")
    if any(sample.said for sample in samples.shown):
        yield _WRONG
    yield from map(_sample, samples.shown)


def pairs(said: Sequence[str], recognised: Sequence[str], *, kind: str) -> str:
    """What was said above what was recognised, `phones` or `words`, without times."""
    blocks = "".join(_pairs(said, recognised))
    return f'<div class="{kind}"{_IPA if kind == "phones" else ""}>{blocks}</div>'


def _sample(sample: Sample) -> str:
    name = escape(sample.utterance_id)
    facts = [f"speaker {sample.speaker}"] if sample.speaker else []
    if sample.sound is not None:
        facts.insert(0, f"{len(sample.sound) / SAMPLE_RATE:.1f} s")
    if sample.said is not None and sample.said.reference:
        facts += [
            f"PER of {system} {count_errors(sample.said.reference, found.phones).rate:.0f} %"
            for system, found in sample.found.items()
        ]
    lines = [f'<article aria-label="{name}">', f"<h3>{name}</h3>"]
    lines += [note(", ".join(facts))] if facts else []
    if sample.sound is not None:
        lines.append(_strip(sample, sample.sound))
    if sample.said is not None and (sample.sound is None or not sample.said.starts_s):
        for system, found in sample.found.items():
            lines.append(note(f"said above, found by {system} below"))
            lines.append(pairs(sample.said.reference, found.phones, kind="phones"))
    elif sample.sound is None:
        for system, found in sample.found.items():
            lines.append(note(f"found by {system}"))
            lines.append(f"<p{_IPA}>{escape(' '.join(found.phones))}</p>")
    return "\n".join([*lines, "</article>"])


def _strip(sample: Sample, sound: Float32Array) -> str:
    seconds = len(sound) / SAMPLE_RATE
    name = escape(sample.utterance_id)
    rows: list[str] = []
    said = sample.said
    if said is not None and said.starts_s:
        rows.append(_row("phones said", _said_tokens(sample, said), seconds, lang=_IPA))
    for system, found in sample.found.items():
        tokens = _found_tokens(sample, system) if found.starts_s else []
        if tokens or not found.phones:
            rows.append(_row(f"phones found by {system}", tokens, seconds, lang=_IPA))
    if sample.words is not None and sample.words.starts_s:
        spans = zip(sample.words.words, sample.words.starts_s, sample.words.ends_s, strict=True)
        words = [_Token(word, start, end) for word, start, end in spans]
        rows.append(_row("words found", words, seconds, lang=' lang="und"'))
    width = round(seconds * _PX_A_SECOND)
    return "\n".join(
        [
            '<div class="sample">',
            f'<audio controls data-rate="{SAMPLE_RATE}" aria-label="sound of {name}" '
            f'src="data:audio/wav;base64,{base64.b64encode(_wav(sound)).decode()}"></audio>',
            f'<div class="view" tabindex="0" role="group" aria-label="picture of {name}">'
            f'<div class="strip" style="width: {width}px">',
            f'<canvas class="wave" height="{_WAVE_PX}" role="img" aria-label="wave of {name}">'
            "</canvas>",
            f'<canvas class="spectrogram" height="{_SPECTROGRAM_PX}" role="img" '
            f'aria-label="spectrogram of {name}"></canvas>',
            _edges(sample, seconds),
            *rows,
            '<div class="playhead" hidden></div></div></div>',
            _legend(sample),
            "</div>",
        ]
    )


def _row(name: str, tokens: Sequence[_Token], seconds: Seconds, *, lang: str) -> str:
    buttons = "\n".join(_button(token, seconds) for token in tokens)
    return (
        f'<div class="of">{escape(name)}{"" if tokens else ": none"}</div>\n'
        f'<div class="row" role="group" aria-label="{escape(name)}"{lang}>\n{buttons}\n</div>'
    )


def _button(token: _Token, seconds: Seconds) -> str:
    title = f"{token.label}, {token.start_s:.2f} to {token.end_s:.2f} s{token.facts}"
    left = 100 * token.start_s / seconds
    width = max(0.0, 100 * (token.end_s - token.start_s) / seconds)
    kind = f' class="{token.kind}"' if token.kind else ""
    return (
        f'<button type="button"{kind} '
        f'data-start="{token.start_s:.4f}" data-end="{token.end_s:.4f}" '
        f'style="left: {left:.3f}%; width: {width:.3f}%" title="{escape(title)}">'
        f"{escape(token.label)}</button>"
    )


def _said_tokens(sample: Sample, said: SampleTranscript) -> list[_Token]:
    """Phones that were said, marked where the only system to be compared with took them wrong."""
    marks = [_RIGHT] * len(said.reference)
    if len(sample.found) == 1:
        (found,) = sample.found.values()
        marks, _ = _marks(said.reference, found.phones)
    spans = zip(said.reference, said.starts_s, said.ends_s, marks, strict=True)
    return [_Token(phone, start, end, facts, kind) for phone, start, end, (kind, facts) in spans]


def _found_tokens(sample: Sample, system: str) -> list[_Token]:
    found = sample.found[system]
    sure = [f"; confidence {of_one:.2f}" for of_one in found.confidences]
    marks = [_RIGHT] * len(found.phones)
    if sample.said is not None:
        _, marks = _marks(sample.said.reference, found.phones)
    rows = zip(
        *(found.phones, found.starts_s, found.ends_s),
        sure or [""] * len(found.phones),
        marks,
        strict=True,
    )
    return [
        _Token(phone, start, end, confidence + facts, kind)
        for phone, start, end, confidence, (kind, facts) in rows
    ]


def _marks(
    said: Sequence[str], found: Sequence[str]
) -> tuple[list[tuple[str, str]], list[tuple[str, str]]]:
    """Kind and facts of each phone said, and of each found, over one cheapest alignment."""
    of_said: list[tuple[str, str]] = []
    of_found: list[tuple[str, str]] = []
    for phone, heard in align(said, found):
        if phone is None:
            of_found.append(("inserted", "; nothing was said"))
        elif heard is None:
            of_said.append(("deleted", "; missed"))
        elif phone != heard:
            of_said.append(("wrong", f"; taken for {heard}"))
            of_found.append(("wrong", f"; said: {phone}"))
        else:
            of_said.append(_RIGHT)
            of_found.append(_RIGHT)
    return of_said, of_found


def _edges(sample: Sample, seconds: Seconds) -> str:
    """Boundaries over wave and spectrogram: true ones above, found ones below."""
    paths: list[str] = []
    middle, bottom = _WAVE_PX // 2, _WAVE_PX + _SPECTROGRAM_PX
    of_segments = _WAVE_PX + _SPECTROGRAM_PX // 2

    def draw(kind: str, times_s: Iterable[Seconds], *spans: tuple[int, int]) -> None:
        lines = [
            f"M{1000 * time / seconds:.1f} {top}V{end}"
            for time in sorted({round(t, 4) for t in times_s})
            for top, end in spans
        ]
        if lines:
            paths.append(f'<path class="{kind}" d="{"".join(lines)}"/>')

    said = sample.said
    if said is not None:
        draw("true", (*said.starts_s, *said.ends_s), (0, middle), (_WAVE_PX, of_segments))
        draw("segments", said.boundaries_s, (of_segments, bottom))
    if len(sample.found) == 1:
        (found,) = sample.found.values()
        draw("found", (*found.starts_s, *found.ends_s), (middle, _WAVE_PX))
    return (
        f'<svg class="edges" viewBox="0 0 1000 {bottom}" preserveAspectRatio="none" '
        f'aria-hidden="true">{"".join(paths)}</svg>'
    )


def _legend(sample: Sample) -> str:
    said, parts = sample.said, []
    if said is not None and said.starts_s:
        parts.append('<span class="legend true">true boundaries</span>')
    if len(sample.found) == 1:
        parts.append('<span class="legend found">of the phones found</span>')
    if said is not None and said.boundaries_s:
        parts.append('<span class="legend segments">of the segments that it began with</span>')
    return f'<p class="note">{" ".join(parts)}</p>' if parts else ""


def _pairs(said: Sequence[str], recognised: Sequence[str]) -> Iterable[str]:
    for above, below in align(said, recognised):
        kind = "pair"
        if above is None:
            kind += " inserted"
        elif below is None:
            kind += " deleted"
        elif above != below:
            kind += " wrong"
        yield (
            f'<div class="{kind}"><span>{escape(above or "·")}</span>'
            f"<span>{escape(below or '·')}</span></div>"
        )


def _wav(sound: Float32Array) -> bytes:
    """16 bits, one channel, behind a header of 44 bytes."""
    out = io.BytesIO()
    with wave.open(out, "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(SAMPLE_RATE)
        file.writeframes(np.clip(np.round(32768 * sound), -32768, 32767).astype("<i2").tobytes())
    return out.getvalue()
