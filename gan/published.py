"""Generators that others have published: REBORN's model cards, checkpoints of fairseq's wav2vec_u.

Read without running anything in them, and written as one safetensors file, from which `transcribe`
makes posteriors of an upstream's frames. REBORN (Tseng et al. 2024): principal components, a
convolutional segmenter, mean pooling, the generator. wav2vec-U 1.0 (Baevski et al. 2021):
runs of one cluster of k-means, their means joined by two, the generator. wav2vec-U 2.0 (Liu et al.
2022): the generator on frames, batch norm and a residual layer before it. All name the best phone
of each output, join equal neighbours, and leave silence out: with silence as the blank that is
CTC's best path.

Axes: B batch, T frames, S segments, D dims, P components, V outputs.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import save_file
from torch import Tensor
from torch.nn import functional as F

from gan.generator import Generator, GeneratorShape, num_overhanging
from gan.prepared_audio import CENTROIDS, pairs, read_prepared, segments_of_runs
from unsup_asr.formats.checked import described, read_json
from unsup_asr.formats.lines import read_lines
from unsup_asr.formats.weights import read_described_tensors, read_tensors
from unsup_asr.formats.whole import whole
from unsup_asr.types import SILENCES
from unsup_asr.upstreams.inert_pickle import plain, read_pickled

_NUM_SPECIALS = 4  # <s>, <pad>, </s>, <unk>: fairseq's dictionaries begin so
_NEVER = -1e4  # log posterior of a blank that the generator does not have
_SEGMENTER = ("conv1", "conv2", "conv3")


@dataclass(frozen=True)
class PublishedFile:
    """What `source` holds: a folder with REBORN's config.json and weights, or fairseq's `.pt`.

    `phones`: fairseq's dictionary of phones (dict.phn.txt), which its checkpoints do not hold;
    `prepared`: for those of wav2vec-U 1.0 what its data preparation wrote (`gan.prepared_audio`).
    ValueError for another model, missing weights, or sizes that do not fit together.
    """

    source: str
    phones: str | None = None
    prepared: str | None = None

    def write(self, path: Path) -> list[str]:
        """Write what `PublishedGenerator` reads; the phones, without silence."""
        source = Path(self.source)
        prepared = None if self.prepared is None else Path(self.prepared)
        if source.is_dir():
            if prepared is not None:
                raise ValueError(
                    f"{source}: a card of REBORN, which has components and a segmenter; "
                    f"leave {prepared} out"
                )
            tensors, shape, phones = _reborn(source)
        elif source.is_file():
            if self.phones is None:
                raise ValueError(
                    f"{source}: fairseq's checkpoints hold no phones; give its dict.phn.txt as "
                    "phones"
                )
            tensors, shape, phones = _fairseq(source, Path(self.phones), prepared)
        else:
            raise ValueError(f"{source}: no such file or folder")
        _check(source, tensors, shape, phones)
        description = {"shape": asdict(shape), "phones": phones}
        with whole(path) as scratch:
            contiguous = {name: tensor.float().contiguous() for name, tensor in tensors.items()}
            save_file(contiguous, scratch, {"description": json.dumps(description)})
        return [phone for phone in phones if phone not in SILENCES]


@dataclass
class PublishedGenerator:
    """Frames of an upstream to log posteriors of the blank and the phones, in place of a network.

    Rows of posteriors are frames, one more where the generator's outputs overhang, or every
    `stack` of them.
    """

    weights_path: str
    blank: str = "<blank>"
    _tensors: dict[str, Tensor] = field(init=False, repr=False)

    def __post_init__(self) -> None:
        path = Path(self.weights_path)
        self._tensors, description = read_described_tensors(path, "shape", "phones")
        shape = described(GeneratorShape, description["shape"], f"{path}: shape")
        phones = [str(phone) for phone in description["phones"]]
        _check(path, self._tensors, shape, phones)
        self._generator = _generator(self._tensors, shape).eval()
        silences = [i for i, phone in enumerate(phones) if phone in SILENCES]
        self._order = [i for i, phone in enumerate(phones) if phone not in SILENCES]
        self._silence = silences[0] if silences else None

    @property
    def stack(self) -> int:
        """Frames to one row."""
        return self._generator.shape.stride

    @property
    def input_dim(self) -> int:
        """Dimensions of the frames that it reads."""
        components = self._tensors.get("pca.weight")
        return self._generator.shape.input_dim if components is None else components.shape[1]

    def to(self, device: torch.device, /) -> PublishedGenerator:
        """Where it computes."""
        self._generator.to(device)
        self._tensors = {name: tensor.to(device) for name, tensor in self._tensors.items()}
        return self

    def eval(self) -> PublishedGenerator:
        """As it is: it is not trained here."""
        return self

    def num_frames(self, num_samples: int) -> int:
        """Rows for so many frames."""
        shape = self._generator.shape
        return -(-num_samples // shape.stride) + num_overhanging(shape)

    @torch.no_grad()
    def __call__(self, frames_BTD: Tensor, lengths: Sequence[int], /) -> Tensor:
        """Log posteriors (B, rows, V), the blank first; each utterance as if it were alone."""
        found = [
            self._of_one(frames_TD[:length])
            for frames_TD, length in zip(frames_BTD, lengths, strict=True)
        ]
        return torch.nn.utils.rnn.pad_sequence(found, batch_first=True)

    def _of_one(self, frames_TD: Tensor) -> Tensor:
        frames_TD, segment_T = _pooled(frames_TD, self._tensors)
        logits_SV = self._generator(frames_TD)
        if segment_T is not None:  # a row for each frame, and what overhangs
            over = torch.arange(len(frames_TD), len(logits_SV), device=segment_T.device)
            logits_SV = logits_SV[torch.cat([segment_T, over])]
        scores_TV = logits_SV.log_softmax(-1)
        blank_T1 = (
            torch.full_like(scores_TV[:, :1], _NEVER)
            if self._silence is None
            else scores_TV[:, self._silence, None]
        )
        return torch.cat([blank_T1, scores_TV[:, self._order]], dim=1)


def _pooled(frames_TD: Tensor, tensors: Mapping[str, Tensor]) -> tuple[Tensor, Tensor | None]:
    """What the generator reads, and of each frame which row of it; None where it reads frames."""
    frames_TP = frames_TD
    if "pca.weight" in tensors:
        frames_TP = F.linear(frames_TD, tensors["pca.weight"], tensors["pca.bias"])
    if "segmenter.conv1.weight" in tensors:
        segment_T = _segments(frames_TP, tensors)
        return _means(frames_TP, segment_T), segment_T
    if CENTROIDS in tensors:
        run_T = segments_of_runs(frames_TD, tensors[CENTROIDS])
        return pairs(_means(frames_TP, run_T)), run_T // 2
    return frames_TP, None


def _segments(frames_TP: Tensor, tensors: Mapping[str, Tensor]) -> Tensor:
    """Of each frame the number of its segment: a new one begins where the segmenter says so."""
    x_1PT = frames_TP.T[None]
    for name in _SEGMENTER:
        weight, bias = tensors[f"segmenter.{name}.weight"], tensors[f"segmenter.{name}.bias"]
        x_1PT = F.conv1d(x_1PT, weight, bias, padding=weight.shape[2] // 2)
        if name != _SEGMENTER[-1]:
            x_1PT = torch.relu(x_1PT)
    begins_T = x_1PT[0].argmax(0)
    begins_T[0] = 0  # the first frame begins a segment in any case
    return begins_T.cumsum(0)


def _means(frames_TP: Tensor, segment_T: Tensor) -> Tensor:
    sums_SP = frames_TP.new_zeros(int(segment_T[-1]) + 1, frames_TP.shape[1])
    sums_SP.index_add_(0, segment_T, frames_TP)
    return sums_SP / torch.bincount(segment_T)[:, None]


def _reborn(folder: Path) -> tuple[dict[str, Tensor], GeneratorShape, list[str]]:
    path = folder / "config.json"
    config = read_json(path)
    if config.get("model_type") != "reborn_uasr":
        raise ValueError(
            f"{path}: model_type is {config.get('model_type')!r}; expected a card of REBORN, "
            "reborn_uasr"
        )
    config = read_json(path, "phones", "generator_kernel", "generator_stride")
    if (folder / "model.safetensors").is_file():
        found = read_tensors(folder / "model.safetensors")
    elif (folder / "pytorch_model.bin").is_file():
        found = read_pickled(folder / "pytorch_model.bin")
    else:
        raise ValueError(f"{folder}: no weights; expected model.safetensors or pytorch_model.bin")
    phones = config["phones"]
    if not isinstance(phones, list) or not phones:
        raise ValueError(f"{path}: phones is {phones!r}; expected a list of them")
    weight = _need(path, found, "generator.proj.0.weight")
    tensors = {"conv.weight": weight[_NUM_SPECIALS:]}
    for name in ("pca", *(f"segmenter.{layer}" for layer in _SEGMENTER)):
        for kind in ("weight", "bias"):
            tensors[f"{name}.{kind}"] = _need(path, found, f"{name}.{kind}")
    options = {k.removeprefix("generator_"): v for k, v in config.items() if "generator_" in k}
    return tensors, _shape(path, options, weight, len(phones)), list(map(str, phones))


def _fairseq(
    path: Path, dictionary: Path, prepared: Path | None
) -> tuple[dict[str, Tensor], GeneratorShape, list[str]]:
    state = read_pickled(path)
    found, cfg = state.get("model"), plain(state.get("cfg"))
    options = cfg.get("model") if isinstance(cfg, dict) else None
    if not isinstance(found, dict) or not isinstance(options, dict):
        raise ValueError(f"{path}: no `model` and `cfg`; expected a checkpoint of fairseq's")
    weight = _need(path, found, "generator.proj.1.weight")
    phones = [line.split()[0] for line in read_lines(dictionary) if line.strip()]
    options = {k.removeprefix("generator_"): v for k, v in options.items() if "generator_" in k}
    shape = _shape(path, options, weight, len(phones))
    tensors = {"conv.weight": weight[_NUM_SPECIALS:]}
    names = {"bn.": "norm."} if shape.batch_norm_weight else {}
    names |= {"in_proj.": "residual."} if shape.residual else {}
    for theirs, ours in names.items():
        kinds = ["weight", "bias"] + ["running_mean", "running_var"] * (theirs == "bn.")
        for kind in kinds:
            tensors[ours + kind] = _need(path, found, f"generator.{theirs}{kind}")
    is_first = shape.stride == 1 and not shape.residual  # wav2vec-U 1.0
    if is_first and prepared is None:
        raise ValueError(
            f"{path}: a generator of wav2vec-U 1.0, which reads pooled segments of k-means; their "
            "centroids and principal components are not in the checkpoint. Give the folder that "
            "fairseq's scripts/prepare_audio.sh wrote for it (--prepared)"
        )
    if prepared is not None:
        if not is_first:
            raise ValueError(
                f"{path}: a generator of wav2vec-U 2.0, which reads frames as they are; leave "
                f"{prepared} out"
            )
        tensors |= read_prepared(prepared, num_components=shape.input_dim)
    return tensors, shape, phones


def _shape(
    path: Path, options: Mapping[str, Any], weight: Tensor, num_phones: int
) -> GeneratorShape:
    kernel = weight.shape[2]
    other = {"dilation": 1, "bias": False, "kernel": kernel}
    for name, only in other.items():
        if options.get(name, only) != only:
            raise ValueError(
                f"{path}: generator_{name} is {options[name]!r}; expected {only}, as published"
            )
    if options.get("pad", -1) not in (-1, kernel // 2):
        raise ValueError(f"{path}: generator_pad is {options['pad']}; expected {kernel // 2}")
    stride = options.get("stride", 1)
    if type(stride) is not int or stride < 1:
        raise ValueError(f"{path}: generator_stride is {stride!r}; expected 1 or more")
    return GeneratorShape(
        input_dim=weight.shape[1],
        num_phones=num_phones,
        kernel=kernel,
        stride=stride,
        batch_norm_weight=float(options.get("batch_norm", 0) or 0),
        residual=bool(options.get("residual", False)),
        overhang=True,
    )


def _generator(tensors: Mapping[str, Tensor], shape: GeneratorShape) -> Generator:
    generator = Generator(shape)
    before = ("pca.", "segmenter.", CENTROIDS)
    own = {name: tensor for name, tensor in tensors.items() if not name.startswith(before)}
    generator.load_state_dict(own, strict=False)
    return generator


def _check(
    path: Path, tensors: Mapping[str, Tensor], shape: GeneratorShape, phones: Sequence[str]
) -> None:
    """ValueError unless every weight is there, of the size that the others need, and finite."""
    expected = {
        name: tuple(tensor.shape)
        for name, tensor in Generator(shape).state_dict().items()
        if not name.endswith("num_batches_tracked")
    }
    if "pca.weight" in tensors:
        expected["pca.weight"] = (shape.input_dim, tensors["pca.weight"].shape[-1])
        expected["pca.bias"] = (shape.input_dim,)
    if CENTROIDS in tensors and "pca.weight" in tensors:
        expected[CENTROIDS] = (len(tensors[CENTROIDS]), tensors["pca.weight"].shape[-1])
    found = {k: tuple(x.shape) for k, x in tensors.items() if not k.startswith("segmenter.")}
    if wrong := sorted(k for k in {*expected, *found} if expected.get(k) != found.get(k)):
        name = wrong[0]
        raise ValueError(
            f"{path}: {name} is of shape {found.get(name, 'none')}; expected "
            f"{expected.get(name, 'none')} for {len(phones)} phones and {_NUM_SPECIALS} specials: "
            "the phones or weights are of another model"
        )
    if bad := [name for name, tensor in tensors.items() if not torch.isfinite(tensor).all()]:
        raise ValueError(f"{path}: {bad[0]} is not finite; get the file again")


def _need(path: Path, found: Mapping[str, Any], name: str) -> Tensor:
    if not isinstance(found.get(name), Tensor):
        raise ValueError(
            f"{path}: no weight {name!r}; the file is damaged or of another model (it has "
            f"{', '.join(map(str, list(found)[:3]))}...)"
        )
    return found[name]
