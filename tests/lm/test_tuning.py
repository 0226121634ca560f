import math
from pathlib import Path

import numpy as np
import pytest

from lm.beam import BeamDecoder
from lm.ngram import NgramEstimator
from lm.score import load
from lm.tuning import LabelFreeTuning

PHONES = ["a", "b", "c"]
SENTENCES = [["a", "b", "c"], ["a", "b", "c", "a"], ["c", "a", "b"]] * 5


@pytest.fixture
def decoder(tmp_path: Path) -> BeamDecoder:
    path = tmp_path / "abc.arpa"
    NgramEstimator(order=2).estimate_to(path, SENTENCES)
    return BeamDecoder(lm_path=str(path), beam=10)


def noisy_posteriors(count: int = 20) -> list[np.ndarray]:
    """Sentences of the language, one phone in four taken for another."""
    rng = np.random.default_rng(0)
    out = []
    for _ in range(count):
        said = (rng.integers(3) + np.arange(8)) % 3
        heard = np.where(rng.random(8) < 0.25, rng.integers(3, size=8), said)
        rows = np.full((8, 3), 0.2)
        rows[np.arange(8), heard] = 0.6
        out.append(np.log(rows).astype(np.float32))
    return out


def test_the_criterion_is_language_times_distance(decoder: BeamDecoder) -> None:
    posteriors = noisy_posteriors()
    tuning = LabelFreeTuning(lm_weights=[0.1, 1.0], insertion_scores=[0.0], min_distance=0.05)
    found = tuning.candidates(decoder, posteriors, PHONES)
    assert [c.criterion for c in found] == sorted(c.criterion for c in found)
    model = load(Path(decoder.lm_path))
    for candidate in found:
        perplexity = model.perplexity(candidate.transcripts, with_eos=True)
        assert candidate.perplexity == pytest.approx(perplexity)
        expected = math.log(perplexity) * max(candidate.distance, 0.05)
        assert candidate.criterion == pytest.approx(expected)
    by_weight = {c.lm_weight: c for c in found}
    assert by_weight[1.0].distance > by_weight[0.1].distance
    assert by_weight[1.0].perplexity < by_weight[0.1].perplexity


def test_floors_keep_the_smallest_weight_from_winning(decoder: BeamDecoder) -> None:
    weights = [1e-6, 1.0]

    def chosen(min_distance: float) -> float:
        tuning = LabelFreeTuning(
            lm_weights=weights, insertion_scores=[0.0], min_distance=min_distance
        )
        return tuning.candidates(decoder, noisy_posteriors(), PHONES)[0].lm_weight

    assert chosen(1e-9) == 1e-6
    assert chosen(0.4) == 1.0


def test_the_texts_perplexity_is_as_good_as_it_gets(decoder: BeamDecoder) -> None:
    tuning = LabelFreeTuning(
        lm_weights=[0.1, 1.0], insertion_scores=[0.0], min_distance=0.9, text_perplexity=1e6
    )
    found = tuning.candidates(decoder, noisy_posteriors(), PHONES)
    assert [c.criterion for c in found] == pytest.approx([0.9 * math.log(1e6)] * 2)


def test_with_a_blank_the_unconstrained_output_has_none(decoder: BeamDecoder) -> None:
    rows = np.log(np.full((4, 4), 0.1, dtype=np.float32))
    rows[np.arange(4), [0, 3, 1, 3]] = np.log(0.7)
    decoder.blank = "-"
    tuning = LabelFreeTuning(lm_weights=[1e-6], insertion_scores=[0.0])
    (candidate,) = tuning.candidates(decoder, [rows], [*PHONES, "-"])
    assert candidate.transcripts == (("a", "b"),)
    assert candidate.distance == 0.0


def test_impossible_options_and_empty_output_are_refused(decoder: BeamDecoder) -> None:
    with pytest.raises(ValueError, match="empty grid"):
        LabelFreeTuning(lm_weights=[])
    with pytest.raises(ValueError, match="min_distance is 0"):
        LabelFreeTuning(min_distance=0.0)
    decoder.blank = "-"
    silent = np.log(np.array([[0.1, 0.1, 0.1, 0.7]], dtype=np.float32))
    with pytest.raises(ValueError, match="unconstrained output is empty"):
        LabelFreeTuning().candidates(decoder, [silent], [*PHONES, "-"])
