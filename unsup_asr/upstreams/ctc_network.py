"""A network of transformers with a linear CTC head: waveforms to log posteriors of phones.

Baevski et al. 2020 fine-tune wav2vec 2.0 so; on disk it is a folder of transformers' own format.
What is drawn while it is trained is what its caller says (`Augmentation`): a row's numbers are the
same whichever process has it, and when gradient checkpointing computes it again.

Axes: B batch, N samples, T frames, D dims, C channels, V outputs.
"""

from __future__ import annotations

import contextlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from unsup_asr import compute
from unsup_asr.formats.checked import read_json
from unsup_asr.protocols import Augmentation
from unsup_asr.types import FrameTiming
from unsup_asr.upstreams.checkpoint import optional_package
from unsup_asr.upstreams.random_state import untouched_random_state
from unsup_asr.upstreams.transformers_files import (
    CONFIG,
    PREPROCESSOR,
    read_network,
    submodule,
)
from unsup_asr.upstreams.wave_batch import (
    FRAMES,
    SAMPLES,
    EachAtItsLength,
    Framing,
    normalise_waves,
    without_padding,
)

# By the config's model_type.
CTC_CLASSES: Mapping[str, str] = {
    "wav2vec2": "Wav2Vec2ForCTC",
    "hubert": "HubertForCTC",
    "wavlm": "WavLMForCTC",
    "data2vec-audio": "Data2VecAudioForCTC",
}
# Of a config of transformers: rates of dropout that fine-tuning sets to 0, as published.
DROPOUTS = (
    *("hidden_dropout", "attention_dropout", "feat_proj_dropout", "final_dropout"),
    "activation_dropout",
)
_BLANK = "<pad>"  # as transformers calls it
_EPSILON = 1e-7  # Wav2Vec2FeatureExtractor.zero_mean_unit_var_norm


@dataclass
class _Drawn:
    """What the modules of one network draw from, until its next forward pass."""

    augmentation: Augmentation | None = field(default=None)


class CTCNetwork(nn.Module):
    """`model` is a `...ForCTC` of transformers; its convolutions over the waveform are frozen."""

    stack = 1  # of its outputs, each frame is one

    def __init__(
        self, model: Any, *, sample_rate: int, does_normalise: bool, activation_dropout: float = 0.0
    ) -> None:
        super().__init__()
        model.freeze_feature_encoder()
        config = model.config
        self.model = model
        self.sample_rate = sample_rate
        self.does_normalise = does_normalise
        self.framing = Framing.of_convolutions(config.conv_kernel, config.conv_stride)
        self._drawn = _Drawn()
        without_padding(self.base)
        for number, block in enumerate(submodule(self.base, "encoder").layers):
            block.feed_forward.intermediate_dropout = _RowDropout(
                activation_dropout, number, self._drawn
            )
        submodule(self.base, "feature_projection").register_forward_hook(self._masked)

    @property
    def base(self) -> nn.Module:
        """The network below the head."""
        return getattr(self.model, self.model.base_model_prefix)

    @property
    def timing(self) -> FrameTiming:
        """When frames are."""
        framing, rate = self.framing, self.sample_rate
        return FrameTiming(framing.shift / rate, framing.first_centre / rate)

    def num_frames(self, num_samples: int) -> int:
        """Frames of a waveform of so many samples; 0 for one shorter than a window."""
        return self.framing.num_frames_of(num_samples)

    def recompute_activations(self) -> None:
        """Keep none of a block's for the gradients: less memory, a third more to compute."""
        model = self.model
        new = getattr(model, "activation_checkpointing_enable", None)  # transformers 5's name
        (new or model.gradient_checkpointing_enable)({"use_reentrant": False})

    def trained_parameters(self) -> list[nn.Parameter]:
        """All but those of the convolutions over the waveform."""
        return [parameter for parameter in self.parameters() if parameter.requires_grad]

    def forward(
        self,
        waves_BN: Tensor,
        lengths: Sequence[int],
        augmentation: Augmentation | None = None,
        *,
        is_head_alone: bool = False,
    ) -> Tensor:
        """Log posteriors (B, T, V) of float32 waveforms in [-1, 1]; lengths in samples.

        Products in the process's precision, the logarithms in float32. Frames behind an utterance's
        own mean nothing. `is_head_alone`: nothing below the head is to have gradients.
        """
        if self.does_normalise:
            waves_BN = normalise_waves(waves_BN, lengths, epsilon=_EPSILON)
        lengths_B = torch.tensor(lengths)
        SAMPLES.set(lengths_B)
        FRAMES.set(self.framing.num_frames(lengths_B))
        num_samples = waves_BN.shape[1]
        mask_BN = None
        if min(lengths) < num_samples:
            is_speech_BN = torch.arange(num_samples) < lengths_B[:, None]
            mask_BN = compute.moved(is_speech_BN.long())
        self._drawn.augmentation = augmentation
        below = torch.no_grad() if is_head_alone else contextlib.nullcontext()
        with compute.autocast(), untouched_random_state():
            if augmentation is not None:
                # transformers draws which blocks to drop
                torch.default_generator.manual_seed(augmentation.seed)
            with below:
                states_BTD = self.base(waves_BN, attention_mask=mask_BN).last_hidden_state
            scores_BTV = self.model.lm_head(states_BTD)
        return scores_BTV.float().log_softmax(-1)

    def _masked(self, _module: nn.Module, _inputs: object, output: Any) -> Any:
        """The projected frames with spans of time and of channels masked, as fairseq does."""
        augmentation = self._drawn.augmentation
        if augmentation is None:
            return output
        states_BTD, *others = output if isinstance(output, tuple) else (output,)
        fill_D = self.base.get_parameter("masked_spec_embed").to(states_BTD.dtype)
        num_frames = states_BTD.shape[1]
        is_masked_BT1 = augmentation.is_masked_BT[:, :num_frames, None]
        states_BTD = torch.where(is_masked_BT1, fill_D, states_BTD)
        states_BTD = states_BTD.masked_fill(augmentation.is_masked_BD[:, None], 0.0)
        return (states_BTD, *others) if isinstance(output, tuple) else states_BTD

    def save(
        self, folder: Path, symbols: Sequence[str], *, word_boundary: str | None = None
    ) -> None:
        """Write a folder that `AutoModelForCTC`, `AutoProcessor` and `pipeline` load.

        `symbols`: what outputs stand for, the blank first. They are phones, or, with a
        `word_boundary` among them, letters.
        """
        transformers = optional_package("transformers", extra="transformers")
        inner = [
            (f"{name}.module.", f"{name}.")
            for name, module in self.model.named_modules()
            if isinstance(module, EachAtItsLength)
        ]
        weights = {}
        for name, tensor in self.model.state_dict().items():
            for ours, published in inner:
                name = name.replace(ours, published)
            weights[name] = tensor.cpu()
        self.model.save_pretrained(folder, state_dict=weights)
        extractor = transformers.Wav2Vec2FeatureExtractor(
            sampling_rate=self.sample_rate,
            do_normalize=self.does_normalise,
            return_attention_mask=self.model.config.feat_extract_norm == "layer",
        )
        extractor.save_pretrained(folder)
        write_tokenizer(folder, symbols, word_boundary=word_boundary)


def load_ctc_network(folder: Path) -> CTCNetwork:
    """The network that `CTCNetwork.save` wrote, in evaluation mode; ValueError for a damaged one,
    or one of another kind.
    """
    transformers = optional_package("transformers", extra="transformers")
    described = read_json(folder / CONFIG, "model_type", "vocab_size")
    kind = CTC_CLASSES.get(str(described["model_type"]))
    if kind is None or described.get("architectures") != [kind]:
        raise ValueError(
            f"{folder / CONFIG}: a {described.get('architectures')} of model_type "
            f"{described['model_type']!r}; expected one of {', '.join(CTC_CLASSES.values())}"
        )
    config = transformers.AutoConfig.from_pretrained(folder, local_files_only=True)
    preprocessing = read_json(folder / PREPROCESSOR, "sampling_rate", "do_normalize")
    with untouched_random_state():
        model = read_network(kind, folder, config)
    rate, does_normalise = preprocessing["sampling_rate"], preprocessing["do_normalize"]
    if not isinstance(rate, int) or rate <= 0 or not isinstance(does_normalise, bool):
        raise ValueError(
            f"{folder / PREPROCESSOR}: sampling_rate is {rate!r}, do_normalize {does_normalise!r}; "
            "expected a number of Hz, and true or false"
        )
    network = CTCNetwork(model.float(), sample_rate=rate, does_normalise=does_normalise)
    return network.eval()


class _RowDropout(nn.Module):
    """Dropout whose draws are those of the rows, the block and the pass."""

    def __init__(self, probability: float, number: int, drawn: _Drawn) -> None:
        super().__init__()
        self._dropped = round(256 * probability)
        self._number = number
        self._drawn = drawn

    def forward(self, input: Tensor) -> Tensor:
        augmentation = self._drawn.augmentation
        if augmentation is None or not self._dropped:
            return input
        generator = torch.Generator(input.device)
        generator.manual_seed(augmentation.seed + self._number + 1)
        num_frames = augmentation.is_masked_BT.shape[1]  # of the whole pass
        shape = (augmentation.num_rows, num_frames, *input.shape[2:])
        drawn = torch.empty(shape, dtype=torch.uint8, device=input.device)
        drawn.random_(0, 256, generator=generator)
        own = drawn[augmentation.first_row :: augmentation.row_step, : input.shape[1]]
        return input * (own >= self._dropped).to(input.dtype) * (256 / (256 - self._dropped))


def write_tokenizer(
    folder: Path,
    symbols: Sequence[str],
    *,
    word_boundary: str | None = None,
    processor: str = "Wav2Vec2Processor",
) -> None:
    """Phones parted by spaces: `Wav2Vec2PhonemeCTCTokenizer`, which phonemizes nothing here; with a
    `word_boundary`, words of letters.

    `symbols`: the blank, whatever it is called, and what the other outputs stand for.
    """
    kind = {
        "tokenizer_class": "Wav2Vec2PhonemeCTCTokenizer",
        "do_phonemize": False,
        "phone_delimiter_token": " ",
    }
    if word_boundary is not None:
        kind = {"tokenizer_class": "Wav2Vec2CTCTokenizer", "do_lower_case": False}
    options = {
        **kind,
        "pad_token": _BLANK,
        "unk_token": _BLANK,
        "bos_token": None,
        "eos_token": None,
        "word_delimiter_token": word_boundary,
        "processor_class": processor,
    }
    vocabulary = {symbol: i for i, symbol in enumerate([_BLANK, *symbols[1:]])}
    for name, value in (("vocab.json", vocabulary), ("tokenizer_config.json", options)):
        (folder / name).write_text(json.dumps(value, ensure_ascii=False, indent=1), "utf-8")
