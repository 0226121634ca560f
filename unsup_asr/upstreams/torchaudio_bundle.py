"""wav2vec 2.0, XLSR, HuBERT and WavLM as torchaudio's pipelines publish them: no package beside
torchaudio is needed.

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
from torch import Tensor, nn

from unsup_asr.upstreams.checkpoint import first_line
from unsup_asr.upstreams.frozen import WaveTransformer
from unsup_asr.upstreams.torchaudio_network import states_of, without_blocks_above
from unsup_asr.upstreams.torchaudio_package import torchaudio_part, torchaudio_version
from unsup_asr.upstreams.wave_batch import Framing, normalise_waves

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
        self._bundle = getattr(torchaudio_part("pipelines"), name)
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
        return {"torchaudio": torchaudio_version(), "bundle": repr(self._bundle._params)}

    def _load(self) -> nn.Module:
        models = torchaudio_part("models")
        make = models.wavlm_model if self._is_wavlm() else models.wav2vec2_model
        network = make(**self._bundle._params)
        (path,) = self.weight_files()
        try:
            network.load_state_dict(torch.load(path, map_location="cpu", weights_only=True))
        except (RuntimeError, ValueError, TypeError, EOFError, pickle.PickleError) as error:
            raise ValueError(
                f"{path} is not a state dict of torchaudio's {self.model} ({first_line(error)}); "
                f"it is published at {_URL}/{self._bundle._path}"
            ) from error
        return without_blocks_above(network, self._highest)

    def _states(
        self, network: Any, waves_BN: Tensor, lengths_B: Tensor
    ) -> tuple[list[Tensor], Tensor]:
        if self.normalize_waveform:
            waves_BN = normalise_waves(waves_BN, lengths_B, epsilon=_EPSILON)
        frames_B = self._framing.num_frames(lengths_B)
        states = states_of(
            network,
            waves_BN,
            lengths_B,
            frames_B,
            reads_all_time=self._bundle._params["extractor_mode"] == "group_norm",
            is_wavlm=self._is_wavlm(),
            reading=self.reading,
        )
        return states, frames_B

    def _is_wavlm(self) -> bool:
        return self._bundle._model_type == "WavLM"
