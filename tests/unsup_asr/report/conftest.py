"""One run with all that a report can show."""

from __future__ import annotations

import math

import pytest

from unsup_asr.report.results import Results, SampleTranscript, row_from_counts
from unsup_asr.report.tables import Iteration, LayerWeights, MemberResult, PopulationResult
from unsup_asr.report.words import TunedWeights, word_results, word_row
from unsup_asr.scoring.boundaries import BoundaryScores
from unsup_asr.scoring.maps import MapScores
from unsup_asr.scoring.metrics import confusions
from unsup_asr.scoring.nulls import Nulls
from unsup_asr.scoring.reliability import Reliability
from unsup_asr.scoring.signs import Signs
from unsup_asr.types import ErrorCounts, Hypothesis, Transcript

SAID = {"u1": ("the", "cat<"), "u2": ("the", "end")}


def signs(
    phones: float, js_divergence: dict[int, float], perplexity: float, edits: float | None
) -> Signs:
    """Of utterances of two seconds."""
    return Signs(
        phones_per_utterance=phones,
        phones_per_second=phones / 2,
        js_divergence=js_divergence,
        equal_neighbours=0.055,
        perplexity=perplexity,
        edits_from_final=edits,
    )


@pytest.fixture
def results() -> Results:
    """A run of four systems over 100 utterances of 10 phones."""
    reference, hypothesis = ("k", "æ", "t", "s"), ("k", "ʌ", "t", "t", "s")

    def row(substitutions: int, **options):
        counts = [ErrorCounts(0, i % 2, substitutions, 10) for i in range(100)]
        nulls = Nulls(audio_swap=58.25, random_phones=63.0)
        return row_from_counts(counts, split="test", seed=0, nulls=nulls, **options)

    return Results(
        recipe="toy",
        seed=1,
        corpus="synthetic-en",
        test_digest="0123456789ab",
        rows={
            "matching": row(4, criterion=9.25, chosen=True),
            "gan": row(5, criterion=math.inf),
            "self_training": row(2, criterion=8.5, chosen=True),
            "supervised": row(0),
        },
        num_phones=40,
        train_hours=1.5,
        num_train_speakers=8,
        criterion_name="ln(LM perplexity) x UER",
        boundaries=BoundaryScores(num_hits=80, num_reference=100, num_found=110, tolerance_s=0.02),
        js_divergence={1: 0.01, 2: 0.125},
        samples=(
            SampleTranscript(
                *("u<b>", reference, hypothesis),
                *((0.0, 0.1, 0.2, 0.3), (0.1, 0.2, 0.3, 0.5), (0.0, 0.15, 0.5)),
            ),
        ),
        reliability=Reliability((3, 5), (0.25, 0.95), (0.05, 0.8)),
        confusion=confusions([Transcript("u", reference)], [Hypothesis("u", hypothesis)]),
        diagnosis=("boundaries are poor: 1.4 segments a phone",),
        population=PopulationResult(
            members=(
                MemberResult(
                    options={"seed": 0, "diversity": 2.0},
                    per=44.25,
                    weighted_perplexity=31.0,
                    stopped_at=None,
                ),
                MemberResult(
                    options={"seed": 1, "diversity": 2.0},
                    per=38.5,
                    weighted_perplexity=math.inf,
                    stopped_at=800,
                ),
            ),
            choices={"weighted_perplexity": 0, "two_steps": 1},
            rule="weighted_perplexity",
        ),
        maps=(
            MapScores(system="matching", random_map=88.0, majority_map=31.5, segments=9.5),
            MapScores(system="matching_2", random_map=87.0, majority_map=None, segments=None),
        ),
        signs={
            "text": signs(12.0, {1: 0.001, 2: 0.01, 3: 0.0625}, 6.0, None),
            "matching": signs(18.0, {1: 0.125, 2: 0.25}, math.inf, 40.5),
        },
        layer_weights=LayerWeights((0, 5, 12), (0.2, 0.5, 0.3), (10.0, 1.0, 5.0)),
        iterations=(
            Iteration(
                matching_per=50.0,
                gan_per=48.0,
                hmm_per=33.26,
                hmm_criterion=12.5,
                f1_before=0.75,
                f1_after=None,
            ),
        ),
        audio_digest="ba9876543210",
        fold="timit_39",
        silence="not counted",
        words=word_results(
            {
                "self_training": word_row(SAID, {"u1": ("the", "bat")}, split="test", seed=0),
                "supervised": word_row(SAID, SAID, split="test", seed=0),
            },
            SAID,
            {"u1": ("the", "bat")},
            {"the", "bat"},
            num_samples=1,
            tuning=(TunedWeights(lm_weight=0.3, word_score=0.0, criterion=0.2, wer=50.0),),
            num_tuned=12,
        ),
        wall_by_stage={"corpus": 2.0, "matching": 5.5},
        peak_rss_mb=512.0,
    )
