"""References that name times in recordings, dealt out to the parts that these were cut into."""

from __future__ import annotations

import bisect
import logging
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from unsup_asr.corpora.folder_references import References, Stretch
from unsup_asr.types import Seconds, Utterance

log = logging.getLogger(__name__)

_BEYOND_S = 0.5  # the end of a recording, as tables are rounded


def dealt(
    references: References, utterances: Sequence[Utterance], id_of: Mapping[Path, str], table: Path
) -> References:
    """Of each utterance what was said in it; one in which nothing was has no reference.

    Tokens of a stretch are taken to follow each other evenly, so that where a stretch lies in two
    parts each gets those whose middle is in it; the log counts such stretches. `id_of` are the
    recordings' ids by path. ValueError for a stretch behind its recording's end.
    """
    parts: dict[str, list[Utterance]] = {}
    for utterance in utterances:
        parts.setdefault(id_of[Path(utterance.audio).resolve()], []).append(utterance)
    tokens: dict[str, tuple[str, ...]] = {}
    num_divided = num_stretches = 0
    for key, stretches in references.stretches.items():
        of_one = sorted(parts.get(key, ()), key=_start)
        for stretch in sorted(stretches, key=lambda stretch: stretch.start_s):
            if not of_one:  # a recording that could not be read and was left out
                continue
            _check_end(stretch, key, of_one[-1], table)
            shares = _shares(stretch, [_start(part) for part in of_one])
            num_stretches += 1
            num_divided += len(shares) > 1
            for number, said in shares.items():
                part = of_one[number].id
                tokens[part] = tokens.get(part, ()) + said
    log.info(
        "%s: %d stretches in %d of %d utterances, %d of them divided; where nothing was said "
        "nothing is scored",
        *(table, num_stretches, len(tokens), len(utterances), num_divided),
    )
    return replace(references, tokens=tokens, stretches={})


def _start(part: Utterance) -> Seconds:
    return part.start_s or 0.0


def _check_end(stretch: Stretch, key: str, last: Utterance, table: Path) -> None:
    end_s = _start(last) + last.duration_s
    if stretch.end_s > end_s + _BEYOND_S:
        raise ValueError(
            f"{table}:{stretch.line}: end_s is {stretch.end_s}, and recording {key!r} lasts "
            f"{end_s:.3f} s; correct the time, or the recording's name"
        )


def _shares(stretch: Stretch, starts_s: Sequence[Seconds]) -> dict[int, tuple[str, ...]]:
    """Tokens by the number of the part that their middle lies in."""
    step_s = (stretch.end_s - stretch.start_s) / len(stretch.tokens)
    shares: dict[int, tuple[str, ...]] = {}
    for number, token in enumerate(stretch.tokens):
        middle_s = stretch.start_s + (number + 0.5) * step_s
        part = max(bisect.bisect_right(starts_s, middle_s) - 1, 0)
        shares[part] = (*shares.get(part, ()), token)
    return shares
