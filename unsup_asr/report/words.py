"""Word error rates of a run, and the words that its lexicon lacks."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from dataclasses import asdict, dataclass

from unsup_asr.report.rows import ErrorRow, error_row
from unsup_asr.scoring.metrics import count_errors

_SHOWN_UNKNOWN = 50


@dataclass(frozen=True, kw_only=True)
class WordRow(ErrorRow):
    """One system scored on one set: WER in percent."""

    wer: float


@dataclass(frozen=True, kw_only=True)
class TunedWeights:
    """A pair of decoder weights, its label-free criterion, and the WER that it gave."""

    lm_weight: float
    word_score: float
    criterion: float
    wer: float


@dataclass(frozen=True, kw_only=True)
class WordResults:
    """`rows` by system. Of the reference words of test, `unknown_words` are not in the lexicon: the
    most frequent 50 of `num_unknown_types`, with counts; `unknown_rate` is in percent of running
    words. `samples`: utterance, words said, words recognised. `tuning`: pairs of weights tried on
    `num_tuned` utterances of dev, the one chosen first; empty where none were.
    """

    rows: dict[str, WordRow]
    num_lexicon_words: int
    unknown_rate: float
    num_unknown_types: int
    unknown_words: dict[str, int]
    samples: tuple[tuple[str, tuple[str, ...], tuple[str, ...]], ...]
    tuning: tuple[TunedWeights, ...] = ()
    num_tuned: int = 0

    def cells(self) -> tuple[list[str], list[list[str]]]:
        """Column names, and one list of cells a row; edits in percent of the reference words."""
        header = ["", "system", "WER %", "95 % interval", "ins", "del", "sub", "scored on"]
        lines = [["", name, *row.cells(), row.scored_on] for name, row in self.rows.items()]
        return header, lines

    def unknown_summary(self) -> str:
        """One line: how many words of the references no lexicon search could have found."""
        text = f"{self.unknown_rate:.1f} % of the words said are not among the "
        text += f"{self.num_lexicon_words} of the lexicon"
        if self.unknown_words:
            shown = list(self.unknown_words)[:5]
            text += f" ({', '.join(shown)}{', ...' if self.num_unknown_types > 5 else ''})"
        return text

    def tuning_summary(self) -> str:
        """One line: what was chosen without labels, and what labels would have chosen."""
        chosen, oracle = self.tuning[0], min(self.tuning, key=lambda tuned: tuned.wer)
        return (
            f"{_weights(chosen)} chosen without labels, WER {chosen.wer:.1f} % on "
            f"{self.num_tuned} utterances of dev; the oracle, of {len(self.tuning)} pairs: "
            f"{_weights(oracle)}, {oracle.wer:.1f} %"
        )

    def to_json(self) -> dict[str, object]:
        """Plain values."""
        samples = [[i, list(said), list(found)] for i, said, found in self.samples]
        return {**asdict(self), "samples": samples, "tuning": list(map(asdict, self.tuning))}

    @classmethod
    def from_json(cls, data: Mapping) -> WordResults:
        """What `to_json` wrote."""
        rows = {name: WordRow(**row) for name, row in data["rows"].items()}
        samples = tuple((i, tuple(said), tuple(found)) for i, said, found in data["samples"])
        tuning = tuple(TunedWeights(**tuned) for tuned in data["tuning"])
        return cls(**{**data, "rows": rows, "samples": samples, "tuning": tuning})


def word_row(
    references: Mapping[str, Sequence[str]],
    recognised: Mapping[str, Sequence[str]],
    *,
    split: str,
    seed: int,
) -> WordRow:
    """WER over all references; an utterance that was not recognised has all its words missing."""
    counts = [count_errors(said, recognised.get(i, ())) for i, said in references.items()]
    scored = error_row(counts, split=split, seed=seed)
    return WordRow(wer=scored.rate, **asdict(scored))


def word_results(
    rows: dict[str, WordRow],
    references: Mapping[str, Sequence[str]],
    recognised: Mapping[str, Sequence[str]],
    lexicon_words: Collection[str],
    *,
    num_samples: int,
    tuning: tuple[TunedWeights, ...],
    num_tuned: int,
) -> WordResults:
    """Rows with what the lexicon lacks of these references, and the first utterances in words."""
    said = Counter(word for words in references.values() for word in words)
    unknown = Counter({word: count for word, count in said.items() if word not in lexicon_words})
    ordered = sorted(unknown.items(), key=lambda item: (-item[1], item[0]))
    return WordResults(
        rows=rows,
        num_lexicon_words=len(lexicon_words),
        unknown_rate=100.0 * unknown.total() / said.total(),
        num_unknown_types=len(unknown),
        unknown_words=dict(ordered[:_SHOWN_UNKNOWN]),
        samples=tuple(
            (i, tuple(words), tuple(recognised.get(i, ())))
            for i, words in list(references.items())[:num_samples]
        ),
        tuning=tuning,
        num_tuned=num_tuned,
    )


def _weights(tuned: TunedWeights) -> str:
    return f"lm_weight {tuned.lm_weight:g}, word_score {tuned.word_score:g}"
