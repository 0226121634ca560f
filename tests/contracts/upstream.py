"""What every upstream promises, as tests to run on a class of one's own.

    class TestMyUpstream(UpstreamContract):
        def make(self) -> Upstream:
            return MyUpstream(checkpoint="...")

Needs pytest, torch and unsup_asr alone: the file may be copied beside the tests of another package.
"""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import pytest
import torch
from torch import Tensor

from unsup_asr.protocols import Upstream, UpstreamOutput

# Axes: B batch, N samples, T frames, D dims.


class UpstreamContract:
    """Subclass it, name the subclass `Test...`, and say how the upstream is made."""

    tolerance = 1e-5  # of states in a batch and alone, relative to the largest
    click_tolerance_frames = 2  # how far from the nearest centre a click may be seen first

    def make(self) -> Upstream:
        """A new upstream, always with the same weights and options."""
        raise NotImplementedError("say how the upstream is made: def make(self) -> Upstream")

    @pytest.fixture
    def upstream(self) -> Upstream:
        """The upstream that one test looks at."""
        return self.make()

    def test_it_has_all_that_the_contract_names(self, upstream: Upstream) -> None:
        assert isinstance(upstream, Upstream), (
            "something is missing of sample_rate, frame_shift_samples, first_centre_s, "
            "num_layers, dim, encode, fingerprint"
        )
        for name in ("sample_rate", "frame_shift_samples", "num_layers", "dim"):
            value = getattr(upstream, name)
            assert isinstance(value, int), f"{name} is {value!r}, not a whole number"
            assert value > 0, f"{name} is {value}"
        assert 0 <= upstream.first_centre_s < 1, f"first_centre_s is {upstream.first_centre_s}"

    def test_every_layer_has_the_shape_that_was_announced(self, upstream: Upstream) -> None:
        output = _encoded(upstream, _waves(upstream))
        assert len(output.layers_BTD) == upstream.num_layers, f"{len(output.layers_BTD)} layers"
        num_frames = int(output.lengths_B.max())
        for i, states_BTD in enumerate(output.layers_BTD):
            shape = tuple(states_BTD.shape)
            assert shape == (3, num_frames, upstream.dim), f"layer {i} has shape {shape}"
            assert states_BTD.is_floating_point(), f"layer {i} is {states_BTD.dtype}"
            assert states_BTD.isfinite().all(), f"layer {i} is not finite"

    def test_frames_cover_the_audio(self, upstream: Upstream) -> None:
        waves = _waves(upstream)
        for wave_N, num_frames in zip(waves, _encoded(upstream, waves).lengths_B, strict=True):
            expected = len(wave_N) / upstream.frame_shift_samples
            assert abs(int(num_frames) - expected) <= 4, (
                f"{int(num_frames)} frames of {len(wave_N)} samples; about {expected:.0f} expected"
            )

    def test_a_padded_batch_equals_its_waves_one_by_one(self, upstream: Upstream) -> None:
        """Whatever the padding holds: here noise, where zeros could hide a leak."""
        waves = _waves(upstream)
        batch = _encoded(upstream, waves)
        for i, wave_N in enumerate(waves):
            alone = _encoded(upstream, [wave_N])
            num_frames = int(alone.lengths_B[0])
            assert int(batch.lengths_B[i]) == num_frames, f"wave {i}: another number of frames"
            for j, (in_batch, by_itself) in enumerate(
                zip(batch.layers_BTD, alone.layers_BTD, strict=True)
            ):
                off = _distance(in_batch[i, :num_frames], by_itself[0, :num_frames])
                assert off <= self.tolerance, f"wave {i}, layer {j}: off by {off:.1e}"

    def test_the_same_audio_gives_the_same_states(self, upstream: Upstream) -> None:
        first, second = (_encoded(upstream, _waves(upstream)) for _ in range(2))
        for x, y in zip(first.layers_BTD, second.layers_BTD, strict=True):
            assert torch.equal(x, y), "two calls differ: dropout, dither, or a state kept"

    def test_threads_may_encode_at_once(self, upstream: Upstream) -> None:
        """Stages do so: nothing of one call may be kept where another call finds it."""
        waves = [wave_N[: len(wave_N) - 160 * i] for i in range(4) for wave_N in _waves(upstream)]
        alone = [_encoded(upstream, [wave_N]) for wave_N in waves]
        before = torch.get_rng_state()
        shared = self.make()  # which loads its weights in the threads too
        with ThreadPoolExecutor(8) as pool:
            at_once = list(pool.map(lambda wave_N: _encoded(shared, [wave_N]), 3 * waves))
        assert torch.equal(torch.get_rng_state(), before), "torch's own generator has moved"
        for i, (expected, found) in enumerate(zip(3 * alone, at_once, strict=True)):
            assert torch.equal(found.lengths_B, expected.lengths_B), f"call {i}: other lengths"
            for x, y in zip(found.layers_BTD, expected.layers_BTD, strict=True):
                assert x.shape == y.shape, f"call {i}: {tuple(x.shape)}, alone {tuple(y.shape)}"
                off = _distance(x, y)
                assert off <= self.tolerance, f"call {i}: off by {off:.1e} beside other calls"

    def test_a_new_upstream_gives_the_same_states(self, upstream: Upstream) -> None:
        waves = _waves(upstream)
        states = zip(
            _encoded(upstream, waves).layers_BTD,
            _encoded(self.make(), waves).layers_BTD,
            strict=True,
        )
        for x, y in states:
            assert _distance(x, y) <= self.tolerance, "weights are drawn, not loaded"

    def test_it_draws_no_random_numbers(self) -> None:
        """Else what is trained after it would depend on when it was loaded."""
        before = torch.get_rng_state()
        upstream = self.make()
        _encoded(upstream, _waves(upstream))
        assert torch.equal(torch.get_rng_state(), before), "torch's own generator has moved"

    def test_it_leaves_its_input_alone_and_keeps_no_graph(self, upstream: Upstream) -> None:
        waves_BN, lengths_B = _padded(_waves(upstream))
        before_BN = waves_BN.clone()
        output = upstream.encode(waves_BN, lengths_B)
        assert torch.equal(waves_BN, before_BN), "encode changed the waveforms in place"
        for states_BTD in output.layers_BTD:
            assert not states_BTD.requires_grad, "states carry a graph; the upstream is frozen"
            (states_BTD * torch.ones(1, requires_grad=True)).sum().backward()  # can be trained on

    def test_a_click_is_seen_where_it_is(self, upstream: Upstream) -> None:
        """`first_centre_s` and `frame_shift_samples` say when a frame is."""
        wave_N = _waves(upstream)[0]
        shift, rate = upstream.frame_shift_samples, upstream.sample_rate
        at = len(wave_N) // 2
        clicked_N = wave_N.clone()
        clicked_N[at : at + shift // 8] += 0.5
        before, after = (_encoded(upstream, [x]).layers_BTD[0][0] for x in (wave_N, clicked_N))
        changed = int((after - before).norm(dim=-1).argmax())
        expected = (at / rate - upstream.first_centre_s) * rate / shift
        assert abs(changed - expected) <= self.click_tolerance_frames, (
            f"a click at {at / rate:.3f} s changes frame {changed} most; "
            f"by first_centre_s it lies at frame {expected:.1f}"
        )

    def test_a_wave_shorter_than_a_frame_is_refused(self, upstream: Upstream) -> None:
        with pytest.raises(ValueError, match=r"\d"):
            upstream.encode(torch.zeros(1, 8), torch.tensor([8]))

    def test_the_fingerprint_is_that_of_the_weights_and_options(self, upstream: Upstream) -> None:
        found = upstream.fingerprint()
        assert isinstance(found, str), f"fingerprint() is {found!r}, not a string"
        assert len(found) >= 8, f"fingerprint() is {found!r}, too short to tell weights apart"
        assert found == upstream.fingerprint() == self.make().fingerprint(), "it changes"


def _waves(upstream: Upstream) -> list[Tensor]:
    """Three waveforms of noise, of about 0.9, 0.6 and 0.3 s."""
    generator = torch.Generator().manual_seed(0)
    lengths = [int(part * upstream.sample_rate) + 7 for part in (0.9, 0.6, 0.3)]
    return [0.1 * torch.randn(length, generator=generator) for length in lengths]


def _padded(waves: list[Tensor]) -> tuple[Tensor, Tensor]:
    lengths_B = torch.tensor([len(wave_N) for wave_N in waves])
    generator = torch.Generator().manual_seed(1)
    waves_BN = 0.5 * torch.randn(len(waves), int(lengths_B.max()), generator=generator)
    for row_N, wave_N in zip(waves_BN, waves, strict=True):
        row_N[: len(wave_N)] = wave_N
    return waves_BN, lengths_B


def _encoded(upstream: Upstream, waves: list[Tensor]) -> UpstreamOutput:
    return upstream.encode(*_padded(waves))


def _distance(x: Tensor, y: Tensor) -> float:
    """Largest difference, over the largest value."""
    return float((x - y).abs().max() / y.abs().max().clamp(min=1e-30))
