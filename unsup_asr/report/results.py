"""What a run reached: the content of `results.json`, written by `evaluate`, read by reports."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, fields
from pathlib import Path

import numpy as np

from unsup_asr.formats.whole import write_whole
from unsup_asr.report.rows import ErrorRow, error_row
from unsup_asr.report.tables import Iteration, LayerWeights, PopulationResult
from unsup_asr.report.words import WordResults
from unsup_asr.scoring.boundaries import BoundaryScores
from unsup_asr.scoring.maps import MapScores
from unsup_asr.scoring.metrics import Confusions
from unsup_asr.scoring.nulls import Nulls, works
from unsup_asr.scoring.reliability import Reliability
from unsup_asr.scoring.signs import Signs
from unsup_asr.types import ErrorCounts, Seconds

FINAL_ROW = "self_training"
SUPERVISED_ROW = "supervised"  # the network of self-training, on references
SUPERB_ROW = "supervised (SUPERB recipe)"  # a linear head on frozen layers, on references
SUPERVISED_ROWS = (SUPERVISED_ROW, SUPERB_ROW)
_TIMES = ("starts_s", "ends_s", "boundaries_s")
WORDS_ROW = f"{FINAL_ROW}+words"  # the phones of the words that the final system was decoded into

LETTERS_ROW = "letters"  # an upstream fine-tuned on the letters of the final system's words


@dataclass(frozen=True, kw_only=True)
class Row(ErrorRow):
    """One system scored on one set: PER in percent.

    `criterion` is the label-free score by which systems are chosen (lower is better), None where
    it does not apply; `chosen` says that the run went on with this system. `decoding` says what
    beside the acoustics decided the phones: 'no LM', 'phone LM', 'words', '' where it is unknown.
    `nulls` (`scoring.nulls`) is None in results of older versions.
    """

    per: float
    criterion: float | None = None
    chosen: bool = False
    decoding: str = ""
    nulls: Nulls | None = None

    def __post_init__(self) -> None:
        if not math.isfinite(self.per) or not self.interval_low <= self.interval_high:
            raise ValueError(
                f"row with PER {self.per} and interval [{self.interval_low}, "
                f"{self.interval_high}]; expected finite values with low <= high"
            )

    @property
    def works(self) -> bool | None:
        """Whether it beats its nulls by `scoring.nulls.MARGIN` points; None without any."""
        return None if self.nulls is None else works(self.per, self.nulls)


def row_from_counts(
    counts: Sequence[ErrorCounts],
    *,
    split: str,
    seed: int,
    criterion: float | None = None,
    chosen: bool = False,
    decoding: str = "",
    nulls: Nulls | None = None,
) -> Row:
    """The row of one system from its counts by utterance, with a 95 % bootstrap interval."""
    scored = error_row(counts, split=split, seed=seed)
    return Row(
        per=scored.rate,
        criterion=criterion,
        chosen=chosen,
        decoding=decoding,
        nulls=nulls,
        **asdict(scored),
    )


@dataclass(frozen=True)
class SampleTranscript:
    """Reference and recognised phones of one utterance; times of the reference's phones where the
    corpus is aligned, and the boundaries of the segments that the run was made on, where it was.
    """

    utterance_id: str
    reference: tuple[str, ...]
    hypothesis: tuple[str, ...]
    starts_s: tuple[Seconds, ...] = ()
    ends_s: tuple[Seconds, ...] = ()
    boundaries_s: tuple[Seconds, ...] = ()

    def __post_init__(self) -> None:
        if self.starts_s and not len(self.starts_s) == len(self.ends_s) == len(self.reference):
            raise ValueError(
                f"sample {self.utterance_id!r}: {len(self.reference)} phones, "
                f"{len(self.starts_s)} starts and {len(self.ends_s)} ends; expected one of each"
            )


@dataclass(frozen=True, kw_only=True)
class Results:
    """Everything a report shows of one run that needs references, and what else came with it.

    `rows` keeps its order: 'matching', 'matching+lm', 'gan', 'gan+lm', 'self_training_1', ...,
    'self_training' (the final unsupervised system), 'self_training+words', 'supervised',
    'supervised (SUPERB recipe)'. `test_digest` names the references of the test set
    (`metrics.reference_digest`), `audio_digest` its recordings; `fold` says which phones count as
    one, `silence` whether silence counts: the three are '' in results of older versions.
    `js_divergence` maps n to bits. `diagnosis` holds one message for each reason why the run may
    have failed. Times in seconds, `peak_rss_mb` in 10^6 bytes.
    """

    recipe: str
    seed: int
    corpus: str
    test_digest: str
    rows: dict[str, Row]
    num_phones: int
    train_hours: float
    num_train_speakers: int
    criterion_name: str = ""
    boundaries: BoundaryScores | None = None
    js_divergence: dict[int, float]
    samples: tuple[SampleTranscript, ...] = ()
    confusion: Confusions | None = None
    reliability: Reliability | None = None  # where the final system gives confidences
    diagnosis: tuple[str, ...] = ()
    population: PopulationResult | None = None  # where the game had more than one member
    layer_weights: LayerWeights | None = None  # where a weighted sum of layers was learned
    audio_digest: str = ""
    fold: str = ""
    silence: str = ""
    unknown_reference_phones: float | None = None  # share of them that the text lacks
    words: WordResults | None = None  # where the run decoded words and references are words
    maps: tuple[MapScores, ...] = ()  # of each matching's clusters, floor and ceilings
    signs: dict[str, Signs] = field(default_factory=dict)  # by system, the text's as 'text'
    iterations: tuple[Iteration, ...] = ()  # where the run alternated between game and HMM
    wall_by_stage: dict[str, float]
    peak_rss_mb: float | None = None
    ran_on_by_stage: dict[str, str] = field(default_factory=dict)  # cpu, or a GPU and its name

    @property
    def wall_s(self) -> float:
        """Seconds of all stages together."""
        return sum(self.wall_by_stage.values())

    @property
    def final_row(self) -> str | None:
        """Name of the final unsupervised system: 'self_training', else the last one chosen."""
        if FINAL_ROW in self.rows:
            return FINAL_ROW
        chosen = [
            name for name, row in self.rows.items() if row.chosen and name not in SUPERVISED_ROWS
        ]
        return chosen[-1] if chosen else None

    def to_json(self) -> dict[str, object]:
        """Plain lists, numbers and strings; `from_json` restores an equal object."""
        data: dict[str, object] = asdict(self)
        data["rows"] = {name: _row_to_json(row) for name, row in self.rows.items()}
        data["js_divergence"] = {str(n): bits for n, bits in self.js_divergence.items()}
        data["population"] = self.population.to_json() if self.population else None
        data["layer_weights"] = self.layer_weights.to_json() if self.layer_weights else None
        data["words"] = self.words.to_json() if self.words else None
        data["signs"] = {name: signs.to_json() for name, signs in self.signs.items()}
        if self.confusion:
            labels, counts = list(self.confusion.labels), self.confusion.counts_RH.tolist()
            data["confusion"] = {"labels": labels, "counts_RH": counts}
        return data

    @classmethod
    def from_json(cls, data: Mapping, *, source: str = "results") -> Results:
        """The object that `to_json` gave `data`; ValueError naming `source` when it is damaged.

        A field that older versions did not write takes its default.
        """
        known = {each.name for each in fields(cls)}
        missing = _required() - set(data)
        if missing or set(data) - known:
            raise ValueError(
                f"{source}: keys missing {sorted(missing)}, "
                f"unknown {sorted(set(data) - known)}; "
                "written by another version or by hand, run `evaluate` again"
            )
        try:
            return cls(**{**data, **_nested(data)})
        except (LookupError, TypeError, ValueError, AttributeError, ArithmeticError) as error:
            raise ValueError(
                f"{source}: not the results of a run ({error}); run `evaluate` again"
            ) from error

    def write(self, path: Path) -> None:
        """Write `path` as JSON, whole or not at all."""
        text = json.dumps(self.to_json(), indent=1, ensure_ascii=False, allow_nan=False)
        write_whole(path, text + "\n")

    @classmethod
    def read(cls, path: Path) -> Results:
        """Read what `write` wrote; ValueError when the file is damaged."""
        try:
            data = json.loads(path.read_text("utf-8"))
        except (ValueError, RecursionError) as error:
            raise ValueError(f"{path}: not JSON ({error}); run `evaluate` again") from error
        if not isinstance(data, dict):
            raise ValueError(f"{path}: expected one JSON object; run `evaluate` again")
        return cls.from_json(data, source=str(path))


def _required() -> set[str]:
    """Fields that every version has written."""
    optional = {"iterations", "layer_weights", "words", "audio_digest", "fold", "silence"}
    optional |= {"unknown_reference_phones", "maps", "signs", "ran_on_by_stage", "reliability"}
    return {each.name for each in fields(Results)} - optional


def _nested(data: Mapping) -> dict[str, object]:
    """The fields of Results that are not plain JSON values, rebuilt."""
    boundaries, confusion = data["boundaries"], data["confusion"]
    population, weights = data["population"], data.get("layer_weights")
    bins = data.get("reliability")
    return {
        "rows": {name: _row_from_json(row) for name, row in data["rows"].items()},
        "boundaries": BoundaryScores(**boundaries) if boundaries else None,
        "js_divergence": {int(n): bits for n, bits in data["js_divergence"].items()},
        "samples": tuple(
            SampleTranscript(
                *(s["utterance_id"], tuple(s["reference"]), tuple(s["hypothesis"])),
                *(tuple(map(float, s.get(name, ()))) for name in _TIMES),
            )
            for s in data["samples"]
        ),
        "confusion": Confusions(
            tuple(confusion["labels"]), np.array(confusion["counts_RH"], dtype=np.int64)
        )
        if confusion
        else None,
        "reliability": Reliability(**{k: tuple(v) for k, v in bins.items()}) if bins else None,
        "diagnosis": tuple(data["diagnosis"]),
        "population": PopulationResult.from_json(population) if population else None,
        "layer_weights": LayerWeights.from_json(weights) if weights else None,
        "iterations": tuple(Iteration(**turn) for turn in data.get("iterations", ())),
        "maps": tuple(MapScores(**scores) for scores in data.get("maps", ())),
        "signs": {name: Signs.from_json(of) for name, of in data.get("signs", {}).items()},
        "words": WordResults.from_json(data["words"]) if data.get("words") else None,
    }


def _row_to_json(row: Row) -> dict[str, object]:
    data: dict[str, object] = asdict(row)
    if row.criterion is not None and not math.isfinite(row.criterion):
        data["criterion"] = str(row.criterion)  # "inf": JSON has no number for it
    return {**data, "works": row.works}  # for readers, not read back


def _row_from_json(data: Mapping) -> Row:
    plain = {key: value for key, value in data.items() if key != "works"}
    criterion, nulls = plain["criterion"], plain.get("nulls")
    plain["criterion"] = None if criterion is None else float(criterion)
    return Row(**{**plain, "nulls": Nulls(**nulls) if nulls else None})
