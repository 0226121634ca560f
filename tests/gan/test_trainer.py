"""The trainer on a small cipher: segments are noisy one-hot symbols of a made-up language."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from gan.batches import UnpairedData
from gan.infer import TrainedGenerator
from gan.options import game_options, game_rules, new_players
from gan.steps import Member, train_discriminators, train_generators
from gan.trainer import AdversarialTrainer, GiveUp, play
from unsup_asr.formats.ragged import RaggedArray

PHONES = 5
SMALL = AdversarialTrainer(
    updates=12,
    batch_size=6,
    generator_kernel=1,
    discriminator_hidden=8,
    discriminator_kernel=3,
    validate_every=4,
)


def sentences(count: int, *, seed: int) -> list[np.ndarray]:
    """Random walks that never stay: 0 -> 1 -> ... with jumps."""
    rng = np.random.default_rng(seed)
    out = []
    for _ in range(count):
        steps = rng.choice([1, 2], p=[0.8, 0.2], size=rng.integers(4, 9))
        out.append((np.cumsum(steps) % PHONES).astype(np.int32))
    return out


def segments(count: int = 20) -> RaggedArray:
    rng = np.random.default_rng(7)
    one_hot = np.eye(PHONES, dtype=np.float32)
    return RaggedArray.from_arrays(
        {
            f"u{i}": one_hot[s] + 0.1 * rng.standard_normal((len(s), PHONES)).astype(np.float32)
            for i, s in enumerate(sentences(count, seed=1))
        }
    )


def distinct(transcripts: list[np.ndarray]) -> dict[str, float]:
    """A stand-in for the language model: fewer repeats of one phone is better."""
    used = {int(phone) for transcript in transcripts for phone in transcript}
    return {"weighted_lm_perplexity": float(PHONES - len(used))}


def train(options: AdversarialTrainer, folder: Path, **changes) -> TrainedGenerator:
    arguments = {"num_phones": PHONES, "validate": distinct, "checkpoint_dir": folder, **changes}
    (trained,) = play([options], segments(), sentences(30, seed=2), **arguments)
    return trained


def weights(trained: TrainedGenerator) -> torch.Tensor:
    return trained.generator.conv.weight


def with_changes(**changes) -> AdversarialTrainer:
    return replace(SMALL, **changes)


def test_a_killed_training_resumes_with_identical_results(tmp_path: Path) -> None:
    options = with_changes(discriminator_steps=3, validate_every=2)
    whole = train(options, tmp_path / "whole")

    class KilledError(Exception):
        pass

    played = 0

    def kill_at_five() -> None:
        nonlocal played
        played += 1
        if played == 5:
            raise KilledError

    with pytest.raises(KilledError):
        train(options, tmp_path / "killed", progress=kill_at_five)
    resumed = train(options, tmp_path / "killed")
    assert torch.equal(weights(resumed), weights(whole))
    assert resumed.history == whole.history


def test_batches_drawn_ahead_are_those_of_their_updates(tmp_path: Path) -> None:
    options = with_changes(generator_learning_rate=0.01, criterion="latest", validate_every=5)
    calls = iter(range(100, 0, -1))
    trained = train(options, tmp_path, validate=lambda _: {"latest": float(next(calls))})
    data = UnpairedData.check(segments(), sentences(30, seed=2), num_phones=PHONES)
    players = new_players(options, input_dim=PHONES, num_phones=PHONES)
    member = Member(game_options(options), *players)
    for update in range(options.updates):
        batch = data.draw(update, seeds=[0], batch_size=options.batch_size, device="cpu")
        step = train_generators if update % 2 else train_discriminators
        step([member], batch, game_rules(options))
    assert torch.equal(weights(trained), member.generator.conv.weight)


def test_weights_that_are_not_finite_end_the_training(tmp_path: Path) -> None:
    start = np.full((PHONES, PHONES), np.nan, dtype=np.float32)
    with pytest.raises(RuntimeError, match="member 0's generator are not finite after 4 updates"):
        train(SMALL, tmp_path, generator_init=start)


def test_another_seed_gives_another_generator(tmp_path: Path) -> None:
    late = with_changes(generator_learning_rate=0.01)
    other = with_changes(generator_learning_rate=0.01, seed=1)
    one, two = train(late, tmp_path / "0"), train(other, tmp_path / "1")
    assert not torch.equal(weights(one), weights(two))


def test_training_leaves_the_global_random_state_alone(tmp_path: Path) -> None:
    before = torch.get_rng_state()
    train(SMALL, tmp_path)
    assert torch.equal(torch.get_rng_state(), before)


def test_a_checkpoint_of_other_options_is_refused(tmp_path: Path) -> None:
    train(SMALL, tmp_path)
    with pytest.raises(ValueError, match="other options or data"):
        train(with_changes(diversity=1.0), tmp_path)


def test_a_damaged_checkpoint_is_refused_by_name(tmp_path: Path) -> None:
    train(SMALL, tmp_path)
    (tensors,) = tmp_path.glob("state_*.safetensors")
    tensors.write_bytes(b"damaged")
    with pytest.raises(ValueError, match=r"safetensors: not a whole .*delete"):
        train(SMALL, tmp_path)


def test_generator_rests_while_the_discriminator_warms_up(tmp_path: Path) -> None:
    start = np.eye(PHONES, dtype=np.float32)
    warm = train(with_changes(warm_up_updates=12), tmp_path / "warm", generator_init=start)
    torch.testing.assert_close(weights(warm)[:, :, 0].T, torch.from_numpy(start))


def test_turns_follow_discriminator_steps_and_warm_up() -> None:
    options = with_changes(discriminator_steps=2, warm_up_updates=4)
    assert [options.plays_generator(update) for update in range(10)] == [
        *[False] * 6,
        True,
        False,
        False,
        True,
    ]


def test_reference_turns_begin_with_the_generator() -> None:
    options = with_changes(padding="reference")
    assert [options.plays_generator(update) for update in range(4)] == [True, False, True, False]
    slower = with_changes(padding="reference", discriminator_steps=2, warm_up_updates=1)
    assert [slower.plays_generator(update) for update in range(6)] == [
        *[False, True, False, False],
        *[True, False],
    ]


def test_joined_text_trains_as_text_without_repeats(tmp_path: Path) -> None:
    doubled = [np.repeat(s, 2) for s in sentences(30, seed=2)]
    arguments = {"num_phones": PHONES, "validate": distinct}
    (joined,) = play(
        [with_changes(join_text=True)],
        segments(),
        doubled,
        checkpoint_dir=tmp_path / "joined",
        **arguments,
    )
    assert joined.history == train(SMALL, tmp_path / "plain").history


def test_the_start_itself_may_be_chosen(tmp_path: Path) -> None:
    calls = 0

    def worse_every_time(_: list[np.ndarray]) -> dict[str, float]:
        nonlocal calls
        calls += 1
        return {"weighted_lm_perplexity": float(calls)}

    start = 5 * np.eye(PHONES, dtype=np.float32)
    trained = train(SMALL, tmp_path, generator_init=start, validate=worse_every_time)
    assert trained.chosen_update == 0
    torch.testing.assert_close(weights(trained)[:, :, 0].T, torch.from_numpy(start))


def test_an_anchor_holds_the_generator_near_its_start(tmp_path: Path) -> None:
    start = 2 * np.eye(PHONES, dtype=np.float32)
    moved = {}
    for anchor in (0.0, 100.0):
        options = with_changes(
            anchor=anchor, generator_learning_rate=0.05, updates=60, criterion="latest"
        )
        calls = iter(range(100, 0, -1))

        def latest_is_best(_: list[np.ndarray], calls=calls) -> dict[str, float]:
            return {"latest": float(next(calls))}

        trained = train(
            options, tmp_path / str(anchor), generator_init=start, validate=latest_is_best
        )
        probe = torch.eye(PHONES)
        found = torch.log_softmax(trained.generator(probe), -1)
        expected = torch.log_softmax(probe @ torch.from_numpy(start), -1)
        moved[anchor] = (expected.exp() * (expected - found)).sum(1).mean().item()
    assert moved[100.0] < 0.5 * moved[0.0]


def test_validation_must_answer_the_criterion(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"answered \['other'\]; expected 'weighted_lm_perp"):
        train(SMALL, tmp_path, validate=lambda _: {"other": 1.0})


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"discriminator_dtype": "float8"}, "discriminator_dtype is 'float8'; expected one of"),
        ({"updates": 0}, "updates is 0; expected at least 1"),
        ({"batch_size": 0}, "batch_size is 0; expected at least 1"),
        ({"objective": "least_squares"}, "objective is 'least_squares'; expected one of"),
        ({"padding": "zeros"}, "padding is 'zeros'; expected one of"),
        ({"auxiliary": 0.5}, "auxiliary is 0.5 without generator_residual"),
    ],
)
def test_impossible_options_are_refused(changes: dict, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        with_changes(**changes)


def test_bfloat16_discriminator_trains_close_to_float32(tmp_path: Path) -> None:
    coarse = train(with_changes(discriminator_dtype="bfloat16"), tmp_path / "bf16")
    fine = train(SMALL, tmp_path / "fp32")
    for name in ("discriminator_loss", "gradient_penalty"):
        assert coarse.history[-1][name] == pytest.approx(fine.history[-1][name], rel=0.05)


REFERENCE = {"padding": "reference", "generator_learning_rate": 0.05}
W2VU2 = {
    "generator_kernel": 3,
    "generator_stride": 2,
    "generator_batch_norm": 30.0,
    "generator_residual": True,
    "auxiliary": 0.5,
    "num_auxiliary_classes": 3,
}


def classes() -> RaggedArray:
    rows = segments()
    return RaggedArray.from_arrays({i: (rows[i].argmax(1) % 3).astype(np.int32) for i in rows})


def test_wav2vec_u_2_learns_its_auxiliary_classes(tmp_path: Path) -> None:
    options = with_changes(**W2VU2, updates=60, generator_learning_rate=0.01, validate_every=20)
    trained = train(options, tmp_path, auxiliary_classes=classes())
    curve = [row["auxiliary"] for row in trained.history if "auxiliary" in row]
    assert curve[-1] < 0.5 * curve[0]
    assert trained.generator.norm is not None
    assert float(trained.generator.norm.num_batches_tracked or 0) > 0


def test_auxiliary_classes_must_be_those_of_the_segments(tmp_path: Path) -> None:
    options = with_changes(**W2VU2)
    found = classes()
    fewer = RaggedArray.from_arrays({i: np.array(found[i]) for i in found.ids[1:]})
    with pytest.raises(ValueError, match="auxiliary classes: 19 utterances"):
        train(options, tmp_path, auxiliary_classes=fewer)
    with pytest.raises(ValueError, match="without auxiliary_classes"):
        train(options, tmp_path)


def test_reference_padding_plays_with_specials_and_gives_back_phones(tmp_path: Path) -> None:
    trained = train(with_changes(**REFERENCE), tmp_path)
    assert weights(trained).shape[0] == PHONES
    plain = train(with_changes(generator_learning_rate=0.05), tmp_path / "masked")
    assert trained.history[-1]["diversity"] != pytest.approx(plain.history[-1]["diversity"])


def test_reference_writes_one_output_more_than_segments_for_an_even_kernel(tmp_path: Path) -> None:
    trained = train(with_changes(**REFERENCE, generator_kernel=4), tmp_path)
    assert trained.generator.shape.overhang
    first = segments()["u0"]
    assert trained.posteriors(first).shape == (len(first) + 1, PHONES)
    trained.save(tmp_path / "saved")
    loaded = TrainedGenerator.load(tmp_path / "saved")
    np.testing.assert_array_equal(loaded.posteriors(first), trained.posteriors(first))


def test_reference_does_not_play_with_utterances_of_two_segments(tmp_path: Path, caplog) -> None:
    rows = segments(6)
    short = {i: rows[i][:2] for i in rows.ids[:2]}
    some = RaggedArray.from_arrays({i: np.array(rows[i]) for i in rows} | short)
    arguments = {"num_phones": PHONES, "validate": distinct}
    play(
        [with_changes(**REFERENCE)],
        some,
        sentences(30, seed=2),
        checkpoint_dir=tmp_path / "some",
        **arguments,
    )
    assert "2 of 6 utterances have fewer than 3 segments and are not played with" in caplog.text
    with pytest.raises(ValueError, match="no utterance has 3 segments, the longest has 2: cut"):
        play(
            [with_changes(**REFERENCE)],
            RaggedArray.from_arrays(short),
            sentences(30, seed=2),
            checkpoint_dir=tmp_path / "none",
            **arguments,
        )


def test_members_of_a_training_equal_trainings_alone(tmp_path: Path) -> None:
    members = [
        with_changes(generator_learning_rate=0.01, seed=seed, diversity=diversity)
        for seed, diversity in ((0, 4.0), (1, 1.0))
    ]
    arguments = {"num_phones": PHONES, "validate": distinct}
    together = play(
        members, segments(), sentences(30, seed=2), checkpoint_dir=tmp_path, **arguments
    )
    for number, (member, found) in enumerate(zip(members, together, strict=True)):
        alone = train(member, tmp_path / str(number))
        torch.testing.assert_close(weights(found), weights(alone), atol=1e-5, rtol=1e-4)
        assert found.chosen_update == alone.chosen_update


def test_members_may_not_differ_in_what_they_share(tmp_path: Path) -> None:
    members = [SMALL, with_changes(batch_size=7)]
    with pytest.raises(ValueError, match="batch_size is 6 for member 0 and 7 for member 1"):
        play(
            members,
            segments(),
            sentences(30, seed=2),
            num_phones=PHONES,
            validate=distinct,
            checkpoint_dir=tmp_path,
        )


def test_hopeless_members_stop_and_the_others_play_on_as_before(tmp_path: Path) -> None:
    members = [with_changes(generator_learning_rate=0.01, seed=seed) for seed in range(3)]
    calls = 0

    def worse_for_member_1(_: list[np.ndarray]) -> dict[str, float]:
        nonlocal calls
        member = (0, 1, 2)[calls % 3] if calls < 6 else (0, 2)[calls % 2]
        calls += 1
        return {"weighted_lm_perplexity": 100.0 if member == 1 else 10.0}

    found = play(
        members,
        segments(),
        sentences(30, seed=2),
        num_phones=PHONES,
        validate=worse_for_member_1,
        checkpoint_dir=tmp_path,
        give_up=GiveUp(updates=4, ratio=2.0),
    )
    assert [trained.stopped_at for trained in found] == [None, 4, None]
    assert [len(trained.history) for trained in found] == [4, 2, 4]
    alone = train(members[2], tmp_path / "alone", validate=lambda _: {members[2].criterion: 10.0})
    torch.testing.assert_close(weights(found[2]), weights(alone), atol=1e-5, rtol=1e-4)


def test_objectives_differ(tmp_path: Path) -> None:
    found = {
        objective: train(with_changes(objective=objective), tmp_path / objective).history[-1]
        for objective in ("non_saturating", "wasserstein")
    }
    assert found["wasserstein"]["discriminator_loss"] < 0.5  # a difference of scores, near 0
    assert found["non_saturating"]["discriminator_loss"] > 1.0  # near 2 log 2


def test_without_join_every_segment_is_played(tmp_path: Path) -> None:
    lengths = {}
    for join in (True, False):
        options = with_changes(join=join, generator_learning_rate=0.0)
        all_alike = np.zeros((PHONES, PHONES), dtype=np.float32)
        trained = train(options, tmp_path / str(join), generator_init=all_alike)
        lengths[join] = trained.history[-1]["output_length"]
    assert lengths[True] == 1.0
    assert lengths[False] >= 4.0
