"""wav2vec 2.0, XLSR, HuBERT and WavLM as torchaudio's pipelines publish them: no package beside
torchaudio is needed, and its WavLM is quicker than that of transformers.

States are the input of the first block, then what `extract_features` gives of every block; of
models whose encoder ends in a layer norm, the last state has passed it, as in fairseq,
transformers and torchaudio's own `forward`.
"""

# Axes: B batch, N samples, T frames, D dims.

from __future__ import annotations

import pickle
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
import torchaudio
from torch import Tensor, nn
from torchaudio import pipelines
from torchaudio.models import wav2vec2_model, wavlm_model

from unsup_asr.upstreams.checkpoint import first_line
from unsup_asr.upstreams.frozen import WaveTransformer
from unsup_asr.upstreams.wave_batch import (
    Framing,
    each_at_its_length,
    normalise_waves,
    padding_mask,
)

BUNDLES: Mapping[str, str] = {
    f"torchaudio_{name.lower()}": name
    for name in (
        "WAV2VEC2_BASE",
        "WAV2VEC2_LARGE",
        "WAV2VEC2_LARGE_LV60K",
        "WAV2VEC2_XLSR53",
        "WAV2VEC2_XLSR_300M",
        "WAV2VEC2_XLSR_1B",
        "WAV2VEC2_XLSR_2B",
        "HUBERT_BASE",
        "HUBERT_LARGE",
        "HUBERT_XLARGE",
        "WAVLM_BASE",
        "WAVLM_BASE_PLUS",
        "WAVLM_LARGE",
    )
}
_URL = "https://download.pytorch.org/torchaudio/models"  # torchaudio.pipelines
_EPSILON = 1e-5  # of the layer norm that the bundles put before the model


@dataclass(kw_only=True)
class TorchaudioUpstream(WaveTransformer):
    """`model` names the bundle; `checkpoint` its state dict, if not in torch.hub's folder."""

    model: str
    _bundle: Any = field(init=False, repr=False)

    def __post_init__(self) -> None:
        super().__post_init__()
        name = BUNDLES.get(self.model, self.model)
        if name not in BUNDLES.values():
            raise ValueError(
                f"model is {self.model!r}; expected a bundle of torchaudio.pipelines: "
                f"{', '.join(BUNDLES.values())}"
            )
        self._bundle = getattr(pipelines, name)
        parameters = self._bundle._params
        convolutions = parameters["extractor_conv_layer_config"]
        self._convolutions = Framing.of_convolutions(
            [kernel for _, kernel, _ in convolutions], [stride for _, _, stride in convolutions]
        )
        self.num_layers = parameters["encoder_num_layers"] + 1
        self.dim = parameters["encoder_embed_dim"]
        self.sample_rate = int(self._bundle.sample_rate)
        if self.normalize_waveform is None:
            self.normalize_waveform = self._bundle._normalize_waveform
        self.weight_files()

    def weight_files(self) -> list[Path]:
        """The state dict; ValueError that says what to get when it is not there."""
        if self.checkpoint is not None:
            path = Path(self.checkpoint)
            if not path.is_file():
                raise ValueError(f"{path}: no such file; checkpoint is a state dict (.pth)")
            return [path]
        path = Path(torch.hub.get_dir()) / "checkpoints" / Path(self._bundle._path).name
        if not path.is_file():
            raise ValueError(
                f"{path} does not exist, and nothing is downloaded during a run. Get "
                f"{_URL}/{self._bundle._path} and put it there, or set checkpoint to where it is"
            )
        return [path]

    def _code(self) -> dict[str, str]:
        # The parameters are the architecture, which the weights alone do not tell.
        return {"torchaudio": torchaudio.__version__, "bundle": repr(self._bundle._params)}

    def _load(self) -> nn.Module:
        make = wavlm_model if self._is_wavlm() else wav2vec2_model
        network = make(**self._bundle._params)
        (path,) = self.weight_files()
        try:
            network.load_state_dict(torch.load(path, map_location="cpu", weights_only=True))
        except (RuntimeError, ValueError, TypeError, EOFError, pickle.PickleError) as error:
            raise ValueError(
                f"{path} is not a state dict of torchaudio's {self.model} ({first_line(error)}); "
                f"it is published at {_URL}/{self._bundle._path}"
            ) from error
        return network

    def _states(
        self, network: Any, waves_BN: Tensor, lengths_B: Tensor
    ) -> tuple[list[Tensor], Tensor]:
        if self.normalize_waveform:
            waves_BN = normalise_waves(waves_BN, lengths_B, epsilon=_EPSILON)
        if self._bundle._params["extractor_mode"] == "group_norm":  # over time: padding would leak
            front_BTD = each_at_its_length(
                lambda rows_BN: network.feature_extractor(rows_BN, None)[0],
                waves_BN,
                lengths_B,
                output_time_axis=1,
            )
        else:
            front_BTD, _ = network.feature_extractor(waves_BN, None)
        frames_B = self._framing.num_frames(lengths_B)
        is_padding_BT = padding_mask(frames_B, front_BTD.shape[1])
        x_BTD = network.encoder.feature_projection(front_BTD)
        x_BTD = x_BTD.masked_fill(is_padding_BT[..., None], 0.0)
        return self._blocks(network.encoder.transformer, x_BTD, is_padding_BT), frames_B

    def _blocks(self, transformer: Any, x_BTD: Tensor, is_padding_BT: Tensor) -> list[Tensor]:
        """As torchaudio's Transformer runs them, keeping what goes into the first one too."""
        mask: dict[str, Tensor] = {}
        if is_padding_BT.any() and self._is_wavlm():
            mask = {"key_padding_mask": is_padding_BT}
        elif is_padding_BT.any():
            num_rows, num_frames = is_padding_BT.shape
            attended = ~is_padding_BT[:, None, None, :]
            mask = {"attention_mask": attended.expand(num_rows, 1, num_frames, num_frames)}
        x_BTD = x_BTD + transformer.pos_conv_embed(x_BTD)
        if transformer.layer_norm_first:
            x_BTD = transformer.layer_norm(x_BTD)
        states, position_bias = [x_BTD], None
        for block in transformer.layers[: self._highest]:
            x_BTD, position_bias = block(x_BTD, position_bias=position_bias, **mask)
            states.append(x_BTD)
        if not transformer.layer_norm_first and len(states) == self.num_layers:
            states[-1] = transformer.layer_norm(x_BTD)
        return states

    def _is_wavlm(self) -> bool:
        return self._bundle._model_type == "WavLM"
