"""Each diagnosis is provoked once, and a healthy run provokes none."""

import numpy as np
import pytest

from gan.diagnose import Diagnosis, bigram_divergence
from unsup_asr.scoring.signs import Signs

PHONES = 10
BALANCED = [{"score_fake": 0.8, "score_real": -0.7}] * 8


def language(count: int, *, seed: int, silence_rate: float = 0.0) -> list[np.ndarray]:
    """Walks over phones 1 to 9 with preferred steps, silence (0) between at a rate."""
    rng = np.random.default_rng(seed)
    out = []
    for _ in range(count):
        steps = rng.choice([1, 2, 5], p=[0.6, 0.3, 0.1], size=30)
        phones = 1 + np.cumsum(steps) % 9
        out.append(np.where(rng.random(30) < silence_rate, 0, phones).astype(np.int32))
    return out


TEXT = language(60, seed=0)


def noise() -> list[np.ndarray]:
    rng = np.random.default_rng(3)
    return [rng.permutation(np.tile(np.arange(1, 10), 4))[:30].astype(np.int32) for _ in range(60)]


def kinds(transcripts: list[np.ndarray], history=BALANCED, silence: int | None = None) -> list[str]:
    found = Diagnosis().findings(transcripts, TEXT, history, num_phones=PHONES, silence=silence)
    return [finding.kind for finding in found]


def test_a_healthy_run_has_no_finding() -> None:
    assert kinds(language(60, seed=1), silence=0) == []


def test_use_of_few_phones_is_found() -> None:
    few = [np.resize(np.array([1, 2, 4], dtype=np.int32), 30)] * 60
    assert "few_phones" in kinds(few)


def test_a_discriminator_that_wins_is_found() -> None:
    winning = [{"score_fake": 5.0, "score_real": -5.0}] * 8
    assert kinds(language(60, seed=1), history=winning) == ["discriminator_ahead"]


FOOLED = [{"score_fake": -0.3, "score_real": 0.4}] * 8


def test_a_discriminator_that_knows_nothing_is_found_where_the_output_is_wrong() -> None:
    assert kinds(noise(), history=FOOLED) == ["generator_ahead", "divergence"]
    assert kinds(language(60, seed=1), history=FOOLED) == []  # it has nothing to tell apart


@pytest.mark.parametrize("factor", [2.0, 0.5])
def test_output_of_another_length_is_found(factor: float) -> None:
    stretched = [np.resize(s, int(factor * len(s))) for s in language(60, seed=1)]
    assert "length" in kinds(stretched)


def test_output_that_is_no_language_is_found() -> None:
    assert kinds(noise()) == ["divergence"]


def test_silence_at_another_rate_is_found() -> None:
    assert "silence" in kinds(language(60, seed=1, silence_rate=0.2), silence=0)


def test_an_empty_output_is_found() -> None:
    assert kinds([np.array([], dtype=np.int32)]) == ["empty"]


def test_members_that_ended_alike_are_found() -> None:
    one, other = language(20, seed=1), language(20, seed=2)
    assert [finding.kind for finding in Diagnosis().members([one, one, one])] == ["members_alike"]
    assert Diagnosis().members([one, other, one]) == []


def test_divergence_is_zero_for_equal_and_one_for_disjoint_bigrams() -> None:
    ab, cd = [np.array([0, 1] * 5, np.int32)], [np.array([2, 3] * 5, np.int32)]
    assert bigram_divergence(ab, ab, num_phones=4) == pytest.approx(0.0)
    assert bigram_divergence(ab, cd, num_phones=4) == pytest.approx(1.0)


def test_messages_say_what_to_do() -> None:
    few = [np.resize(np.array([1, 2, 4], dtype=np.int32), 70)] * 60
    found = Diagnosis().findings(few, TEXT, FOOLED, num_phones=PHONES, silence=0)
    text = " ".join(finding.message for finding in found)
    assert "3 of 10 phones" in text
    assert "discriminator_steps" in text
    assert "70.0 phones an utterance against 30.0" in text


def test_a_stage_that_does_not_read_like_the_text_is_a_finding() -> None:
    heard = {"matching": 149.0, "gan": 81.0, "realign_8": 119.0, "self_training_2": 31.0}
    found = Diagnosis().perplexities(heard, of_text=10.0)
    assert [f.message.split(" hears")[0] for f in found] == [
        "what gan",
        "what realign_8",
        "what self_training_2",
    ]
    assert {f.kind for f in found} == {"perplexity"}
    assert "119 a phone where the text has 10, 11.9 times (at most 11 where" in found[1].message


def test_a_stage_without_a_limit_is_an_error() -> None:
    with pytest.raises(ValueError, match=r"no limit for the perplexity of stage 'units_2'; expec"):
        Diagnosis().perplexities({"units_2": 1.0}, of_text=1.0)


def signs(divergence: float, edits: float | None = None) -> Signs:
    return Signs(
        phones_per_utterance=30.0,
        phones_per_second=10.0,
        js_divergence={2: divergence},
        equal_neighbours=0.0,
        perplexity=9.0,
        edits_from_final=edits,
    )


def test_what_is_less_like_the_text_than_the_text_itself_is_a_finding() -> None:
    found = Diagnosis().unlike_text(
        {"text": signs(0.01), "realign_3": signs(0.045, 12.0), "self_training_1": signs(0.055)},
        ["realign_3", "self_training_1"],
    )
    assert [finding.kind for finding in found] == ["unlike_text"]  # .035 over .03, .045 under .05
    assert "realign_3 writes diverge from the text's by 0.035 bits more" in found[0].message


def test_a_model_that_contradicts_its_labels_is_a_finding() -> None:
    heard = {"text": signs(0.01), "realign_3": signs(0.01, 22.9), "self_training_1": signs(0.01)}
    (found,) = Diagnosis().unlike_text(heard, ["realign_3", "self_training_1"])
    assert found.kind == "changed"
    assert "self_training_1 writes 23 % of its phones otherwise than realign_3" in found.message
    heard["realign_3"] = signs(0.01, 18.1)
    assert Diagnosis().unlike_text(heard, ["realign_3", "self_training_1"]) == []
