"""What a report says of a run's nulls, ceilings and signs: is there anything in its error rate?"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from unsup_asr.report.results import Results, Row
from unsup_asr.scoring.maps import MapScores
from unsup_asr.scoring.nulls import MARGIN, NUM_DRAWS, margin
from unsup_asr.scoring.signs import ORDERS, TEXT, Signs

NULLS_NOTE = (
    "swap: the same output against another utterance's reference of like length; random: as many "
    f"phones drawn with the text's frequencies, mean of {NUM_DRAWS} draws; works: at least "
    f"{MARGIN:g} points under both"
)
MAPS_NOTE = (
    "random map: phones at random for clusters, in the text's proportions; majority map: each "
    "cluster as the phone it overlaps longest in training, the ceiling of any table; segments: "
    "each as the phone it overlaps longest"
)
NO_TIMES = "The ceilings need references with times, which this corpus does not have"
SIGNS_NOTE = (
    "without references, from training audio: phones a second of speech, silences cut; JS, the "
    "divergence in bits from the text (its own row: some of its sentences from the others); equal "
    "neighbours, of named segments or else of phones; perplexity, weighted; from the final, edits "
    "between the two outputs"
)


def verdict(results: Results) -> str:
    """Whether the final system works, in a sentence; '' where that is unknown."""
    final = results.final_row
    row = results.rows[final] if final else None
    if row is None or row.nulls is None:
        return ""
    swap, random = null_cells(row)
    under = margin(row.per, row.nulls)
    of_nulls = f"its nulls: audio swap {swap or 'not to be had'}, random phones {random}"
    if row.works:
        return f"works: {under:.1f} points under {of_nulls}"
    how = f"only {under:.1f} points under" if under > 0 else f"{-under:.1f} points above"
    return f"does not work: {how} {of_nulls}; expected at least {MARGIN:g} under"


def null_cells(row: Row) -> list[str]:
    """PER under audio swap and of random phones, '' where there is none."""
    if row.nulls is None:
        return ["", ""]
    swap = row.nulls.audio_swap
    return ["" if swap is None else f"{swap:.1f}", f"{row.nulls.random_phones:.1f}"]


def works_cell(row: Row) -> str:
    """'yes', 'no', or '' where it is unknown."""
    return "" if row.works is None else "yes" if row.works else "no"


def map_cells(maps: Sequence[MapScores]) -> tuple[list[str], list[list[str]]]:
    """Column names, and one line a matching: PER in percent on test."""
    header = ["clusters of", "random map", "majority map", "segments"]
    lines = [
        [m.system, f"{m.random_map:.1f}", _rate(m.majority_map), _rate(m.segments)] for m in maps
    ]
    return header, lines


def sign_cells(signs: Mapping[str, Signs]) -> tuple[list[str], list[list[str]]]:
    """Column names, and one line a system, the text first."""
    header = ["output of", "phones/utt.", "phones/s", "of the text's"]
    header += [*(f"JS {n}" for n in ORDERS), "equal neighbours %", "perplexity", "from the final %"]
    of_text = signs[TEXT]
    lines = [
        [
            "(text)" if name == TEXT else name,
            f"{of.phones_per_utterance:.1f}",
            f"{of.phones_per_second:.2f}",
            f"{of.phones_per_utterance / of_text.phones_per_utterance:.2f}",
            *(f"{of.js_divergence[n]:.3f}" if n in of.js_divergence else "" for n in ORDERS),
            f"{100 * of.equal_neighbours:.1f}",
            f"{of.perplexity:.1f}",
            "" if of.edits_from_final is None else f"{of.edits_from_final:.1f}",
        ]
        for name, of in signs.items()
    ]
    return header, lines


def _rate(per: float | None) -> str:
    return "" if per is None else f"{per:.1f}"
