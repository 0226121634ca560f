"""A whole model folder whose only phone, and word, is `a`: it is heard wherever it is loud."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import torch

from unsup_asr.acoustic.network import AcousticNetwork, NetworkShape, save_network
from unsup_asr.types import Float32Array
from unsup_asr.upstreams.kaldi_features import KaldiMFCC

MFCC = {"_target_": "unsup_asr.upstreams.kaldi_features.KaldiMFCC"}
SILENCE = {"_target_": "segmentation.silence.EnergySilence", "keep_frames": 4}
BEAM = {"_target_": "lm.beam.BeamDecoder", "lm_path": "phones.arpa", "beam": 5}
WORDS = {"_target_": "lm.words.WordDecoder", "lm_path": "w.arpa", "lexicon_path": "lexicon.tsv"}
ARPA = "\\data\\\nngram 1=3\n\n\\1-grams:\n-99\t<s>\n-0.5\t</s>\n-0.5\ta\n\n\\end\\\n"


def save_small_model(folder: Path) -> Path:
    """Write the model, with words; the folder."""
    words = folder / "words"
    words.mkdir(parents=True)
    save_network(_hears_loudness(), folder)
    (folder / "inventory.json").write_text(json.dumps({"phones": ["a"]}))
    (folder / "phones.arpa").write_text(ARPA)
    with_unknown = ARPA.replace("1=3", "1=4").replace("-99", "-2\t<unk>\n-99")
    (words / "w.arpa").write_text(with_unknown)
    (words / "lexicon.tsv").write_text("a\ta\n")
    (words / "decoder.json").write_text(json.dumps(WORDS))
    describe(folder, {})
    return folder


def _hears_loudness() -> AcousticNetwork:
    """`a` where the first of the normalised MFCC is above its mean, else the blank."""
    network = AcousticNetwork(NetworkShape(input_dim=39, num_outputs=2, hidden=4))
    with torch.no_grad():
        for parameter in network.parameters():
            parameter.zero_()
        for norm in network.norms:
            norm.weight.fill_(1.0)
        first, second = network.hidden
        first.weight[0, [0, 39], 2] = 0.5  # of both stacked frames
        first.bias[0] = 3.0  # above zero
        second.weight[0, 0, 2] = 1.0
        network.output.weight[1, 0, 2] = 20.0
        network.output.bias[1] = -60.0
    return network


def describe(folder: Path, changes: dict[str, Any]) -> None:
    """Write model.json with some parts exchanged; `features.` parts by their full name."""
    features = {"upstream": MFCC, "silence": SILENCE}
    described: dict[str, Any] = {"features": features, "upstream": KaldiMFCC().fingerprint()}
    described["decoder"] = BEAM
    for name, value in changes.items():
        group, _, part = name.partition(".")
        (described[group] if part else described)[part or group] = value
    (folder / "model.json").write_text(json.dumps(described))


def babble(seconds: float, *, pauses: bool = True, seed: int = 0) -> Float32Array:
    """Noise as loud and quiet as syllables are, (N,) at 16 kHz; with a pause every 3 s."""
    rng = np.random.default_rng(seed)
    time_s = np.arange(int(16000 * seconds)) / 16000
    loudness = 0.2 * np.sin(2 * np.pi * 3 * time_s) ** 2
    if pauses:
        loudness = loudness * (time_s % 3 < 2.4)
    noise = rng.standard_normal(len(time_s))
    return (loudness * noise + 1e-4 * rng.standard_normal(len(time_s))).astype(np.float32)
