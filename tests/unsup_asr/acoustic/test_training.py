"""What a training does not depend on: kills, the number of processes, what fits the device."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor

from tests.pretend_device import pretend_device
from tests.unsup_asr.acoustic.shared_work import begin_at_ranks, second_is_killed
from unsup_asr import compute
from unsup_asr.acoustic.batches import bounded_batches
from unsup_asr.acoustic.network import AcousticNetwork
from unsup_asr.acoustic.posteriors import log_posteriors
from unsup_asr.acoustic.processes import LostProcessError, shared
from unsup_asr.acoustic.training import NetworkTraining
from unsup_asr.formats.warps import Warps
from unsup_asr.formats.weights import read_tensors
from unsup_asr.types import Float32Array, Int32Array

VARIED = NetworkTraining(
    hidden=12,
    epochs=3,
    batch_size=4,
    max_masked_frames=6,
    noise=0.3,
    max_stretch=1.3,
    max_warp=1.2,
    learning_rate=1e-3,
)
# Of five dims: those of a lower voice are the next dim's in part, of a higher one the one before.
WARPS = Warps(
    np.float32([0.85, 1.0, 1.15]),
    np.stack([0.8 * np.eye(5) + 0.2 * np.eye(5, k=k) for k in (-1, 0, 1)]).astype(np.float32),
)
Speech = tuple[dict[str, Float32Array], dict[str, Int32Array], dict[str, Int32Array]]


@pytest.fixture(scope="module")
def speech() -> Speech:
    """Features, phones in their order, phones of every second frame."""
    rng = np.random.default_rng(0)
    features, phones, labels = {}, {}, {}
    for number in range(11):
        said = rng.permutation(5)[: rng.integers(2, 6)].astype(np.int32)
        x_TD = np.eye(5, dtype=np.float32)[said.repeat(8)]
        features[f"u{number}"] = x_TD + rng.normal(0, 0.2, x_TD.shape).astype(np.float32)
        phones[f"u{number}"], labels[f"u{number}"] = said, said.repeat(4)
    return features, phones, labels


def equal(first: AcousticNetwork, second: AcousticNetwork) -> bool:
    ours, theirs = first.state_dict(), second.state_dict()
    return all(torch.equal(ours[name], theirs[name]) for name in ours)


class Killed(BaseException):
    pass


def dies_after(epochs: int) -> Callable[[], None]:
    done: list[int] = []

    def progress() -> None:
        done.append(1)
        if len(done) == epochs:
            raise Killed

    return progress


@pytest.mark.parametrize("kind", ["ctc", "frames"])
@pytest.mark.parametrize("epochs", [1, 2, 3])
def test_a_training_that_is_killed_after_an_epoch_goes_on_to_the_same_bits(
    kind: str, epochs: int, speech: Speech, tmp_path: Path
) -> None:
    features, phones, labels = speech
    train = VARIED.train_ctc if kind == "ctc" else VARIED.train_frames
    targets = phones if kind == "ctc" else labels
    whole, whole_curve = train(features, targets, num_phones=5, warps=WARPS)
    path = tmp_path / "training.safetensors"
    with pytest.raises(Killed):
        train(
            features,
            targets,
            num_phones=5,
            warps=WARPS,
            checkpoint=path,
            progress=dies_after(epochs),
        )
    ticks: list[int] = []
    network, curve = train(
        features,
        targets,
        num_phones=5,
        warps=WARPS,
        checkpoint=path,
        progress=lambda: ticks.append(1),
    )
    assert curve == whole_curve
    assert equal(network, whole)
    assert len(ticks) == 3
    assert [p.name for p in tmp_path.iterdir()] == [path.name]


def test_a_checkpoint_of_other_options_or_data_is_refused_and_a_damaged_one_named(
    speech: Speech, tmp_path: Path
) -> None:
    features, phones, _ = speech
    path = tmp_path / "training.safetensors"
    VARIED.train_ctc(features, phones, num_phones=5, warps=WARPS, checkpoint=path)
    other = replace(VARIED, noise=0.1)
    with pytest.raises(ValueError, match=r"training\.safetensors is of a training with other opt"):
        other.train_ctc(features, phones, num_phones=5, warps=WARPS, checkpoint=path)
    fewer = {i: phones[i] for i in list(phones)[1:]}
    with pytest.raises(ValueError, match=r"training\.safetensors is of a training with other opt"):
        VARIED.train_ctc(features, fewer, num_phones=5, warps=WARPS, checkpoint=path)
    path.write_bytes(path.read_bytes()[:-10])
    with pytest.raises(ValueError, match=r"training\.safetensors: not a whole safetensors file"):
        VARIED.train_ctc(features, phones, num_phones=5, warps=WARPS, checkpoint=path)


def first_moments(path: Path) -> dict[str, Tensor]:
    """Adam's, which after one update are a tenth of the gradients."""
    found = read_tensors(path)
    return {name: found[name] for name in found if name.endswith("exp_avg")}


def test_two_processes_have_the_gradients_of_one(speech: Speech, tmp_path: Path) -> None:
    """Over gloo, with everything that draws; one pass has a row for one process alone."""
    features, phones, _ = speech
    features = {**features, "long": np.ones((100, 5), np.float32)}
    phones = {**phones, "long": np.arange(5, dtype=np.int32)}
    training = replace(VARIED, epochs=1, batch_size=12, num_layers=2, pass_frames=110)
    curves, moments = [], []
    for num_processes in (1, 2):
        path = tmp_path / f"{num_processes}.safetensors"
        _, curve = training.train_ctc(
            features,
            phones,
            num_phones=5,
            warps=WARPS,
            checkpoint=path,
            num_processes=num_processes,
        )
        curves.append(curve)
        moments.append(first_moments(path))
        buffers = {k: v for k, v in read_tensors(path).items() if "running" in k}
        moments[-1] |= buffers
    assert curves[1] == pytest.approx(curves[0], rel=1e-5)
    assert len(moments[0]) == 2 * 5 + 4
    for name, moment in moments[0].items():
        torch.testing.assert_close(moments[1][name], moment, rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize(
    ("work", "error", "message"),
    [
        (begin_at_ranks, ValueError, "trained for epochs 0, 1; expected one number"),
        (second_is_killed, LostProcessError, "another of the 2 processes of this training is gone"),
    ],
)
def test_processes_that_cannot_go_on_together_say_why(work, error: type, message: str) -> None:
    with pytest.raises(error, match=message):
        shared(2, work, progress=lambda: None)


def test_passes_add_up_to_the_gradients_of_the_batch(speech: Speech, tmp_path: Path) -> None:
    """Of utterances that sound alike, so that batch norm sees the same in every pass."""
    features, _, _ = speech
    alike = dict.fromkeys("abcdefg", features["u0"])
    rng = np.random.default_rng(1)
    phones = {i: rng.permutation(5)[:3].astype(np.int32) for i in alike}
    training = NetworkTraining(hidden=12, epochs=1, dropout=0.0)
    num_frames = len(features["u0"])
    curves, moments = [], []
    for num_passes, at_once in ((1, 7), (3, 3), (7, 1)):
        path = tmp_path / f"{num_passes}.safetensors"
        options = replace(training, pass_frames=at_once * num_frames)
        curves.append(
            options.train_ctc(alike, phones, num_phones=5, warps=WARPS, checkpoint=path)[1]
        )
        moments.append(first_moments(path))
    for curve, found in zip(curves[1:], moments[1:], strict=True):
        assert curve == pytest.approx(curves[0], rel=1e-5)
        for name, moment in moments[0].items():
            torch.testing.assert_close(found[name], moment, rtol=1e-4, atol=1e-6)


def test_a_pass_holds_so_many_padded_frames_and_any_utterance_fits_one() -> None:
    lengths = {"a": 30, "b": 10, "c": 500, "d": 12, "e": 31}
    groups = list(bounded_batches(lengths, 62))
    assert groups == [["b", "d"], ["a", "e"], ["c"]]


def test_bfloat16_learns_what_float32_learns_with_weights_that_are_not_rounded(
    speech: Speech,
) -> None:
    features, phones, _ = speech
    training = replace(VARIED, epochs=4)
    _, exact = training.train_ctc(features, phones, num_phones=5, warps=WARPS)
    with compute.using("cpu", "bfloat16"):
        network, rounded = training.train_ctc(features, phones, num_phones=5, warps=WARPS)
    assert all(p.dtype == torch.float32 for p in network.parameters())
    assert rounded != exact
    assert rounded == pytest.approx(exact, rel=0.05)


def test_every_utterance_is_heard_through_one_of_the_maps_within_reach(speech: Speech) -> None:
    features, phones, _ = speech
    plain = replace(VARIED, max_stretch=1.0, epochs=1)
    _, unwarped = replace(plain, max_warp=1.0).train_ctc(features, phones, num_phones=5)
    twice = Warps(np.float32([0.9, 1.1]), np.stack([2 * np.eye(5, dtype=np.float32)] * 2))
    _, doubled = plain.train_ctc(features, phones, num_phones=5, warps=twice)
    same = Warps(np.float32([0.9, 1.1, 9]), np.stack([np.eye(5, dtype=np.float32)] * 3))
    same.maps_WEE[2] = np.nan  # out of reach
    _, equal_curve = plain.train_ctc(features, phones, num_phones=5, warps=same)
    by_hand = {i: 2 * x_TD for i, x_TD in features.items()}
    _, doubled_by_hand = plain.train_ctc(by_hand, phones, num_phones=5, warps=same)
    assert doubled == doubled_by_hand
    assert doubled != equal_curve
    assert np.isfinite(unwarped).all()


def test_features_that_cannot_be_warped_are_heard_as_they_are(speech: Speech) -> None:
    features, phones, _ = speech
    plain = replace(VARIED, epochs=1)
    _, curve = plain.train_ctc(features, phones, num_phones=5)
    _, unwarped = replace(plain, max_warp=1.0).train_ctc(features, phones, num_phones=5)
    assert curve == unwarped


def test_a_loss_that_is_no_number_ends_the_training(speech: Speech) -> None:
    features, phones, _ = speech
    broken = {**features, "u3": np.full_like(features["u3"], 1e38)}
    with pytest.raises(ValueError, match="the loss of epoch 1 is nan; expected a number"):
        replace(VARIED, max_stretch=1.0).train_ctc(broken, phones, num_phones=5, warps=WARPS)


@pytest.mark.parametrize("kind", ["ctc", "frames"])
@pytest.mark.parametrize("pass_frames", [60_000, 60])
def test_on_a_gpu_nothing_is_read_before_the_end_of_an_epoch(
    kind: str, pass_frames: int, speech: Speech
) -> None:
    """And nothing mixes devices; the draws are the device's, seen here as the same numbers."""
    features, phones, labels = speech
    training = replace(VARIED, epochs=2, pass_frames=pass_frames)
    train = training.train_ctc if kind == "ctc" else training.train_frames
    targets = phones if kind == "ctc" else labels
    _, expected = train(features, targets, num_phones=5, warps=WARPS)
    with pretend_device() as pretend, compute.using(pretend.device):
        network, curve = train(features, targets, num_phones=5, warps=WARPS)
        assert pretend.host_reads.total() == 2
        pretend.clear()
        found = log_posteriors(network, features)
        assert pretend.host_reads.total() == 1
    assert curve == pytest.approx(expected, rel=1e-6)
    assert np.isfinite(found["u0"]).all()
