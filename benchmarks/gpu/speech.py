"""Parts of `benchmarks.gpu.run` that hear speech: extraction, acoustic models, PCA and k-means.

Axes: B batch, N samples, T frames, D dims, V outputs.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from importlib.util import find_spec
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from benchmarks.gpu.measure import Part, Row, Setting, memory, stopwatch
from segmentation.pca import PCA
from unsup_asr import compute
from unsup_asr.acoustic.network import AcousticNetwork, NetworkShape
from unsup_asr.acoustic.posteriors import log_posteriors, posterior_blocks
from unsup_asr.acoustic.training import NetworkTraining
from unsup_asr.formats.ragged import RaggedArray
from unsup_asr.types import Int32Array

RATE = 16_000
FRAMES_A_SECOND, FRAMES_A_PHONE, PHONES = 50, 8, 40
KERNELS, STRIDES = (10, 3, 3, 3, 3, 2, 2), (5, 2, 2, 2, 2, 2, 2)
BLOCKS = 15  # of 24: what wav2vec-U reads
# `self_training=ctc_augmented` on frames of an upstream.
TRAINING = NetworkTraining(
    num_layers=3,
    hidden=256,
    kernel=7,
    dropout=0.25,
    epochs=1,
    max_masked_frames=15,
    noise=0.4,
    max_stretch=1.3,
)
# As it learns where no draw depends on the device.
PLAIN = replace(TRAINING, hidden=32, dropout=0.0, noise=0.0, epochs=3)
PRECISIONS = ("float32", "bfloat16")


@dataclass(frozen=True)
class Width:
    """Of wav2vec 2.0: channels of its convolutions, sizes of its blocks."""

    channels: int
    dim: int
    heads: int
    inner: int


LARGE, SMALL = Width(512, 1024, 16, 4096), Width(16, 32, 4, 64)


def extraction(setting: Setting) -> Iterator[Row]:
    """Seconds of audio a second through 15 blocks of wav2vec 2.0 Large with drawn weights, and
    its last state, in float16, to the host. First its states beside the CPU's, of a narrow one.
    """
    for name, make in _networks().items():
        states: list[Tensor] = []
        waves_BN = 0.1 * torch.randn(2, RATE, generator=torch.Generator().manual_seed(0))
        narrow = make(SMALL, 2)
        for device in ("cpu", setting.device):
            with compute.using(device), compute.exact_products(), torch.inference_mode():
                states.append(
                    narrow.to(compute.device())(waves_BN.to(compute.device())).float().cpu()
                )
        yield {"network": name, "largest_difference": _largest(*states)}
        for precision in PRECISIONS:
            compute.use(setting.device, precision)
            with torch.device(compute.device()):  # 317 million weights are drawn where they are
                network = make(*((SMALL, 2) if setting.is_tiny else (LARGE, BLOCKS)))
            for rows in (4, 16):
                seconds = 1 if setting.is_tiny else 15
                waves_BN = 0.1 * torch.randn(rows, seconds * RATE, device=compute.device())

                def encode(network: nn.Module = network, waves_BN: Tensor = waves_BN) -> None:
                    with torch.inference_mode(), compute.autocast():
                        network(waves_BN).to(torch.float16).cpu()

                encode()
                taken = min(stopwatch(encode) for _ in range(3))
                yield {
                    "network": name,
                    "precision": precision,
                    "batch_seconds": rows * seconds,
                    "audio_s_a_second": round(rows * seconds / taken),
                    **memory(),
                }


def ctc(setting: Setting) -> Iterator[Row]:
    """Learning CTC: the losses beside the CPU's, then seconds of audio learned a second."""

    def learn(training: NetworkTraining, speech: Speech) -> list[float]:
        return training.train_ctc(speech.features, speech.phones, num_phones=PHONES)[1]

    yield from _learned(setting, learn)


def frame_classifier(setting: Setting) -> Iterator[Row]:
    """Learning to classify frames, likewise."""

    def learn(training: NetworkTraining, speech: Speech) -> list[float]:
        labels = {
            i: np.repeat(phones, FRAMES_A_PHONE)[:: training.stack]
            for i, phones in speech.phones.items()
        }
        return training.train_frames(speech.features, labels, num_phones=PHONES)[1]

    yield from _learned(setting, learn)


def posteriors(setting: Setting) -> Iterator[Row]:
    """Log posteriors, block by block: beside the CPU's, and seconds of audio heard a second."""
    speech = made_up(1 if setting.is_tiny else 20, setting)
    few = {i: speech.features[i] for i in list(speech.features)[:4]}
    shape = NetworkShape(
        input_dim=speech.dim, num_outputs=PHONES, hidden=256, kernel=7, num_layers=3
    )
    network = AcousticNetwork(shape, torch.Generator().manual_seed(0))
    found = []
    for device in ("cpu", setting.device):
        with compute.using(device), compute.exact_products():
            heard_there = log_posteriors(network, few)
            found.append(torch.from_numpy(np.concatenate(list(heard_there.values()))))
    yield {"largest_difference": _largest(*found)}
    for device, precision in (("cpu", "float32"), *((setting.device, p) for p in PRECISIONS)):
        compute.use(device, precision)
        heard = few if device == "cpu" else speech.features

        def hear(heard: Mapping[str, Any] = heard) -> None:
            for _block in posterior_blocks(network, heard):
                pass

        hear()
        seconds = sum(map(len, heard.values())) / FRAMES_A_SECOND
        yield {**_where(precision), "audio_s_a_second": round(seconds / stopwatch(hear))}


def clustering(setting: Setting) -> Iterator[Row]:
    """PCA of 1024 dims to 512, and 128 clusters: beside the CPU's, and minutes of frames a
    second; k-means where faiss is there.
    """
    rows, dim, kept = (200, 8, 4) if setting.is_tiny else (60_000, 1024, 512)
    rng = np.random.default_rng(0)
    rows_ND = rng.standard_normal((rows, dim), dtype=np.float32)
    rows_ND *= np.linspace(4.0, 0.1, dim, dtype=np.float32)  # directions that are clearly apart
    projections = []
    for device in ("cpu", setting.device):
        with compute.using(device):
            pca = PCA(num_components=kept)
            PCA(num_components=2).fit(rows_ND[:100])
            seconds = stopwatch(lambda: pca.fit(rows_ND))  # noqa: B023
            projections.append(torch.from_numpy(pca.apply(rows_ND[:1000])))
            yield {
                "what": "PCA",
                **_where("float64"),
                "seconds": round(seconds, 3),
                "minutes_of_frames_a_second": round(rows / FRAMES_A_SECOND / 60 / seconds),
            }
    yield {"what": "PCA", "largest_difference": _largest(*projections)}
    if find_spec("faiss") is None:
        yield {"what": "k-means", "not_run": "faiss is not installed"}
        return
    from segmentation.kmeans import KMeans

    inertias = {}
    for device in ("cpu", setting.device):
        with compute.using(device):
            kmeans = KMeans(num_clusters=8 if setting.is_tiny else 128, niter=10, nredo=1)
            seconds = stopwatch(lambda: kmeans.fit(rows_ND))  # noqa: B023
            nearest_ND = kmeans.fitted_centroids()[kmeans.assign(rows_ND)]
            inertias[device] = float(np.square(rows_ND - nearest_ND).sum(axis=1).mean())
            yield {
                "what": "k-means, 10 iterations",
                **_where("float32"),
                "seconds": round(seconds, 3),
                "squared_distance": round(inertias[device], 4),
            }


SPEECH_PARTS: dict[str, Part] = {
    "extraction": Part(extraction, 35),
    "ctc": Part(ctc, 25),
    "frame classifier": Part(frame_classifier, 20),
    "posteriors": Part(posteriors, 15),
    "clustering": Part(clustering, 25),
}


@dataclass(frozen=True)
class Speech:
    """Frames (T, D) in float16, and a phone for every eight of them."""

    features: RaggedArray
    phones: Mapping[str, Int32Array]
    dim: int

    @property
    def seconds(self) -> float:
        """Of audio."""
        return len(self.features.values_array) / FRAMES_A_SECOND


def made_up(minutes: float, setting: Setting) -> Speech:
    """Utterances of 2 to 20 s, or of a few frames; frames are a few thousand, again and again."""
    rng = np.random.default_rng(0)
    dim, longest = (16, 5) if setting.is_tiny else (1024, 125)
    left = round(60 * minutes * FRAMES_A_SECOND / FRAMES_A_PHONE)
    phones: dict[str, Int32Array] = {}
    while left > 0:
        said = rng.integers(0, PHONES, rng.integers(longest // 10 + 2, longest + 1))
        phones[f"u{len(phones):05d}"] = said.astype(np.int32)
        left -= len(said)
    offsets = np.cumsum([0, *(FRAMES_A_PHONE * len(p) for p in phones.values())])
    few_FD = rng.standard_normal((4001, dim), dtype=np.float32).astype(np.float16)
    values = np.resize(few_FD, (int(offsets[-1]), dim))
    return Speech(RaggedArray(values, list(phones), offsets), phones, dim)


def _learned(
    setting: Setting, learn: Callable[[NetworkTraining, Speech], list[float]]
) -> Iterator[Row]:
    few = made_up(0.2 if setting.is_tiny else 1.0, setting)
    curves = []
    for device in ("cpu", setting.device):
        with compute.using(device), compute.exact_products():
            curves.append(torch.tensor(learn(PLAIN, few)))
    yield {"losses": [round(loss, 5) for loss in curves[1].tolist()]}
    yield {"largest_difference": _largest(*curves)}
    many = few if setting.is_tiny else made_up(20.0, setting)
    for device, precision in (("cpu", "float32"), *((setting.device, p) for p in PRECISIONS)):
        compute.use(device, precision)
        speech = few if device == "cpu" else many
        if device != "cpu":
            learn(TRAINING, few)
        losses: list[float] = []
        seconds = stopwatch(lambda: losses.extend(learn(TRAINING, speech)))  # noqa: B023
        yield {
            **_where(precision),
            "audio_s_a_second": round(speech.seconds / seconds),
            "loss": round(losses[-1], 4),
            **memory(),
        }


def _where(precision: str) -> Row:
    return {"device": compute.device().type, "precision": precision}


def _largest(one: Tensor, other: Tensor) -> str:
    """Difference, for reading."""
    return f"{float((one - other).abs().max()):.1e}"


def _networks() -> dict[str, Callable[[Width, int], nn.Module]]:
    """What gives the last state of so many blocks."""
    if find_spec("torchaudio") is None:
        return {"torch.nn, of the size of wav2vec 2.0 Large": OfItsSize}
    return {"torchaudio's wav2vec 2.0 Large": OfTorchaudio}


class OfTorchaudio(nn.Module):
    """wav2vec 2.0 with layer norms first, run as extraction runs it."""

    def __init__(self, width: Width, blocks: int) -> None:
        super().__init__()
        from torchaudio.models import wav2vec2_model

        self.network = wav2vec2_model(
            extractor_mode="layer_norm",
            extractor_conv_layer_config=[
                (width.channels, *shape) for shape in zip(KERNELS, STRIDES, strict=True)
            ],
            extractor_conv_bias=True,
            encoder_embed_dim=width.dim,
            encoder_projection_dropout=0.0,
            encoder_pos_conv_kernel=128,
            encoder_pos_conv_groups=16,
            encoder_num_layers=blocks,
            encoder_num_heads=width.heads,
            encoder_attention_dropout=0.0,
            encoder_ff_interm_features=width.inner,
            encoder_ff_interm_dropout=0.0,
            encoder_dropout=0.0,
            encoder_layer_norm_first=True,
            encoder_layer_drop=0.0,
            aux_num_out=None,
        ).eval()

    def forward(self, waves_BN: Tensor) -> Tensor:
        """(B, T, D)."""
        return self.network.extract_features(waves_BN)[0][-1]


class OfItsSize(nn.Module):
    """The same products by torch alone: convolutions with layer norms, then blocks."""

    def __init__(self, width: Width, blocks: int) -> None:
        super().__init__()
        self.convolutions = nn.ModuleList(
            nn.Conv1d(width.channels if number else 1, width.channels, kernel, stride)
            for number, (kernel, stride) in enumerate(zip(KERNELS, STRIDES, strict=True))
        )
        self.norms = nn.ModuleList(nn.LayerNorm(width.channels) for _ in KERNELS)
        self.projection = nn.Linear(width.channels, width.dim)
        self.positions = nn.Conv1d(width.dim, width.dim, 128, padding=64, groups=16)
        block = nn.TransformerEncoderLayer(
            width.dim, width.heads, width.inner, 0.0, "gelu", batch_first=True, norm_first=True
        )
        self.blocks = nn.TransformerEncoder(block, blocks, enable_nested_tensor=False)
        self.eval()

    def forward(self, waves_BN: Tensor) -> Tensor:
        """(B, T, D)."""
        x_BDT = waves_BN[:, None]
        for convolution, norm in zip(self.convolutions, self.norms, strict=True):
            x_BDT = F.gelu(norm(convolution(x_BDT).transpose(1, 2)).transpose(1, 2))
        x_BTD = self.projection(x_BDT.transpose(1, 2))
        around = F.gelu(self.positions(x_BTD.transpose(1, 2))[..., :-1]).transpose(1, 2)
        return self.blocks(x_BTD + around)
