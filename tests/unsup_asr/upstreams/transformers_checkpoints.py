"""Small transformers checkpoints with drawn weights, in the format that the hub has."""

from __future__ import annotations

import json
from pathlib import Path

import torch
import transformers
from torch import nn

SIZE = {
    "hidden_size": 24,
    "num_hidden_layers": 3,
    "num_attention_heads": 4,
    "intermediate_size": 32,
    "conv_dim": (16,) * 7,
    "num_conv_pos_embeddings": 16,
    "num_conv_pos_embedding_groups": 4,
}
# What tells the published checkpoints apart beside their size.
FAMILIES = {
    "wav2vec2_base": ("Wav2Vec2", {}, True),
    "wav2vec2_large_lv60k": (
        "Wav2Vec2",
        {"feat_extract_norm": "layer", "do_stable_layer_norm": True, "conv_bias": True},
        True,
    ),
    "xlsr_53": (
        "Wav2Vec2",
        {"feat_extract_norm": "layer", "do_stable_layer_norm": True, "conv_bias": True},
        True,
    ),
    "hubert_base": ("Hubert", {}, True),
    "hubert_large": (
        "Hubert",
        {"feat_extract_norm": "layer", "do_stable_layer_norm": True, "conv_bias": True},
        True,
    ),
    "distilhubert": ("Hubert", {"feat_proj_layer_norm": False, "num_hidden_layers": 2}, False),
    "wavlm_base": ("WavLM", {}, False),
    "wavlm_base_plus": ("WavLM", {}, False),
    "wavlm_large": ("WavLM", {"feat_extract_norm": "layer", "do_stable_layer_norm": True}, True),
    "data2vec_audio_base": (
        "Data2VecAudio",
        {"num_conv_pos_embeddings": 3, "conv_pos_kernel_size": 7},
        True,
    ),
}


def drawn_model(name: str, *, kind: str = "Model") -> transformers.PreTrainedModel:
    """A network of the family; biases and norms are drawn too, so that none is without effect."""
    family, options, _ = FAMILIES[name]
    torch.manual_seed(sum(name.encode()))
    config = getattr(transformers, f"{family}Config")(**{**SIZE, **options})
    model = getattr(transformers, f"{family}{kind}")(config).eval()
    for parameter in model.parameters():
        if parameter.ndim == 1:
            nn.init.normal_(parameter, mean=float(parameter.detach().mean()), std=0.2)
    return model


def save(model: transformers.PreTrainedModel, folder: Path, *, do_normalize: bool) -> Path:
    """The folder, as `from_pretrained` reads it, with a preprocessor."""
    transformers.utils.logging.disable_progress_bar()
    model.save_pretrained(folder)
    transformers.Wav2Vec2FeatureExtractor(do_normalize=do_normalize).save_pretrained(folder)
    return folder


def save_family(name: str, folder: Path) -> Path:
    """The checkpoint of a short name."""
    return save(drawn_model(name), folder, do_normalize=FAMILIES[name][2])


def change_config(folder: Path, **options: object) -> None:
    path = folder / "config.json"
    path.write_text(json.dumps({**json.loads(path.read_text("utf-8")), **options}), "utf-8")
