"""SUPERB's phoneme recognition: the weighted sum, the linear head, its training and selection."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from tests.pretend_device import pretend_device
from unsup_asr import compute
from unsup_asr.acoustic import superb
from unsup_asr.acoustic.linear_head import (
    PhonemeRecognizer,
    RecognizerShape,
    collapse,
    layer_batch,
    mean_norms,
    recognise,
)
from unsup_asr.acoustic.superb import Batch, PhonemeRecognition
from unsup_asr.acoustic.weighted_sum import WeightedSum

INVENTORY = ("p", "a", "t", "i", "k")
SMALL = PhonemeRecognition(
    steps=150, batch_size=4, accumulation=2, projection=16, evaluate_every=50, seed=1
)


def speech(rng, num_utterances: int, prefix: str = "u"):
    """Three layers of which only layer 7 knows the phones, each held for 4 frames, none twice."""
    layers = {3: {}, 7: {}, 9: {}}
    targets = {}
    for number in range(num_utterances):
        phones = rng.integers(0, len(INVENTORY), size=rng.integers(4, 9)).astype(np.int32)
        phones = phones[np.append(True, phones[1:] != phones[:-1])]
        known = np.zeros((4 * len(phones) + 2, len(INVENTORY)))  # quiet at the end
        known[np.arange(4 * len(phones)), np.repeat(phones, 4)] = 4.0
        utterance_id = f"{prefix}{number}"
        for layer in layers:
            noise = rng.normal(size=known.shape)
            x_TD = known + 0.1 * noise if layer == 7 else noise
            layers[layer][utterance_id] = x_TD.astype(np.float16)
        targets[utterance_id] = phones
    return layers, targets


def names(targets):
    return {i: tuple(INVENTORY[p] for p in target) for i, target in targets.items()}


@pytest.fixture(scope="module")
def data():
    rng = np.random.default_rng(0)
    return (*speech(rng, 32), *speech(rng, 6, "d"))


@pytest.fixture(scope="module")
def trained(data):
    layers, targets, dev_layers, dev_targets = data
    return SMALL.train(layers, targets, dev_layers, names(dev_targets), INVENTORY)


def test_it_learns_which_phones_are_said_in_utterances_that_it_has_not_seen(data, trained):
    _, _, dev_layers, dev_targets = data
    found = recognise(trained.recognizer, dev_layers, INVENTORY)
    references = names(dev_targets)
    wrong = [i for i in references if found[i] != references[i]]
    assert len(wrong) <= 1, {i: (found[i], references[i]) for i in wrong}
    assert trained.best.per < 10
    assert trained.history[-1].loss < trained.history[0].loss / 4


def test_the_weighted_sum_finds_the_layer_that_knows(trained):
    weights = trained.recognizer.weighted_sum.weights_L.detach().numpy()
    assert weights.sum() == pytest.approx(1, abs=1e-5)
    assert weights.argmax() == 1
    assert weights[1] > 0.6
    assert weights[1] > 4 * max(weights[0], weights[2])


def test_all_layers_begin_with_equal_weight_and_the_gradient_reaches_the_weights():
    weighted = WeightedSum(3)
    layers_BTD = [torch.full((1, 2, 2), float(value)) for value in (0, 3, 9)]
    summed_BTD = weighted(layers_BTD)
    torch.testing.assert_close(summed_BTD, torch.full((1, 2, 2), 4.0))
    summed_BTD.sum().backward()
    assert weighted.scores_L.grad is not None
    assert (weighted.scores_L.grad.sign().tolist()) == [-1, -1, 1]


def test_normalised_layers_weigh_alike_whatever_their_scale():
    x_BTD = torch.randn(2, 3, 8, generator=torch.Generator().manual_seed(0))
    weighted = WeightedSum(2, normalise=True)
    torch.testing.assert_close(
        weighted([x_BTD, 100 * x_BTD + 5]), weighted([x_BTD, x_BTD]), atol=1e-3, rtol=0
    )


def test_a_weighted_sum_of_another_number_of_layers_is_an_error():
    with pytest.raises(ValueError, match="2 layers for a weighted sum of 3"):
        WeightedSum(3)([torch.zeros(1, 1, 1)] * 2)


def updated(data, group):
    """The weights after one update of that group of batches."""
    layers, targets, _, _ = data
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        recognizer = PhonemeRecognizer(
            RecognizerShape(
                num_layers=3,
                dim=len(INVENTORY),
                num_phones=len(INVENTORY),
                projection=8,
                normalise_layers=False,
            )
        )
    optimizer = torch.optim.SGD(recognizer.parameters(), lr=1.0)
    size = sum(map(len, group))
    batches = [Batch.of(ids, layers, targets, num_in_update=size) for ids in group]
    return float(SMALL.update(recognizer, optimizer, batches)), recognizer.state_dict()


@pytest.mark.parametrize("cut", [4, 6])  # of 8 utterances: halves, and a group that is uneven
def test_accumulated_batches_give_the_update_of_one_large_batch(data, cut):
    ids = list(data[1])[:8]
    whole_loss, whole = updated(data, [ids])
    loss, accumulated = updated(data, [ids[:cut], ids[cut:]])
    assert loss == pytest.approx(whole_loss, rel=1e-5)
    for name, weights in whole.items():
        torch.testing.assert_close(accumulated[name], weights, atol=1e-5, rtol=1e-4)


def test_the_state_of_the_best_dev_per_is_kept_not_the_last(data, monkeypatch):
    layers, targets, dev_layers, dev_targets = data
    rates = iter([50.0, 20.0, 20.0, 40.0])
    states = []

    def watched(recognizer, *arguments, **options):
        states.append({k: v.clone() for k, v in recognizer.state_dict().items()})
        return recognise(recognizer, *arguments, **options)

    monkeypatch.setattr(superb, "recognise", watched)
    monkeypatch.setattr(superb, "_error_rate", lambda *_: next(rates))
    training = replace(SMALL, steps=8, evaluate_every=2)
    found = training.train(layers, targets, dev_layers, names(dev_targets), INVENTORY)
    assert (found.best.step, found.best.per) == (4, 20.0)
    for name, weights in found.recognizer.state_dict().items():
        assert torch.equal(weights, states[1][name])
    assert not torch.equal(states[1]["output.bias"], states[3]["output.bias"])


def test_dev_is_scored_every_n_updates_and_at_the_end(data):
    layers, targets, dev_layers, dev_targets = data
    training = replace(SMALL, steps=7, evaluate_every=3)
    ticks = []
    found = training.train(
        layers,
        targets,
        dev_layers,
        names(dev_targets),
        INVENTORY,
        progress=lambda: ticks.append(1),
    )
    assert [score.step for score in found.history] == [3, 6, 7]
    assert len(ticks) == 7


def test_the_same_seed_gives_the_same_weights_and_leaves_the_global_generator_alone(data):
    layers, targets, dev_layers, dev_targets = data
    training = replace(SMALL, steps=3)
    torch.manual_seed(11)
    before = torch.get_rng_state()
    runs = [
        training.train(layers, targets, dev_layers, names(dev_targets), INVENTORY) for _ in range(2)
    ]
    assert torch.equal(before, torch.get_rng_state())
    first, second = (run.recognizer.state_dict() for run in runs)
    assert all(torch.equal(first[name], second[name]) for name in first)


def test_batches_hold_utterances_of_like_target_length_and_every_pass_holds_all():
    num_labels = {f"u{i}": i % 7 for i in range(10)}
    batches = SMALL._batches(num_labels)
    first = [next(batches) for _ in range(3)]
    assert sorted(i for batch in first for i in batch) == sorted(num_labels)
    spans = [{num_labels[i] for i in batch} for batch in first]
    assert all(max(span) - min(span) <= 3 for span in spans)
    passes = [first, *([next(batches) for _ in range(3)] for _ in range(4))]
    assert len({tuple(map(tuple, batches)) for batches in passes}) > 1


def test_outputs_collapse_to_phones_without_blank_and_end():
    outputs = np.array([0, 2, 2, 0, 2, 1, 6, 6, 1])
    assert collapse(outputs, INVENTORY) == ("p", "p", "k")
    assert collapse(np.array([], dtype=int), INVENTORY) == ()


def test_a_padded_batch_gives_what_single_utterances_give(data, trained):
    layers, _, _, _ = data
    ids = ["u0", "u1", "u2"]
    padded, lengths = layer_batch(layers, ids)
    with torch.inference_mode():
        together_BTV = trained.recognizer(padded)
        for row, utterance_id in enumerate(ids):
            alone_BTV = trained.recognizer(layer_batch(layers, [utterance_id])[0])
            length = lengths[row]
            torch.testing.assert_close(together_BTV[row, :length], alone_BTV[0], atol=1e-5, rtol=0)


def test_layers_of_other_lengths_are_an_error(data):
    layers, _, _, _ = data
    wrong = {**layers, 9: {i: x[:-1] for i, x in layers[9].items()}}
    with pytest.raises(ValueError, match="layer 9 has other numbers of frames than layer 3"):
        layer_batch(wrong, ["u0", "u1"])


def test_mean_norms_are_those_of_what_is_summed():
    layers = {0: {"a": np.array([[3.0, 4.0], [0.0, 1.0]]), "b": np.array([[0.0, 0.0]])}}
    assert mean_norms(layers, normalise=False) == pytest.approx((2.0,))
    layers = {0: {"a": np.array([[3.0, -3.0, 9.0, 7.0]])}}
    assert mean_norms(layers, normalise=True) == pytest.approx((2.0,), rel=1e-4)  # root of D


def test_references_that_fit_no_audio_are_an_error_and_those_that_fit_some_are_counted(
    data, caplog
):
    layers, targets, dev_layers, dev_targets = data
    training = replace(SMALL, steps=1)
    arguments = (dev_layers, names(dev_targets), INVENTORY)
    long = dict.fromkeys(targets, np.arange(40, dtype=np.int32) % len(INVENTORY))
    with pytest.raises(ValueError, match=r"none of 32 .* 32 fewer frames than phones"):
        training.train(layers, long, *arguments)
    with pytest.raises(ValueError, match=r"none of 1 .* 1 have no representation"):
        training.train(layers, {"x": targets["u0"]}, *arguments)
    training.train(layers, {**targets, "u0": long["u0"], "x": targets["u1"]}, *arguments)
    assert "of 33 utterances, 1 have no representation and 1 fewer frames" in caplog.text


def test_a_schedule_without_steps_is_an_error():
    with pytest.raises(ValueError, match="steps is 0; expected 1 or more"):
        PhonemeRecognition(steps=0)


def test_on_a_gpu_values_are_read_only_where_dev_is_scored(data):
    layers, targets, dev_layers, dev_targets = data
    training = replace(SMALL, steps=6, evaluate_every=3)
    arguments = (layers, targets, dev_layers, names(dev_targets), INVENTORY)
    expected = training.train(*arguments)
    with pretend_device() as pretend, compute.using(pretend.device):
        found = training.train(*arguments)
        assert pretend.host_reads.total() == 2 * (1 + 1)  # the loss; the one batch of dev
    assert [score.loss for score in found.history] == pytest.approx(
        [score.loss for score in expected.history], rel=1e-5
    )


def test_bfloat16_learns_too_and_keeps_weights_in_float32(data):
    layers, targets, dev_layers, dev_targets = data
    with compute.using("cpu", "bfloat16"):
        found = SMALL.train(layers, targets, dev_layers, names(dev_targets), INVENTORY)
    assert all(p.dtype == torch.float32 for p in found.recognizer.parameters())
    assert found.best.per < 10


def test_a_loss_that_is_no_number_is_an_error_where_dev_is_scored(data):
    layers, targets, dev_layers, dev_targets = data
    broken = {**layers, 3: {i: np.full_like(x, np.nan) for i, x in layers[3].items()}}
    with pytest.raises(ValueError, match="the loss before step 50 is nan; expected a number"):
        SMALL.train(broken, targets, dev_layers, names(dev_targets), INVENTORY)
