"""Small checkpoints in the layout that fairseq writes, made from networks of transformers."""

from __future__ import annotations

import argparse
import re
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from tests.unsup_asr.upstreams.transformers_checkpoints import FAMILIES, SIZE, drawn_model

# What the published files are of.
FILES = {
    "wav2vec_small": "wav2vec2_base",
    "wav2vec_vox_new": "wav2vec2_large_lv60k",
    "xlsr_53_56k": "xlsr_53",
    "hubert_base_ls960": "hubert_base",
    "hubert_large_ll60k": "hubert_large",
}
_IN_A_BLOCK = {
    "attention.q_proj": "self_attn.q_proj",
    "attention.k_proj": "self_attn.k_proj",
    "attention.v_proj": "self_attn.v_proj",
    "attention.out_proj": "self_attn.out_proj",
    "feed_forward.intermediate_dense": "fc1",
    "feed_forward.output_dense": "fc2",
    "final_layer_norm": "final_layer_norm",
    "layer_norm": "self_attn_layer_norm",
}


def fairseq_state(name: str) -> dict[str, Any]:
    """What `torch.save` writes of a pre-trained model; weights are those of `drawn_model`."""
    family = FILES[name]
    _, options, does_normalise = FAMILIES[family]
    is_large = bool(options)
    weights = fairseq_names(drawn_model(family).state_dict(), is_large=is_large)
    if "hubert" in name:
        weights |= {"label_embs_concat": torch.ones(5, 3), "final_proj.weight": torch.ones(3, 24)}
    else:
        weights |= {
            "quantizer.vars": torch.ones(1, 4, 2),
            "quantizer.weight_proj.weight": torch.ones(4, 16),
            "project_q.weight": torch.ones(3, 4),
            "final_proj.weight": torch.ones(3, 24),
        }
    model = {
        "_name": "hubert" if "hubert" in name else "wav2vec2",
        "extractor_mode": "layer_norm" if is_large else "default",
        "layer_norm_first": is_large,
        "conv_bias": is_large,
        "encoder_attention_heads": SIZE["num_attention_heads"],
        "conv_feature_layers": "[(16, 10, 5)] + [(16, 3, 2)] * 4 + [(16,2,2)] + [(16,2,2)]",
        "activation_fn": "gelu",
    }
    task = {"_name": "audio_pretraining", "normalize": does_normalise, "sample_rate": 16000}
    return {
        "args": None,
        "cfg": {"model": model, "task": task, "common": {"seed": 1}},
        "model": weights,
        "optimizer_history": [{"num_updates": 400_000}],
        "extra_state": {"epoch": 1},
        "last_optimizer_state": None,
    }


def older_state(name: str) -> dict[str, Any]:
    """The same as releases before hydra wrote it: one namespace of options."""
    state = fairseq_state(name)
    cfg = state.pop("cfg")
    state["args"] = argparse.Namespace(**{**cfg["task"], **cfg["model"]})
    return state


def fine_tuned_state(name: str) -> dict[str, Any]:
    """A model with a CTC head, which keeps the options of what it began with."""
    state = fairseq_state(name)
    before = state["cfg"]
    weights = {f"w2v_encoder.w2v_model.{k}": x for k, x in state["model"].items()}
    weights["w2v_encoder.proj.weight"] = torch.ones(7, 24)
    weights["w2v_encoder.proj.bias"] = torch.ones(7)
    model = {"_name": "wav2vec_ctc", "w2v_path": "/elsewhere.pt", "w2v_args": before}
    model["normalize"] = before["task"]["normalize"]
    return {**state, "model": weights, "cfg": {"model": model, "task": before["task"]}}


def write(state: dict[str, Any], folder: Path, name: str = "checkpoint") -> Path:
    """The file."""
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"{name}.pt"
    torch.save(state, path)
    return path


def fairseq_names(weights: dict[str, Tensor], *, is_large: bool) -> dict[str, Tensor]:
    """transformers' weights by the names that fairseq gives them."""
    return {_name(k, is_large=is_large): x.clone() for k, x in weights.items()}


def _name(name: str, *, is_large: bool) -> str:
    if name == "masked_spec_embed":
        return "mask_emb"
    if name.startswith("feature_projection.layer_norm"):
        return name.removeprefix("feature_projection.")
    if name.startswith("feature_projection.projection"):
        return name.replace("feature_projection.projection", "post_extract_proj")
    if name.startswith("encoder.pos_conv_embed.conv"):
        last = name.removeprefix("encoder.pos_conv_embed.conv.")
        found = {"bias": "bias", "parametrizations.weight.original0": "weight_g"}
        return f"encoder.pos_conv.0.{found.get(last, 'weight_v')}"
    if found := re.match(r"feature_extractor\.conv_layers\.(\d+)\.(conv|layer_norm)\.(\w+)", name):
        inner = "0" if found[2] == "conv" else ("2.1" if is_large else "2")
        return f"feature_extractor.conv_layers.{found[1]}.{inner}.{found[3]}"
    if found := re.match(r"(encoder\.layers\.\d+)\.(.+)\.(weight|bias)", name):
        return f"{found[1]}.{_IN_A_BLOCK[found[2]]}.{found[3]}"
    return name
