"""What a trained network hears: log posteriors of one utterance after another, block by block.

Axes: B batch, T frames, D dims, N samples, V outputs.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Protocol, runtime_checkable

import torch
from torch import Tensor

from unsup_asr import compute
from unsup_asr.acoustic.batches import bounded_batches, padded
from unsup_asr.acoustic.network import AcousticNetwork
from unsup_asr.speech.waveforms import Waveforms
from unsup_asr.types import Float32Array

_BLOCK_FRAMES = 360_000  # into the network: an hour of 10 ms frames, 35 MB of 50 posteriors each
_BATCH_FRAMES = 20_000  # padded ones at once
_BATCH_SAMPLES = 120 * 16000  # padded ones at once, of a network that hears waveforms
_SAMPLES_A_FRAME = 160  # 10 ms
_OUTPUTS_AT_ONCE = 20_000  # frames out of the network: minutes


@runtime_checkable
class WaveNetwork(Protocol):
    """A network that takes lengths on the host: `upstreams.ctc_network.CTCNetwork`, which hears
    waveforms, or `gan.published.PublishedGenerator`, frames.
    """

    @property
    def stack(self) -> int:
        """Frames out of the network for one of its outputs: 1."""
        ...

    def to(self, device: torch.device, /) -> WaveNetwork:
        """Where it computes."""
        ...

    def eval(self) -> WaveNetwork:
        """As it is when nothing is learned."""
        ...

    def num_frames(self, num_samples: int) -> int:
        """Frames of a waveform of so many samples."""
        ...

    def __call__(self, waves_BN: Tensor, lengths: Sequence[int], /) -> Tensor:
        """Log posteriors (B, T, V)."""
        ...


def posterior_blocks(
    network: AcousticNetwork | WaveNetwork,
    features: Mapping[str, Float32Array],
    *,
    block_frames: int = _BLOCK_FRAMES,
) -> Iterator[dict[str, Float32Array]]:
    """Log posteriors (frames, V) of all utterances, each (T, D) or (N,), in their order.

    A block is of so many frames in, or of one utterance: memory does not grow with the hours. It is
    emptied when the next one is asked for. Samples count as frames of 10 ms.
    """
    network.to(compute.device()).eval()
    for ids in id_blocks(features, block_frames):
        block = _of_block(network, {i: features[i] for i in ids})
        yield block
        block.clear()


def log_posteriors(
    network: AcousticNetwork | WaveNetwork, features: Mapping[str, Float32Array]
) -> dict[str, Float32Array]:
    """Log posteriors of a few utterances, all in memory; otherwise as `posterior_blocks`."""
    return {i: p for block in posterior_blocks(network, features) for i, p in block.items()}


def id_blocks(
    features: Mapping[str, Float32Array], block_frames: int = _BLOCK_FRAMES
) -> Iterator[list[str]]:
    """The ids of the blocks, in their order."""
    ids: list[str] = []
    num_frames = 0
    for utterance_id in features:
        if isinstance(features, Waveforms):
            length = features.lengths[utterance_id] // _SAMPLES_A_FRAME
        else:
            length = len(features[utterance_id])
        if ids and num_frames + length > block_frames:
            yield ids
            ids, num_frames = [], 0
        ids.append(utterance_id)
        num_frames += length
    if ids:
        yield ids


def _of_block(
    network: AcousticNetwork | WaveNetwork, features: Mapping[str, Float32Array]
) -> dict[str, Float32Array]:
    found: dict[str, Float32Array] = {}
    at_once = _BATCH_FRAMES if isinstance(network, AcousticNetwork) else _BATCH_SAMPLES
    for batch in bounded_batches({i: len(x) for i, x in features.items()}, at_once):
        rows = [features[i] for i in batch]
        lengths = list(map(len, rows))
        inputs = compute.moved(padded(rows, (max(lengths), *rows[0].shape[1:])))
        with torch.no_grad():
            if isinstance(network, AcousticNetwork):
                out_BTV = _in_pieces(network, inputs, compute.moved(torch.tensor(lengths)))
            else:
                out_BTV = network(inputs, lengths)
        for utterance_id, row_TV, length in zip(batch, out_BTV.cpu(), lengths, strict=True):
            found[utterance_id] = row_TV[: network.num_frames(length)].numpy().copy()
    return {utterance_id: found[utterance_id] for utterance_id in features}


def _in_pieces(network: AcousticNetwork, x_BTD: Tensor, lengths_B: Tensor) -> Tensor:
    """As the network itself; of long audio in pieces, each with what it can see around it."""
    size, stack = network.shape.stack * _OUTPUTS_AT_ONCE, network.shape.stack
    if x_BTD.shape[1] <= size:
        return network(x_BTD, lengths_B)
    around = stack * (network.shape.num_layers + 1) * (network.shape.kernel // 2)
    pieces = []
    for first in range(0, x_BTD.shape[1], size):
        start = max(0, first - around)
        piece_BTD = x_BTD[:, start : first + size + around]
        here_B = (lengths_B - start).clamp(0, piece_BTD.shape[1])
        out_BTV = network(piece_BTD, here_B)
        skipped = (first - start) // stack
        pieces.append(out_BTV[:, skipped : skipped + _OUTPUTS_AT_ONCE])
    return torch.cat(pieces, dim=1)
