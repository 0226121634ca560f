"""The wav2vec-U model of a fairseq that the user has, loaded from its own file to be timed.

fairseq cannot be installed beside this project's torch, so its model file is executed with
stand-ins for the few names it imports; the arithmetic is all its own. The update around it does
what fairseq's trainer does: losses summed and divided by the number of utterances, the gradients of
both players clipped by one norm, the optimiser of one player stepped.
"""

from __future__ import annotations

import dataclasses
import sys
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path
from types import ModuleType
from typing import Any
from unittest.mock import patch

import torch
from torch import Tensor, nn
from torch.nn.utils.rnn import pad_sequence

from gan.batches import Batch
from gan.options import AdversarialOptions
from gan.penalty import PAD_OFFSET
from unsup_asr import compute

MODEL_FILE = Path("examples/wav2vec/unsupervised/models/wav2vec_u.py")


def find_model_file(path: Path) -> Path:
    """The model file under a checkout or an unpacked source distribution, or `path` itself."""
    candidates = [path, path / MODEL_FILE, path / "fairseq" / MODEL_FILE]
    for candidate in candidates:
        if candidate.is_file():
            return candidate
    raise ValueError(
        f"{path}: no {MODEL_FILE} in it; expected a fairseq checkout, an unpacked source "
        "distribution (0.12.2 has the file) or the file itself"
    )


def load_model_file(path: Path) -> ModuleType:
    """Execute the model file; `sys.modules` is left as it was."""
    spec = spec_from_file_location("wav2vec_u", path)
    assert spec is not None
    assert spec.loader is not None
    module = module_from_spec(spec)
    stand_ins = {**_stand_ins(), "wav2vec_u": module}
    with patch.dict(sys.modules, stand_ins), patch.object(dataclasses, "dataclass", _hashable):
        spec.loader.exec_module(module)
    return module


class FairseqGame:
    """fairseq's two players with the options of its w2vu.yaml."""

    def __init__(self, path: Path, options: AdversarialOptions, *, dim: int, phones: int) -> None:
        module = load_model_file(find_model_file(path))
        config = module.Wav2vec_UConfig(
            discriminator_dim=options.discriminator_hidden,
            discriminator_depth=2,
            discriminator_kernel=options.discriminator_kernel,
            generator_kernel=options.generator_kernel,
            generator_dropout=options.generator_dropout,
            smoothness_weight=options.smoothness,
            gradient_penalty=options.gradient_penalty,
            code_penalty=options.diversity,
            input_dim=dim,
            segmentation=module.SegmentationConfig(type=module.SegmentationType.JOIN),
        )
        self._model = module.Wav2vec_U(config, _Dictionary(phones)).train().to(compute.device())
        self._clip_norm = options.clip_norm
        betas = (options.beta1, options.beta2)
        self._generator_optimizer = torch.optim.AdamW(
            self._model.generator.parameters(),
            lr=options.generator_learning_rate,
            betas=betas,
            eps=1e-6,
            weight_decay=0.0,
        )
        self._discriminator_optimizer = torch.optim.AdamW(
            self._model.discriminator.parameters(),
            lr=options.discriminator_learning_rate,
            betas=betas,
            eps=1e-6,
            weight_decay=options.discriminator_weight_decay,
        )

    def train_generator(self, batch: PaddedBatch) -> None:
        self._update(batch, 0, self._generator_optimizer)

    def train_discriminator(self, batch: PaddedBatch) -> None:
        self._update(batch, 1, self._discriminator_optimizer)

    def _update(self, batch: PaddedBatch, turn: int, optimizer: torch.optim.Optimizer) -> None:
        self._model.set_num_updates(turn)  # odd: the discriminator's
        self._model.zero_grad()
        result = self._model(batch.features_BSD, batch.is_padding_BS, batch.text_BT)
        losses = [loss for loss in result["losses"].values() if loss is not None]
        torch.stack([loss.sum() for loss in losses]).sum().backward()
        parameters = [p for p in self._model.parameters() if p.grad is not None]
        for parameter in parameters:
            assert parameter.grad is not None
            parameter.grad.div_(result["sample_size"])
        nn.utils.clip_grad_norm_(parameters, self._clip_norm)
        optimizer.step()


@dataclasses.dataclass(frozen=True)
class PaddedBatch:
    """One member's batch as fairseq reads it."""

    features_BSD: Tensor
    is_padding_BS: Tensor
    text_BT: Tensor  # phone ids, fairseq's <pad> past the end

    @classmethod
    def of(cls, batch: Batch) -> PaddedBatch:
        """The same utterances and sentences, padded to the longest."""
        lengths_B = batch.speech.lengths_MB[0]
        features = batch.features_MND[0].split(lengths_B.tolist())
        text = batch.text_MN[0].split(batch.text.lengths_MB[0].tolist())
        features_BSD = pad_sequence(list(features), batch_first=True)
        steps = torch.arange(features_BSD.shape[1])
        there = compute.device()
        return cls(
            features_BSD.to(there),
            (steps >= lengths_B[:, None]).to(there),
            pad_sequence(list(text), batch_first=True, padding_value=PAD_OFFSET).to(there),
        )


class _Dictionary:
    """fairseq's: specials first, no silence among the phones."""

    def __init__(self, size: int) -> None:
        self._size = size

    def __len__(self) -> int:
        return self._size

    def __contains__(self, symbol: str) -> bool:
        return False

    def pad(self) -> int:
        return PAD_OFFSET

    def eos(self) -> int:
        return 2

    def unk(self) -> int:
        return 3


class _Model(nn.Module):
    def set_num_updates(self, num_updates: int) -> None:
        """fairseq's base class tells submodules; the model has none that listens."""


class _SamePad(nn.Module):
    """Drop what a convolution padded on both sides gives too much."""

    def __init__(self, kernel_size: int, causal: bool = False) -> None:
        super().__init__()
        self._surplus = kernel_size - 1 if causal else 1 - kernel_size % 2

    def forward(self, values_BCT: Tensor) -> Tensor:
        return values_BCT[..., : values_BCT.shape[-1] - self._surplus]


class _TransposeLast(nn.Module):
    def forward(self, values: Tensor) -> Tensor:
        return values.transpose(-2, -1)


def _stand_ins() -> dict[str, ModuleType]:
    contents: dict[str, dict[str, Any]] = {
        "fairseq": {"checkpoint_utils": None, "utils": None},
        "fairseq.dataclass": {"FairseqDataclass": type("FairseqDataclass", (), {})},
        "fairseq.models": {
            "BaseFairseqModel": _Model,
            "register_model": lambda *_, **__: lambda model: model,
        },
        "fairseq.modules": {"SamePad": _SamePad, "TransposeLast": _TransposeLast},
    }
    modules = {}
    for name, members in contents.items():
        modules[name] = ModuleType(name)
        vars(modules[name]).update(members)
    return modules


def _hashable(cls: type, *, dataclass=dataclasses.dataclass) -> type:
    """The file has a dataclass as a default, which Python 3.11 takes only if it can be hashed."""
    return dataclass(unsafe_hash=True)(cls)
