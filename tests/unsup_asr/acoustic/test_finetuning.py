"""Fine-tuning on espeak-ng speech: it learns, resumes, and is the same in several processes."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from tests.pretend_device import pretend_device
from tests.unsup_asr.upstreams.fairseq_checkpoints import FILES, fairseq_state, write
from tests.unsup_asr.upstreams.spoken_words import SpokenWords, speak_words
from tests.unsup_asr.upstreams.transformers_checkpoints import SIZE, save_family
from unsup_asr import compute
from unsup_asr.acoustic.finetuning import Finetuning
from unsup_asr.acoustic.posteriors import log_posteriors
from unsup_asr.acoustic.wave_batches import SpanMasks
from unsup_asr.formats.weights import read_tensors
from unsup_asr.protocols import FineTunable
from unsup_asr.scoring.metrics import count_errors
from unsup_asr.speech.runs import merge_repeats
from unsup_asr.types import ErrorCounts
from unsup_asr.upstreams.ctc_network import load_ctc_network
from unsup_asr.upstreams.fairseq_file import FairseqUpstream
from unsup_asr.upstreams.kaldi_features import KaldiMFCC
from unsup_asr.upstreams.transformers_hub import TransformersUpstream

FAMILIES = ("wav2vec2_base", "hubert_large", "wavlm_large", "data2vec_audio_base")


@pytest.fixture(scope="module")
def words(tmp_path_factory: pytest.TempPathFactory) -> SpokenWords:
    return speak_words(tmp_path_factory.mktemp("words"))


@pytest.fixture(scope="module")
def upstreams(tmp_path_factory: pytest.TempPathFactory) -> dict[str, TransformersUpstream]:
    folder = tmp_path_factory.mktemp("upstreams")
    with pytest.MonkeyPatch.context() as patch:
        for name, value in {
            "hidden_size": 48,
            "num_hidden_layers": 2,
            "conv_dim": (32,) * 7,
        }.items():
            patch.setitem(SIZE, name, value)
        return {
            name: TransformersUpstream(checkpoint=str(save_family(name, folder / name)))
            for name in FAMILIES
        }


def varied(upstream: FineTunable) -> Finetuning:
    """A few updates with everything that draws, some of them with two passes."""
    return Finetuning(
        upstream=upstream,
        updates=5,
        head_updates=1,
        learning_rate=1e-3,
        batch_seconds=1.6,
        pass_seconds=1.0,
        time_mask=0.3,
        channel_mask=0.3,
        channel_mask_channels=8,
        layer_drop=0.3,
        activation_dropout=0.2,
    )


def exact(upstream: FineTunable, **options: float) -> Finetuning:
    """One batch, one pass, nothing masked or dropped."""
    rates = dict.fromkeys(("time_mask", "channel_mask", "layer_drop", "activation_dropout"), 0.0)
    chosen = {"batch_seconds": 20.0, "pass_seconds": 20.0, "head_updates": 0, **rates, **options}
    return Finetuning(upstream=upstream, **chosen)


def train(
    training: Finetuning, words: SpokenWords, **options: object
) -> tuple[nn.Module, list[float]]:
    return training.train_ctc(
        words.waveforms, words.targets, num_phones=len(words.inventory), **options
    )


def equal(first: nn.Module, second: nn.Module) -> bool:
    ours, theirs = first.state_dict(), second.state_dict()
    return all(torch.equal(ours[name], theirs[name]) for name in ours)


def test_it_learns_its_labels_by_heart(
    words: SpokenWords, upstreams: dict[str, TransformersUpstream]
) -> None:
    training = exact(upstreams["hubert_large"], updates=170, learning_rate=1e-2, head_updates=3)
    network, curve = train(training, words)
    assert curve[-1] < 0.1 * curve[3]
    errors = ErrorCounts(0, 0, 0, 0)
    for utterance_id, scores_TV in log_posteriors(network, words.waveforms).items():
        best = [i for i in merge_repeats(scores_TV.argmax(axis=1)).tolist() if i]
        heard = [words.inventory[i - 1] for i in best]
        errors += count_errors(words.phones[utterance_id], heard)
    assert errors.rate < 10


@pytest.mark.parametrize("family", FAMILIES)
def test_all_but_the_convolutions_over_the_waveform_is_trained_in_every_family(
    family: str, words: SpokenWords, upstreams: dict[str, TransformersUpstream]
) -> None:
    training = exact(upstreams[family], updates=12, learning_rate=3e-3)
    network, curve = train(training, words)
    assert curve[-1] < 0.7 * curve[0]
    before = training.upstream.with_ctc_head(
        len(words.inventory) + 1, layer_drop=0.0, activation_dropout=0.0, seed=0
    ).state_dict()
    same = {k for k, found in network.state_dict().items() if torch.equal(found, before[k])}
    assert all("feature_extractor" in k or "masked_spec_embed" in k for k in same)
    assert any("feature_extractor" in k for k in same)


@pytest.mark.parametrize("family", FAMILIES)
def test_posteriors_in_a_padded_batch_are_those_of_the_recording_alone(
    family: str, words: SpokenWords, upstreams: dict[str, TransformersUpstream]
) -> None:
    network, _ = train(exact(upstreams[family], updates=1), words)
    together = log_posteriors(network, words.waveforms)
    waveforms = words.waveforms
    for utterance_id, found_TV in together.items():
        assert len(found_TV) == (waveforms.lengths[utterance_id] - 400) // 320 + 1
        (alone_TV,) = log_posteriors(network, {"u": waveforms[utterance_id]}).values()
        np.testing.assert_allclose(found_TV, alone_TV, atol=2e-4)


class Killed(BaseException):
    pass


def dies_after(updates: int) -> Callable[[], None]:
    done: list[int] = []

    def progress() -> None:
        done.append(1)
        if len(done) == updates:
            raise Killed

    return progress


@pytest.mark.parametrize("updates", [1, 3, 5])
def test_a_killed_training_goes_on_to_the_same_bits(
    updates: int, words: SpokenWords, upstreams: dict[str, TransformersUpstream], tmp_path: Path
) -> None:
    training = varied(upstreams["wav2vec2_base"])
    whole, whole_curve = train(training, words)
    assert len(whole_curve) == 3  # an epoch is of two updates, the last ends early
    path = tmp_path / "training.safetensors"
    with pytest.raises(Killed):
        train(training, words, checkpoint=path, progress=dies_after(updates))
    ticks: list[int] = []
    network, curve = train(training, words, checkpoint=path, progress=lambda: ticks.append(1))
    assert curve == whole_curve
    assert equal(network, whole)
    assert len(ticks) == training.num_ticks


def test_the_state_of_another_training_is_refused(
    words: SpokenWords, upstreams: dict[str, TransformersUpstream], tmp_path: Path
) -> None:
    path = tmp_path / "training.safetensors"
    training = replace(varied(upstreams["wav2vec2_base"]), updates=1)
    train(training, words, checkpoint=path)
    for other in (
        replace(training, layer_drop=0.0),
        replace(training, upstream=upstreams["wavlm_large"]),
    ):
        with pytest.raises(ValueError, match="is of a training with other options or data"):
            train(other, words, checkpoint=path)


def first_moments(path: Path) -> dict[str, Tensor]:
    """Adam's, which after one update are a tenth of the gradients."""
    found = read_tensors(path)
    return {name: found[name] for name in found if name.endswith("exp_avg")}


def test_two_processes_have_the_gradients_of_one(
    words: SpokenWords, upstreams: dict[str, TransformersUpstream], tmp_path: Path
) -> None:
    """Over gloo, with everything that draws; of one pass a process has no row."""
    training = replace(
        varied(upstreams["wav2vec2_base"]),
        updates=1,
        head_updates=0,
        batch_seconds=9.0,
        pass_seconds=1.4,
    )
    curves, moments = [], []
    for num_processes in (1, 2):
        path = tmp_path / f"{num_processes}.safetensors"
        _, curve = train(training, words, checkpoint=path, num_processes=num_processes)
        curves.append(curve)
        moments.append(first_moments(path))
    assert curves[1] == pytest.approx(curves[0], rel=1e-5)
    assert any(bool(moment.any()) for moment in moments[0].values())
    for name, moment in moments[0].items():
        torch.testing.assert_close(moments[1][name], moment, rtol=1e-3, atol=1e-6)


@pytest.mark.parametrize("family", FAMILIES)
def test_gradients_are_the_same_when_activations_are_computed_again(
    family: str, words: SpokenWords, upstreams: dict[str, TransformersUpstream], tmp_path: Path
) -> None:
    training = replace(varied(upstreams[family]), updates=1, head_updates=0, batch_seconds=9.0)
    moments = []
    for name, again in (("kept", False), ("again", True)):
        path = tmp_path / name
        train(replace(training, gradient_checkpointing=again), words, checkpoint=path)
        moments.append(first_moments(path))
    for name, moment in moments[0].items():
        torch.testing.assert_close(moments[1][name], moment, rtol=1e-4, atol=1e-7)


def test_passes_add_up_to_the_gradients_of_the_batch(
    words: SpokenWords, upstreams: dict[str, TransformersUpstream], tmp_path: Path
) -> None:
    moments = []
    for pass_seconds in (20.0, 0.7):
        training = exact(upstreams["wav2vec2_base"], updates=1, pass_seconds=pass_seconds)
        path = tmp_path / str(pass_seconds)
        train(training, words, checkpoint=path)
        moments.append(first_moments(path))
    for name, moment in moments[0].items():
        torch.testing.assert_close(moments[1][name], moment, rtol=1e-3, atol=1e-6)


def test_the_first_updates_train_the_head_alone(
    words: SpokenWords, upstreams: dict[str, TransformersUpstream]
) -> None:
    upstream = upstreams["wavlm_large"]
    network, _ = train(exact(upstream, updates=2, head_updates=2), words)
    before = upstream.with_ctc_head(
        len(words.inventory) + 1, layer_drop=0.0, activation_dropout=0.0, seed=0
    ).state_dict()
    changed = {k for k, x in network.state_dict().items() if not torch.equal(x, before[k])}
    assert changed == {"model.lm_head.weight", "model.lm_head.bias"}


def test_the_rate_has_three_phases(upstreams: dict[str, TransformersUpstream]) -> None:
    training = Finetuning(upstream=upstreams["wav2vec2_base"])
    rates = [training.rate(update) for update in (0, 4000, 8000, 39_999, 40_000, 60_000, 80_000)]
    assert rates == pytest.approx(
        [3e-7, 3e-5 * 0.505, 3e-5, 3e-5, 3e-5, 3e-5 * 0.05**0.5, 1.5e-6], rel=1e-6
    )


def test_masks_are_spans_of_their_width_as_many_as_their_share_needs() -> None:
    rng = np.random.default_rng(0)
    masks = [SpanMasks(0.5, 10).drawn(205, rng) for _ in range(400)]
    assert 0.35 < np.mean(masks) < 0.45  # of 10.25 spans of 10, some meet
    edges = np.diff(np.pad(masks[0].astype(int), 1))
    widths = np.flatnonzero(edges == -1) - np.flatnonzero(edges == 1)
    assert min(widths) >= 10
    assert SpanMasks(0.5, 10).drawn(3, rng).sum() in (0, 3)
    assert not SpanMasks(0.0, 10).drawn(50, rng).any()


def test_bfloat16_learns_what_float32_learns(
    words: SpokenWords, upstreams: dict[str, TransformersUpstream]
) -> None:
    training = exact(upstreams["wav2vec2_base"], updates=4, learning_rate=1e-3)
    _, expected = train(training, words)
    with compute.using("cpu", "bfloat16"):
        network, found = train(training, words)
    assert all(p.dtype == torch.float32 for p in network.parameters())
    assert found != expected
    assert found == pytest.approx(expected, rel=0.05)


def test_what_cannot_be_trained_is_refused(
    words: SpokenWords, upstreams: dict[str, TransformersUpstream], tmp_path: Path
) -> None:
    upstream = upstreams["wav2vec2_base"]
    with pytest.raises(ValueError, match="upstream is a KaldiMFCC, which cannot be fine-tuned"):
        Finetuning(upstream=KaldiMFCC())
    with pytest.raises(ValueError, match=r"warm_up is 0\.7 and hold 0\.4 of the updates"):
        Finetuning(upstream=upstream, warm_up=0.7)
    with pytest.raises(ValueError, match=r"pass_seconds is 80\.0, batch_seconds 10"):
        Finetuning(upstream=upstream, batch_seconds=10.0)
    long = {i: np.arange(3, dtype=np.int32).repeat(40) for i in words.targets}
    with pytest.raises(ValueError, match="none of 4 utterances can be trained on"):
        exact(upstream).train_ctc(words.waveforms, long, num_phones=3)
    with pytest.raises(ValueError, match="the loss of epoch 2 is nan; expected a number"):
        train(exact(upstream, updates=2, learning_rate=1e30), words)


def test_a_recording_that_changed_since_the_manifest_is_named(
    words: SpokenWords, upstreams: dict[str, TransformersUpstream]
) -> None:
    shorter = [replace(u, duration_s=u.duration_s / 2) for u in words.utterances]
    waveforms = replace(words, utterances=shorter).waveforms
    with pytest.raises(ValueError, match=r"u\d\.flac: \d+ samples .* the manifest says"):
        exact(upstreams["wav2vec2_base"]).train_ctc(waveforms, words.targets, num_phones=20)


def test_a_step_on_a_device_stays_there(
    words: SpokenWords, upstreams: dict[str, TransformersUpstream]
) -> None:
    training = varied(upstreams["wav2vec2_base"])
    _, expected = train(training, words)
    with pretend_device() as pretend, compute.using(pretend.device):
        network, curve = train(training, words)
        reads = dict(pretend.host_reads)
        pretend.clear()
        found = log_posteriors(network, words.waveforms)
        assert pretend.host_reads.total() == 2  # its one padded batch: the mask, the posteriors
    (of_losses,) = [n for place, n in reads.items() if "acoustic/processes.py" in place]
    assert of_losses == len(curve)  # the mean loss of each epoch
    # transformers asks of each padded pass whether its mask is needed; of 7 passes 2 are padded
    assert sorted(reads.values()) == [2, of_losses]
    assert np.isfinite(curve).all()
    assert curve[0] == pytest.approx(expected[0], rel=0.2)  # its generators draw other numbers
    assert all(np.isfinite(p_TV).all() for p_TV in found.values())


@pytest.mark.parametrize("name", ["wav2vec_small", "xlsr_53_56k"])
def test_a_checkpoint_of_fairseq_is_tuned_as_the_same_weights_of_transformers(
    name: str, words: SpokenWords, tmp_path: Path
) -> None:
    theirs = FairseqUpstream(checkpoint=str(write(fairseq_state(name), tmp_path)))
    ours = TransformersUpstream(checkpoint=str(save_family(FILES[name], tmp_path / "folder")))
    (network, curve), (_, expected) = [
        train(exact(upstream, updates=3, learning_rate=1e-3), words) for upstream in (theirs, ours)
    ]
    assert curve[-1] < curve[0]
    assert curve == pytest.approx(expected, rel=1e-4)
    network.save(tmp_path / "saved", ["<blank>", *words.inventory])
    found = log_posteriors(load_ctc_network(tmp_path / "saved"), words.waveforms)
    for utterance_id, scores_TV in log_posteriors(network, words.waveforms).items():
        np.testing.assert_allclose(found[utterance_id], scores_TV, atol=1e-5)


def test_a_checkpoint_of_hubert_by_fairseq_can_be_tuned(words: SpokenWords, tmp_path: Path) -> None:
    path = write(fairseq_state("hubert_large_ll60k"), tmp_path)
    _, curve = train(exact(FairseqUpstream(checkpoint=str(path)), updates=4), words)
    assert curve[-1] < curve[0]
