"""Earlier self-supervised upstreams, as s3prl wraps them: APC, VQ-APC, NPC, Mockingjay, TERA,
DeCoAR 2.0, modified CPC, wav2vec, vq-wav2vec, PASE+, and its FBANK and MFCC baselines.

States are the `hidden_states` of the expert, as in SUPERB. Most experts would let padding into a
shorter waveform's states (normalisation over time, recurrent states, group norms), so each
waveform runs alone. s3prl's hub does not import beside torchaudio 2.11; its experts do.
"""

# Axes: B batch, N samples, T frames, D dims.

from __future__ import annotations

import argparse
import contextlib
import io
import pickle
import threading
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from importlib import metadata
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.utils.rnn import pad_sequence

from unsup_asr.upstreams.checkpoint import first_line, optional_package
from unsup_asr.upstreams.frozen import FrozenUpstream
from unsup_asr.upstreams.s3prl_pase import pase_options
from unsup_asr.upstreams.torchaudio_package import torchaudio_part
from unsup_asr.upstreams.wave_batch import Framing

_KALDI = Framing(400, 160, 200)  # windows of 25 ms every 10 ms, whole ones only
# Encoders of CPC and wav2vec: the same kernels and strides, which CPC pads by 3, 2, 1, 1, 1.
_WAV2VEC = Framing.of_convolutions([10, 8, 4, 4, 4], [5, 4, 2, 2, 2])
_CPC = Framing(_WAV2VEC.window, _WAV2VEC.shift, _WAV2VEC.first_centre - 153)
_CENTRED = Framing(400, 160, 0)  # a short-time Fourier transform that pads half a window


@dataclass(frozen=True)
class Expert:
    """One of s3prl's upstreams: where its class is, what its frames look at, where it comes from.

    `weights` names the state dict in the checkpoint, `network` the expert's module that takes it.
    """

    module: str
    framing: Framing
    url: str | None = None
    weights: str = "model"
    network: str = "model"
    config: str | None = None  # of a baseline: a file beside the expert
    config_url: str | None = None  # of PASE+


_APC_SERIES = "https://huggingface.co/leo19941227/apc_series/resolve/main"
_CONVERTED = "https://huggingface.co/s3prl/converted_ckpts/resolve/main"
_MOCKINGJAY = "mockingjay_logMelLinearLarge_T_AdamW_b32_500k_360hr_drop1/states-500000.ckpt"
_TERA = "tera_logMelBase_T_F_M_AdamW_b32_1m_960hr_drop1/states-1000000.ckpt"
_LIBRILIGHT = "https://dl.fbaipublicfiles.com/librilight/CPC_checkpoints"
_DROPBOX = "https://www.dropbox.com/s"

# The checkpoints that s3prl's hub takes by default (its hubconf.py files).
EXPERTS: Mapping[str, Expert] = {
    "apc": Expert("apc", _KALDI, f"{_APC_SERIES}/apc_360hr.ckpt"),
    "vq_apc": Expert("vq_apc", _KALDI, f"{_APC_SERIES}/vq_apc_360hr.ckpt"),
    "npc": Expert("npc", _KALDI, f"{_APC_SERIES}/npc_360hr.ckpt"),
    "mockingjay": Expert(
        "mockingjay",
        _CENTRED,
        f"https://huggingface.co/s3prl/mockingjay/resolve/main/{_MOCKINGJAY}",
        "Transformer",
        "transformer.model",
    ),
    "tera": Expert(
        "tera",
        _CENTRED,
        f"https://huggingface.co/s3prl/tera/resolve/main/{_TERA}",
        "Transformer",
        "transformer.model",
    ),
    "decoar2": Expert("decoar2", Framing(400, 320, 200), f"{_CONVERTED}/checkpoint_decoar2.pt"),
    "modified_cpc": Expert("cpc", _CPC, f"{_LIBRILIGHT}/60k_epoch4-d0f474de.pt", "weights"),
    "wav2vec": Expert("wav2vec", _WAV2VEC, f"{_CONVERTED}/wav2vec_large.pt", "model_weight"),
    "vq_wav2vec": Expert("vq_wav2vec", _WAV2VEC, f"{_CONVERTED}/vq-wav2vec.pt", "model_weight"),
    "pase_plus": Expert(
        "pase",
        _CENTRED,
        f"{_DROPBOX}/p8811o7eadv4pat/FE_e199.ckpt?dl=1",
        "state_dict",
        config_url=f"{_DROPBOX}/2p3ouod1k0ekfxn/PASE%2B.cfg?dl=1",
    ),
    "s3prl_fbank": Expert("baseline", _KALDI, config="fbank.yaml"),
    "s3prl_mfcc": Expert("baseline", _KALDI, config="mfcc.yaml"),
}


_CALLING = threading.Lock()  # experts keep the states of a call until it ends


@dataclass(kw_only=True)
class S3prlUpstream(FrozenUpstream):
    """`model` names the expert; `checkpoint` its file, if not where s3prl's hub downloads it to.

    Checkpoints are read as weights and plain options. Old ones of Mockingjay and TERA hold other
    Python objects, and reading those runs code of the file: `trust_checkpoint` allows it.
    """

    model: str
    model_config: str | None = None  # of PASE+: its PASE+.cfg
    trust_checkpoint: bool = False
    _expert: Expert = field(init=False, repr=False)
    _shape: tuple[int, int] | None = field(init=False, repr=False, default=None)

    def __post_init__(self) -> None:
        optional_package("s3prl", extra="s3prl")
        if self.model not in EXPERTS:
            raise ValueError(f"model is {self.model!r}; expected one of {', '.join(EXPERTS)}")
        self._expert = EXPERTS[self.model]
        self.weight_files()

    @property
    def num_layers(self) -> int:
        """How many hidden states the expert gives; reads the weights."""
        return self._probed()[0]

    @property
    def dim(self) -> int:
        """Dimensions of each; reads the weights."""
        return self._probed()[1]

    @property
    def _framing(self) -> Framing:
        return self._expert.framing

    def weight_files(self) -> list[Path]:
        """The checkpoint, and PASE+'s config beside it; a baseline's options."""
        expert = self._expert
        if expert.url is None:
            assert expert.config is not None
            if self.checkpoint is not None:
                raise ValueError(f"{self.model} has no weights; leave checkpoint out")
            return [_baseline_config(expert.config)]
        files = [_found(self.checkpoint, "checkpoint", expert.url)]
        if expert.config_url is not None:
            files.append(_found(self.model_config, "model_config", expert.config_url))
        return files

    def _code(self) -> dict[str, str]:
        return {"s3prl": metadata.version("s3prl"), "expert": self.model}

    def _load(self) -> nn.Module:
        module = _expert_module(self._expert.module)
        path, *configs = self.weight_files()
        if self._expert.url is None:
            return module.UpstreamExpert(str(path))
        options = pase_options(configs[0]) if configs else {}
        found = None if self.trust_checkpoint else self._plain(path)
        try:
            with _silent(), _plain_options():
                expert = module.UpstreamExpert(str(path), **options)
        except ModuleNotFoundError as error:
            raise ValueError(
                f"s3prl's {self.model} needs the package {error.name!r}; where to get it is in "
                "docs/add-an-upstream.md"
            ) from error
        except Exception as error:  # s3prl checks nothing: any key may be missing
            raise ValueError(
                f"{path} is not a checkpoint of s3prl's {self.model} ({first_line(error)}); the "
                f"usual one is {self._expert.url}"
            ) from error
        if found is not None:
            self._check_complete(found, expert, path)
        return expert

    def _plain(self, path: Path) -> dict[str, Any]:
        """The checkpoint's content, read without running code."""
        try:
            with _plain_options():
                found = torch.load(path, map_location="cpu", weights_only=True)
        except (RuntimeError, ValueError, EOFError, pickle.PickleError) as error:
            raise ValueError(
                f"{path} cannot be read as weights and plain options ({first_line(error)}). It is "
                f"damaged, or holds other Python objects; the usual one is {self._expert.url}. "
                "Mockingjay's and TERA's can be read all the same with trust_checkpoint: true, "
                "which lets the file run code: only for files whose source you trust"
            ) from error
        if not isinstance(found, dict) or not isinstance(found.get(self._expert.weights), dict):
            raise ValueError(
                f"{path} has no {self._expert.weights!r}, where a checkpoint of s3prl's "
                f"{self.model} has its weights; the usual one is {self._expert.url}"
            )
        return found

    def _check_complete(self, found: dict[str, Any], expert: nn.Module, path: Path) -> None:
        """Some experts load what is there and leave the rest drawn at random, without a word."""
        old_names = {"gamma": "weight", "beta": "bias"}
        given = set()
        for key in found[self._expert.weights]:
            for old, new in old_names.items():
                key = key.replace(old, new)
            given.add(key)
        wanted = expert.get_submodule(self._expert.network).state_dict()
        if missing := sorted(set(wanted) - given):
            raise ValueError(
                f"{path}: {len(missing)} weights of s3prl's {self.model} are missing (first: "
                f"{missing[0]!r}); the usual checkpoint is {self._expert.url}"
            )

    def _states(
        self, network: nn.Module, waves_BN: Tensor, lengths_B: Tensor
    ) -> tuple[list[Tensor], Tensor]:
        with _CALLING:
            by_wave = [
                network([wave_N[:length]])["hidden_states"]
                for wave_N, length in zip(waves_BN, lengths_B.tolist(), strict=True)
            ]
        frames_B = torch.tensor([len(states[0][0]) for states in by_wave], device=waves_BN.device)
        layers = [
            pad_sequence([state_1TD[0] for state_1TD in layer], batch_first=True)
            for layer in zip(*by_wave, strict=True)
        ]
        return layers, frames_B

    def _probed(self) -> tuple[int, int]:
        """Layers and dims of what the expert makes of a second of noise."""
        if self._shape is None:
            wave_1N = 0.1 * torch.randn(1, self.sample_rate, generator=torch.Generator())
            network = self._loaded_on(wave_1N.device)
            with torch.inference_mode(), _CALLING:
                states = network([wave_1N[0]])["hidden_states"]
            self._shape = len(states), states[0].shape[-1]
        return self._shape


def _expert_module(name: str) -> Any:
    """`s3prl.upstream.<name>.expert`, beside a torchaudio without choice of audio backends."""
    torchaudio = torchaudio_part()
    if not hasattr(torchaudio, "set_audio_backend"):
        # s3prl's APC, NPC and DeCoAR call it where audio is "decoded"; nothing is: they get waves.
        torchaudio.set_audio_backend = lambda backend: None  # pyright: ignore
    with _silent():
        return optional_package(f"s3prl.upstream.{name}.expert", extra="s3prl")


def _found(given: str | None, option: str, url: str) -> Path:
    """The file that the option names, or that s3prl's hub has downloaded."""
    if given is not None:
        if not Path(given).is_file():
            raise ValueError(f"{given}: no such file; {option} is usually {url}")
        return Path(given)
    download = optional_package("s3prl.util.download", extra="s3prl")
    path = Path(download._urls_to_filepaths(url, download=False))
    if not path.is_file():
        raise ValueError(
            f"{path} does not exist, and nothing is downloaded during a run. Get {url} and set "
            f"{option} to where it is, or put it there"
        )
    return path


def _baseline_config(name: str) -> Path:
    return Path(str(optional_package("s3prl", extra="s3prl").__file__)).parent.joinpath(
        "upstream", "baseline", name
    )


@contextlib.contextmanager
def _plain_options() -> Iterator[None]:
    """Reading weights alone, allow the options of a command line, which hold plain values."""
    with torch.serialization.safe_globals([argparse.Namespace]):
        yield


@contextlib.contextmanager
def _silent() -> Iterator[None]:
    """s3prl's experts print."""
    with contextlib.redirect_stdout(io.StringIO()):
        yield
