"""A trained generator: phone posteriors of segments, and phone sequences by JOIN.

Axes: S segments, D dims, V phones.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from types import NoneType

import numpy as np
import torch
from safetensors.torch import save_file
from torch import Tensor

from gan.batches import pack_utterances
from gan.generator import Generator, GeneratorShape, generate
from unsup_asr.formats.checked import described, read_json
from unsup_asr.formats.ragged import RaggedArray
from unsup_asr.formats.weights import load_weights
from unsup_asr.speech.runs import merge_repeats
from unsup_asr.types import Float32Array, Int32Array, Int64Array

UTTERANCES_AT_ONCE = 256  # enough to fill a matrix product; memory stays flat in the hours of audio


@dataclass(frozen=True)
class TrainedGenerator:
    """The chosen generator with the curves of its training, one dict of numbers a validation."""

    generator: Generator
    history: list[dict[str, float]] = field(default_factory=list)
    chosen_update: int = 0
    stopped_at: int | None = None  # the update after which its training was given up

    @property
    def stride(self) -> int:
        """Segments to one row of posteriors."""
        return self.generator.shape.stride

    def at_stride(self, stride: int) -> TrainedGenerator:
        """The same weights with an output every `stride` segments (Liu et al. 2022: 2, not 3)."""
        generator = Generator(replace(self.generator.shape, stride=stride))
        generator.load_state_dict(self.generator.state_dict())
        generator = generator.to(self.generator.conv.weight.device).eval()
        return replace(self, generator=generator)

    def posteriors(self, segments_SD: Float32Array) -> Float32Array:
        """Phone posteriors (ceil(S / stride), V) of one utterance; rows sum to 1."""
        return next(iter(posteriors_of(self.generator, [segments_SD])))

    def transcribe(self, segments: RaggedArray) -> list[Int32Array]:
        """Phone ids of each utterance, equal neighbours joined, in the order of `segments.ids`."""
        return transcribe_all(self.generator, segments)

    def save(self, folder: Path) -> None:
        """Write generator.safetensors and generator.json."""
        folder.mkdir(parents=True, exist_ok=True)
        weights = {name: tensor.cpu() for name, tensor in self.generator.state_dict().items()}
        save_file(weights, folder / "generator.safetensors")
        description = {
            "shape": asdict(self.generator.shape),
            "chosen_update": self.chosen_update,
            "stopped_at": self.stopped_at,
            "history": self.history,
        }
        (folder / "generator.json").write_text(json.dumps(description, indent=1), "utf-8")

    @classmethod
    def load(cls, folder: Path) -> TrainedGenerator:
        """Restore what `save` wrote; ValueError when a part is missing or does not fit."""
        path = folder / "generator.json"
        needed = ("shape", "history", "chosen_update", "stopped_at")
        description = read_json(path, *needed)
        shape = described(GeneratorShape, description["shape"], f"{path}: shape")
        with torch.device("meta"):  # no random first weights to draw
            generator = Generator(shape)
        load_weights(generator, folder / "generator.safetensors")
        history, chosen, stopped = (description[name] for name in needed[1:])
        is_rows = isinstance(history, list) and all(isinstance(row, dict) for row in history)
        if not is_rows or type(chosen) is not int or type(stopped) not in (int, NoneType):
            raise ValueError(
                f"{path}: history, chosen_update and stopped_at are not those of a training; copy "
                "the folder again"
            )
        return cls(generator.eval(), history, chosen, stopped)


def posteriors_of(generator: Generator, utterances: Sequence[Float32Array]) -> list[Float32Array]:
    """Phone posteriors of each utterance, several to a matrix product; dropout and JOIN off."""
    logits_NV, ends = _logits_of(generator, utterances)
    return np.split(torch.softmax(logits_NV, -1).cpu().numpy(), ends)


def transcribe_all(generator: Generator, segments: RaggedArray) -> list[Int32Array]:
    """Best phone of each segment, equal neighbours joined. JOIN's mean does not move the argmax
    of a run, so runs need no pooling here."""
    sequences = []
    for first in range(0, len(segments), UTTERANCES_AT_ONCE):
        ids = segments.ids[first : first + UTTERANCES_AT_ONCE]
        logits_NV, ends = _logits_of(generator, [segments[i] for i in ids])
        best_N = logits_NV.argmax(1).int().cpu().numpy()
        sequences += [merge_repeats(best) for best in np.split(best_N, ends)]
    return sequences


def _logits_of(
    generator: Generator, utterances: Sequence[Float32Array]
) -> tuple[Tensor, Int64Array]:
    """Logits of all utterances, one after the other, and the rows where each but the last ends."""
    for array in utterances:
        if array.ndim != 2 or array.shape[1] != generator.shape.input_dim or len(array) == 0:
            raise ValueError(
                f"segments have shape {array.shape}; expected (segments, "
                f"{generator.shape.input_dim}) with at least one segment: "
                "were they made by the same segment stage?"
            )
    was_training = generator.training
    generator.eval()
    with torch.no_grad():
        device = generator.conv.weight.device
        features, packing = pack_utterances(utterances, device=device)
        generated = generate([generator], features, packing)
    generator.train(was_training)
    ends = generated.packing.starts_MB[0, 1:-1].cpu().numpy()
    return generated.logits_MNV[0], ends
