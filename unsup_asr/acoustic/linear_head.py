"""A linear CTC head on a learned sum of frozen representations: network, decoding, checkpoint.

Axes: B batch, T frames, D dims, L layers, V outputs.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from safetensors.torch import save_file
from torch import Tensor, nn
from torch.nn import functional as F

from unsup_asr import compute
from unsup_asr.acoustic.weighted_sum import WeightedSum
from unsup_asr.speech.runs import merge_repeats

Layers = Mapping[int, Mapping[str, NDArray[np.floating]]]  # by layer, by utterance: (T, D)

BLANK, END, FIRST_PHONE = 0, 1, 2  # outputs; every target ends with END, as in SUPERB


@dataclass(frozen=True, kw_only=True)
class RecognizerShape:
    """Enough to build the recognizer again from a checkpoint."""

    num_layers: int
    dim: int
    num_phones: int
    projection: int
    normalise_layers: bool


class PhonemeRecognizer(nn.Module):
    """Weighted sum of layers, Linear to `projection`, Linear to blank, end and phones."""

    def __init__(self, shape: RecognizerShape) -> None:
        super().__init__()
        self.shape = shape
        self.weighted_sum = WeightedSum(shape.num_layers, normalise=shape.normalise_layers)
        self.projection = nn.Linear(shape.dim, shape.projection)
        self.output = nn.Linear(shape.projection, FIRST_PHONE + shape.num_phones)

    def forward(self, layers_BTD: Sequence[Tensor]) -> Tensor:
        """Log posteriors (B, T, V); phone i is output FIRST_PHONE + i.

        Products in the process's precision, sums of layers and logarithms in float32.
        """
        summed_BTD = self.weighted_sum([layer_BTD.float() for layer_BTD in layers_BTD])
        with compute.autocast():
            scores_BTV = self.output(self.projection(summed_BTD))
        return scores_BTV.float().log_softmax(-1)


def recognise(
    recognizer: PhonemeRecognizer,
    layers: Layers,
    inventory: Sequence[str],
    *,
    batch_size: int = 16,
) -> dict[str, tuple[str, ...]]:
    """Phones of every utterance: the best output of each frame, repeats merged, no blank or end.

    On the process's device, as all of this file.
    """
    recognizer.to(compute.device())
    lengths = {i: len(x_TD) for i, x_TD in next(iter(layers.values())).items()}
    ids = sorted(lengths, key=lambda i: (lengths[i], i))
    found: dict[str, tuple[str, ...]] = {}
    with torch.no_grad():
        for first in range(0, len(ids), batch_size):
            batch = ids[first : first + batch_size]
            layers_BTD, _ = layer_batch(layers, batch)
            best_BT = recognizer(layers_BTD).argmax(dim=-1).cpu().numpy()
            for utterance_id, best_T in zip(batch, best_BT, strict=True):
                found[utterance_id] = collapse(best_T[: lengths[utterance_id]], inventory)
    return {utterance_id: found[utterance_id] for utterance_id in lengths}


def collapse(outputs_T: NDArray[np.integer], inventory: Sequence[str]) -> tuple[str, ...]:
    """Phones of the best output of each frame."""
    return tuple(
        str(inventory[output - FIRST_PHONE])
        for output in merge_repeats(outputs_T).tolist()
        if output >= FIRST_PHONE
    )


def mean_norms(layers: Layers, *, normalise: bool) -> tuple[float, ...]:
    """Mean Euclidean length of a frame of each layer, as the weighted sum reads it."""
    norms: list[float] = []
    for by_utterance in layers.values():
        total, count = 0.0, 0
        for x_TD in by_utterance.values():
            frames_TD = torch.from_numpy(np.array(x_TD, dtype=np.float32))
            if normalise:
                frames_TD = F.layer_norm(frames_TD, frames_TD.shape[-1:])
            total += float(frames_TD.norm(dim=1).sum(dtype=torch.float64))
            count += len(frames_TD)
        norms.append(total / count)
    return tuple(norms)


def save_recognizer(recognizer: PhonemeRecognizer, folder: Path) -> None:
    """Write `recognizer.safetensors` and `recognizer.json` (the shape)."""
    weights = {name: tensor.cpu() for name, tensor in recognizer.state_dict().items()}
    save_file(weights, folder / "recognizer.safetensors")
    shape = json.dumps(asdict(recognizer.shape), indent=1)
    (folder / "recognizer.json").write_text(shape, "utf-8")


def layer_batch(layers: Layers, batch: Sequence[str]) -> tuple[list[Tensor], tuple[int, ...]]:
    """Each layer's frames of the batch, padded (B, T, D), on the device, and their lengths.

    In the layers' own precision: what they are read in, and half of what goes to a GPU.
    """
    lengths = [len(next(iter(layers.values()))[i]) for i in batch]
    padded = []
    for layer, by_utterance in layers.items():
        rows = [by_utterance[i] for i in batch]
        if [len(x_TD) for x_TD in rows] != lengths:
            raise ValueError(
                f"layer {layer} has other numbers of frames than layer {next(iter(layers))} for "
                f"utterances {batch[0]} ...; expected the layers of one upstream, extract again"
            )
        x_BTD = np.zeros((len(rows), max(lengths), rows[0].shape[1]), dtype=rows[0].dtype)
        for row, x_TD in zip(x_BTD, rows, strict=True):
            row[: len(x_TD)] = x_TD
        padded.append(compute.moved(torch.from_numpy(x_BTD)))
    return padded, tuple(lengths)
