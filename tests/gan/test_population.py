from pathlib import Path

import numpy as np
import pytest

from gan.population import Population
from gan.trainer import AdversarialTrainer
from unsup_asr.formats.ragged import RaggedArray

TRAINER = AdversarialTrainer(
    seed=3, updates=2, batch_size=2, discriminator_hidden=4, discriminator_kernel=2
)


def test_members_are_every_combination_with_every_seed() -> None:
    population = Population(num_seeds=2, vary={"diversity": [0.0, 2.0], "smoothness": [0.1]})
    members = population.members(TRAINER)
    assert [(m.seed, m.diversity, m.smoothness) for m in members] == [
        (3, 0.0, 0.1),
        (4, 0.0, 0.1),
        (3, 2.0, 0.1),
        (4, 2.0, 0.1),
    ]
    assert population.differences(TRAINER)[3] == {"seed": 4, "diversity": 2.0, "smoothness": 0.1}


def test_one_member_is_the_trainer_itself() -> None:
    assert Population().members(TRAINER) == [TRAINER]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"num_seeds": 0}, "num_seeds is 0; expected at least 1"),
        ({"rule": "oracle"}, "rule is 'oracle'; expected one of"),
        ({"vary": {"batch_size": [1]}}, "vary names 'batch_size'; members may differ in"),
        ({"vary": {"seed": [1]}}, "vary names 'seed'"),
        ({"vary": {"diversity": []}}, "vary gives no value for diversity"),
    ],
)
def test_impossible_populations_are_refused(options: dict, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        Population(**options)


def test_all_members_play_and_each_rule_chooses(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    segments = RaggedArray.from_arrays(
        {f"u{i}": rng.standard_normal((5, 3)).astype(np.float32) for i in range(4)}
    )
    text = [rng.integers(3, size=6).astype(np.int32) for _ in range(5)]
    population = Population(num_seeds=3)
    trained = population.player(TRAINER)(
        segments,
        text,
        num_phones=3,
        validate=lambda _: {"weighted_lm_perplexity": 1.0},
        checkpoint_dir=tmp_path,
    )
    assert len(trained) == 3


def test_each_rule_chooses_among_what_members_wrote() -> None:
    loop = [np.array([0, 1] * 20, dtype=np.int32)]
    speech = [np.array([0, 1, 2, 3] * 5, dtype=np.int32), np.array([], dtype=np.int32)]
    choices = Population().choices([loop, speech], [3.0, 4.0], vocabulary_size=4)
    assert choices == {"weighted_perplexity": 1, "two_steps": 1, "total_over_usage": 1}
    nothing = [np.array([], dtype=np.int32)]
    assert set(
        Population().choices([nothing, speech], [np.inf, 9.0], vocabulary_size=4).values()
    ) == {1}
