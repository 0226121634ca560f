"""Checkpoints of Hugging Face transformers: wav2vec 2.0, XLSR, HuBERT, DistilHuBERT, WavLM,
data2vec-audio; from a local folder, or from the hub's cache if they were downloaded before.

States are those of the library, from the first block's input to the encoder's output: number of
blocks + 1. Two of its modules would let padding leak into what they make of a shorter waveform
(a group norm over time, several positional convolutions in a row); both run at each length.
"""

# Axes: B batch, N samples, T frames, D dims.

from __future__ import annotations

import copy
from collections.abc import Mapping
from dataclasses import dataclass, field
from difflib import get_close_matches
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from unsup_asr.formats.checked import read_json
from unsup_asr.upstreams.checkpoint import optional_package
from unsup_asr.upstreams.ctc_network import CTC_CLASSES, DROPOUTS, CTCNetwork
from unsup_asr.upstreams.frozen import BEFORE_RESIDUAL, WaveTransformer, added_by_blocks
from unsup_asr.upstreams.torchaudio_network import (
    from_transformers,
    states_of,
    without_blocks_above,
)
from unsup_asr.upstreams.torchaudio_package import torchaudio_version
from unsup_asr.upstreams.transformers_files import (
    CONFIG,
    PREPROCESSOR,
    read_network,
    submodule,
    weight_files,
)
from unsup_asr.upstreams.wave_batch import (
    FRAMES,
    SAMPLES,
    Framing,
    normalise_waves,
    without_padding,
)

# Short names. Each is the checkpoint that its authors published.
HUB_IDS: Mapping[str, str] = {
    "wav2vec2_base": "facebook/wav2vec2-base",
    "wav2vec2_large": "facebook/wav2vec2-large",
    "wav2vec2_large_lv60k": "facebook/wav2vec2-large-lv60",
    "xlsr_53": "facebook/wav2vec2-large-xlsr-53",
    "xls_r_300m": "facebook/wav2vec2-xls-r-300m",
    "hubert_base": "facebook/hubert-base-ls960",
    "hubert_large": "facebook/hubert-large-ll60k",
    "wavlm_base": "microsoft/wavlm-base",
    "wavlm_base_plus": "microsoft/wavlm-base-plus",
    "wavlm_large": "microsoft/wavlm-large",
    "data2vec_audio_base": "facebook/data2vec-audio-base",
    "data2vec_audio_large": "facebook/data2vec-audio-large",
    "distilhubert": "ntu-spml/distilhubert",
}

_CLASSES = {
    "wav2vec2": "Wav2Vec2Model",
    "hubert": "HubertModel",
    "wavlm": "WavLMModel",
    "data2vec-audio": "Data2VecAudioModel",
}
# Which of them a short name stands for, by the beginning of the name.
_MODEL_TYPES = {
    "wav2vec2": "wav2vec2",
    "xls": "wav2vec2",
    "hubert": "hubert",
    "distilhubert": "hubert",
    "wavlm": "wavlm",
    "data2vec_audio": "data2vec-audio",
}
_EPSILON = 1e-7  # Wav2Vec2FeatureExtractor.zero_mean_unit_var_norm


@dataclass(kw_only=True)
class TransformersNetwork(WaveTransformer):
    """A network of transformers, wherever its weights come from; WavLM is run by torchaudio's."""

    _config: Any = field(init=False, repr=False)

    def _describe(self) -> None:
        """What the config says of layers and frames."""
        config = self._config
        self.num_layers = config.num_hidden_layers + 1
        self.dim = config.hidden_size
        self._convolutions = Framing.of_convolutions(config.conv_kernel, config.conv_stride)

    def num_frames(self, num_samples: int) -> int:
        """Frames of a waveform of so many samples; 0 for one shorter than a window."""
        return self._framing.num_frames_of(num_samples)

    def with_ctc_head(
        self, num_outputs: int, *, layer_drop: float, activation_dropout: float, seed: int
    ) -> CTCNetwork:
        """The network, its weights as published, below a drawn linear CTC head: to be fine-tuned.

        The two rates are those of training; nothing else of it is dropped.
        """
        transformers = optional_package("transformers", extra="transformers")
        config = copy.deepcopy(self._config)
        for name in DROPOUTS:
            setattr(config, name, 0.0)
        config.layerdrop = layer_drop
        config.apply_spec_augment = False  # whoever trains it draws the masks
        config.mask_time_prob = config.mask_time_prob or 0.05  # or there is no masked_spec_embed
        config.vocab_size, config.pad_token_id = num_outputs, 0
        config.ctc_loss_reduction, config.ctc_zero_infinity = "mean", True
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            model = getattr(transformers, CTC_CLASSES[config.model_type])(config)
            setattr(model, model.base_model_prefix, self.pretrained(config))
        assert isinstance(self.normalize_waveform, bool)
        return CTCNetwork(
            model.float(),
            sample_rate=self.sample_rate,
            does_normalise=self.normalize_waveform,
            activation_dropout=activation_dropout,
        )

    def pretrained(self, config: Any) -> nn.Module:
        """The network that `config` describes, with the weights as they were published."""
        raise NotImplementedError

    def _load(self) -> nn.Module:
        return self._prepared(self.pretrained(self._config).float())

    def _code(self) -> dict[str, str]:
        version = optional_package("transformers", extra="transformers").__version__
        return {"transformers": version} | (
            {"torchaudio": torchaudio_version()} if self._is_wavlm() else {}
        )

    def _prepared(self, network: nn.Module) -> nn.Module:
        config = self._config
        if self._is_wavlm():
            return without_blocks_above(from_transformers(network), self._highest)
        without_padding(network)
        if self._highest is not None and self._highest < config.num_hidden_layers:
            encoder = submodule(network, "encoder")
            encoder.layers = encoder.layers[: self._highest]
            if getattr(
                config, "do_stable_layer_norm", False
            ):  # the norm after the last block, which is not run
                encoder.layer_norm = nn.Identity()
        return network

    def _states(
        self, network: nn.Module, waves_BN: Tensor, lengths_B: Tensor
    ) -> tuple[list[Tensor], Tensor]:
        if self.normalize_waveform:
            waves_BN = normalise_waves(waves_BN, lengths_B, epsilon=_EPSILON)
        frames_B = self._framing.num_frames(lengths_B)
        if self._is_wavlm():
            return states_of(
                network,
                waves_BN,
                lengths_B,
                frames_B,
                reads_all_time=self._reads_all_time(),
                is_wavlm=True,
                reading=self.reading,
            ), frames_B
        SAMPLES.set(lengths_B)
        FRAMES.set(frames_B)
        num_samples = waves_BN.shape[1]
        is_speech_BN = torch.arange(num_samples, device=waves_BN.device) < lengths_B[:, None]
        blocks = submodule(network, "encoder").layers
        with added_by_blocks(blocks, is_wanted=self.reading == BEFORE_RESIDUAL) as added:
            output = network(
                waves_BN,
                attention_mask=None if bool(is_speech_BN.all()) else is_speech_BN.long(),
                output_hidden_states=True,
            )
        if added:
            return [output.hidden_states[0], *added], frames_B
        # Whether the last of hidden_states has passed the encoder's final layer norm depends on
        # the version of transformers; last_hidden_state always has.
        return [*output.hidden_states[:-1], output.last_hidden_state], frames_B

    def _is_wavlm(self) -> bool:
        return self._config.model_type == "wavlm"

    def _reads_all_time(self) -> bool:
        """Whether the first convolution's group norm takes a mean over time."""
        return getattr(self._config, "feat_extract_norm", "layer") == "group"


@dataclass(kw_only=True)
class TransformersUpstream(TransformersNetwork):
    """`model` is a short name or a hub id; `checkpoint` a folder written by `save_pretrained`.

    At least one is needed. With both, the folder is read, and must hold the kind of model that
    the short name stands for.
    """

    model: str | None = None
    revision: str = "main"  # of the hub's repository

    def __post_init__(self) -> None:
        super().__post_init__()
        transformers = optional_package("transformers", extra="transformers")
        folder = self.folder()
        self._check_kind(_json(folder / CONFIG).get("model_type"), folder)
        config = transformers.AutoConfig.from_pretrained(folder, local_files_only=True)
        self._config = config
        self._describe()
        self.sample_rate, self.normalize_waveform = self._preprocessing(folder)

    def folder(self) -> Path:
        """Where the checkpoint lies; ValueError that says what to get when it is not there."""
        if self.checkpoint is not None:
            folder = Path(self.checkpoint)
            if not (folder / CONFIG).is_file():
                raise ValueError(
                    f"{folder} has no {CONFIG}; checkpoint must be a folder as transformers' "
                    f"save_pretrained writes it, with {CONFIG}, {PREPROCESSOR} and weights"
                )
            return folder
        if self.model is None:
            raise ValueError(
                "neither model nor checkpoint given; model is a short name "
                f"({', '.join(HUB_IDS)}) or a hub id, checkpoint a local folder"
            )
        if self.model not in HUB_IDS and "/" not in self.model:
            near = get_close_matches(self.model, HUB_IDS, n=1)
            hint = f" Did you mean {near[0]!r}?" if near else ""
            raise ValueError(
                f"model is {self.model!r}.{hint} Short names: {', '.join(HUB_IDS)}; a hub id is "
                "'owner/name'; for a local folder use checkpoint"
            )
        return cached_folder(HUB_IDS.get(self.model, self.model), self.revision)

    def weight_files(self) -> list[Path]:
        """Config, preprocessing and weights: safetensors where there are both kinds."""
        folder = self.folder()
        described = [folder / name for name in (CONFIG, PREPROCESSOR)]
        return [path for path in described if path.is_file()] + weight_files(folder)

    def _check_kind(self, found: object, folder: Path) -> None:
        if found not in _CLASSES:
            raise ValueError(
                f"{folder / CONFIG}: model_type is {found!r}; expected one of "
                f"{', '.join(_CLASSES)}. For another network write an upstream of your own "
                "(docs/add-an-upstream.md)"
            )
        if self.model is not None and self.model in HUB_IDS:
            family = next(name for name in _MODEL_TYPES if self.model.startswith(name))
            expected = _MODEL_TYPES[family]
            if found != expected:
                raise ValueError(
                    f"{folder / CONFIG}: model_type is {found!r}, but model {self.model!r} is "
                    f"of type {expected!r}; give another folder, or leave model out"
                )

    def _preprocessing(self, folder: Path) -> tuple[int, bool]:
        """Sample rate, and whether waveforms are normalised."""
        path = folder / PREPROCESSOR
        found = _json(path) if path.is_file() else {}
        rate, does_normalise = found.get("sampling_rate", 16000), self.normalize_waveform
        if does_normalise is None:
            does_normalise = found.get("do_normalize")
        if not isinstance(does_normalise, bool):
            raise ValueError(
                f"{path} does not say do_normalize: true or false, so whether this checkpoint "
                "reads normalised waveforms is unknown; complete the file, or set "
                "normalize_waveform"
            )
        if not isinstance(rate, int) or rate <= 0:
            raise ValueError(f"{path}: sampling_rate is {rate!r}; expected a number of Hz")
        return rate, does_normalise

    def pretrained(self, config: Any) -> nn.Module:
        """The folder's network; ValueError for weights that are damaged or of another network."""
        return read_network(_CLASSES[config.model_type], self.folder(), config)


def cached_folder(hub_id: str, revision: str = "main") -> Path:
    """The hub cache's folder of a checkpoint; nothing is downloaded."""
    hub = optional_package("huggingface_hub", extra="transformers")
    found = hub.try_to_load_from_cache(hub_id, CONFIG, revision=revision)
    if not isinstance(found, str):
        raise ValueError(
            f"{hub_id} (revision {revision}) is not in the hub's cache "
            f"({hub.constants.HF_HUB_CACHE}), and nothing is downloaded during a run. On a "
            f"machine with a network: `hf download {hub_id} --revision {revision}`; or set "
            "checkpoint to a folder that holds its files"
        )
    return Path(found).parent


def _json(path: Path) -> dict[str, object]:
    return read_json(path)
