import numpy as np
import pytest
import torch

from unsup_asr.acoustic.augment import bent_times, resampled
from unsup_asr.acoustic.network import load_network, save_network
from unsup_asr.acoustic.posteriors import log_posteriors
from unsup_asr.acoustic.training import NetworkTraining


def _toy(rng, num_utterances=24):
    """Each phone is a direction in feature space, held for 6 frames."""
    features, sequences, labels = {}, {}, {}
    for i in range(num_utterances):
        phones = rng.integers(0, 4, size=rng.integers(4, 9)).astype(np.int32)
        phones = phones[np.concatenate([[True], phones[1:] != phones[:-1]])]
        frames = np.eye(4, dtype=np.float32)[np.repeat(phones, 6)]
        features[f"u{i}"] = frames + 0.1 * rng.normal(size=frames.shape).astype(np.float32)
        sequences[f"u{i}"] = phones
        labels[f"u{i}"] = np.repeat(phones, 3)
    return features, sequences, labels


@pytest.fixture(scope="module")
def toy():
    return _toy(np.random.default_rng(0))


SMALL = NetworkTraining(
    hidden=24, epochs=12, batch_size=4, learning_rate=5e-3, dropout=0.0, decay=0.9
)


def test_ctc_learns_which_phones_are_said(toy):
    features, sequences, _ = toy
    network, curve = SMALL.train_ctc(features, sequences, num_phones=4)
    best = log_posteriors(network, features)["u0"].argmax(axis=1)
    merged = best[np.concatenate([[True], best[1:] != best[:-1]])]
    np.testing.assert_array_equal(merged[merged > 0] - 1, sequences["u0"])
    assert curve[-1] < curve[0] / 2


def test_frame_classifier_learns_its_labels(toy):
    features, _, labels = toy
    network, _ = SMALL.train_frames(features, labels, num_phones=4)
    best = log_posteriors(network, features)["u1"].argmax(axis=1)
    assert np.mean(best == labels["u1"]) > 0.95


def test_padding_changes_nothing(toy):
    features, _, labels = toy
    network, _ = SMALL.train_frames(features, labels, num_phones=4)
    together = log_posteriors(network, features)
    for utterance_id in ("u0", "u5"):
        alone = log_posteriors(network, {utterance_id: features[utterance_id]})[utterance_id]
        np.testing.assert_allclose(together[utterance_id], alone, atol=1e-5)


def test_the_same_seed_gives_the_same_weights_and_leaves_the_global_generator_alone(toy):
    features, sequences, _ = toy
    training = NetworkTraining(hidden=8, epochs=1, seed=3)
    torch.manual_seed(11)
    before = torch.get_rng_state()
    first, _ = training.train_ctc(features, sequences, num_phones=4)
    second, _ = training.train_ctc(features, sequences, num_phones=4)
    assert torch.equal(before, torch.get_rng_state())
    for a, b in zip(first.parameters(), second.parameters(), strict=True):
        assert torch.equal(a, b)


def test_targets_that_do_not_fit_their_audio_are_an_error():
    features = {"u": np.zeros((4, 3), dtype=np.float32)}
    with pytest.raises(ValueError, match="none of 1 utterances can be trained on"):
        SMALL.train_ctc(features, {"u": np.arange(3, dtype=np.int32)}, num_phones=3)


def test_a_saved_network_says_the_same(toy, tmp_path):
    features, _, labels = toy
    network, _ = NetworkTraining(hidden=8, epochs=1).train_frames(features, labels, num_phones=4)
    save_network(network, tmp_path)
    loaded = log_posteriors(load_network(tmp_path), features)
    np.testing.assert_array_equal(loaded["u2"], log_posteriors(network, features)["u2"])


def test_stretching_bends_time_and_keeps_the_order_of_what_is_heard() -> None:
    ramp_TD = np.linspace(0, 1, 400, dtype=np.float32)[:, None]
    bent_TD = resampled(ramp_TD, bent_times(400, 1.6, np.random.default_rng(0)))
    assert len(bent_TD) != 400
    assert 400 / 1.6 <= len(bent_TD) <= 400 * 1.6
    steps_T = np.diff(bent_TD[:, 0])
    assert np.all(steps_T >= 0)
    assert steps_T[5:-5].max() > 1.5 * steps_T[5:-5].min()  # the pace changes
    assert bent_TD[0] < 0.01
    assert bent_TD[-1] > 0.99


def test_stretching_by_nothing_changes_nothing() -> None:
    x_TD = np.random.default_rng(0).normal(size=(50, 3)).astype(np.float32)
    times_T = bent_times(50, 1.0, np.random.default_rng(0))
    np.testing.assert_allclose(resampled(x_TD, times_T), x_TD, atol=1e-6)


def test_training_with_noise_and_stretching_repeats_itself_and_differs_from_plain() -> None:
    rng = np.random.default_rng(0)
    features = {f"u{i}": rng.normal(size=(30, 4)).astype(np.float32) for i in range(6)}
    targets = {i: np.array([0, 1, 0], dtype=np.int32) for i in features}
    options = {"hidden": 8, "epochs": 2, "num_layers": 1}

    def curve(**more: float) -> list[float]:
        return NetworkTraining(**options, **more).train_ctc(features, targets, num_phones=2)[1]

    assert curve(noise=0.5, max_stretch=1.5) == curve(noise=0.5, max_stretch=1.5)
    assert len({tuple(curve()), tuple(curve(noise=0.5)), tuple(curve(max_stretch=1.5))}) == 3
