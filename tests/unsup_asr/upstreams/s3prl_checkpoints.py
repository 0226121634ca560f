"""Small checkpoints of s3prl's experts with drawn weights, in the files' own formats."""

from __future__ import annotations

import argparse
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from torch import nn

AUDIO = {
    "feat_type": "fbank",
    "feat_dim": 20,
    "frame_length": 25,
    "frame_shift": 10,
    "decode_wav": True,  # asks torchaudio for an audio backend
    "cmvn": True,
}
TRANSFORMER = {
    "hidden_size": 24,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "intermediate_size": 32,
    "hidden_act": "gelu",
    "hidden_dropout_prob": 0.1,
    "attention_probs_dropout_prob": 0.1,
    "initializer_range": 0.02,
    "layer_norm_eps": 1e-12,
    "share_layer": False,
    "pre_layer_norm": False,
}
FEATURES = {"channel": 0, "log": True, "delta": 0, "cmvn": True}
LOG_MEL = {
    "win_ms": 25,
    "hop_ms": 10,
    "n_freq": 201,
    "n_mels": 20,
    "n_mfcc": 13,
    "target_level": -25,
    "input": {"feat_type": "mel", **FEATURES},
    "target": {"feat_type": "mel", **FEATURES},
}
DECOAR2 = {  # beside the published 768 dims and 12 layers, which the expert has no option for
    "encoder_embed_dim": 24,
    "encoder_layers": 3,
    "encoder_ffn_embed_dim": 32,
    "encoder_attention_heads": 4,
    "conv_pos": 16,
    "conv_pos_groups": 4,
}


def drawn(network: nn.Module) -> dict[str, torch.Tensor]:
    """The state dict, biases and norms drawn too."""
    generator = torch.Generator().manual_seed(3)
    state = network.state_dict()
    for value in state.values():
        if value.is_floating_point():
            shift = 1.0 if value.ndim == 1 and bool((value == 1).all()) else 0.0
            scale = 0.2 if value.ndim < 2 else (2.0 / value[0].numel()) ** 0.5
            value.copy_(shift + scale * torch.randn(value.shape, generator=generator))
            if shift:
                value.abs_()  # a running variance is positive
    return state


def apc() -> dict[str, Any]:
    from s3prl.upstream.apc.apc import APC

    options = {"hidden_size": 24, "num_layers": 3, "dropout": 0.1, "residual": True}
    return _with_config(APC(20, **options), options)


def vq_apc() -> dict[str, Any]:
    from s3prl.upstream.apc.apc import APC

    quantizer = {"codebook_size": [16], "code_dim": [24], "gumbel_temperature": 0.5}
    options = {"hidden_size": 24, "num_layers": 3, "dropout": 0.1, "residual": True}
    options["vq"] = quantizer
    return _with_config(APC(20, **options), options)


def npc() -> dict[str, Any]:
    from s3prl.upstream.npc.npc import NPC

    options = {
        "kernel_size": 15,
        "mask_size": 5,
        "n_blocks": 3,
        "hidden_size": 24,
        "dropout": 0.1,
        "residual": True,
        "batch_norm": True,
        "activate": "relu",
        "disable_cross_layer": False,
        "vq": {"codebook_size": [8, 8, 8, 8], "code_dim": [6] * 4, "gumbel_temperature": 1.0},
    }
    return _with_config(NPC(20, **options), options)


def _with_config(network: nn.Module, options: dict[str, Any]) -> dict[str, Any]:
    config = {"data": {"audio": dict(AUDIO)}, "model": {"paras": options}}
    return {"config": config, "model": drawn(network), "global_step": 7}


def mockingjay() -> dict[str, Any]:
    from s3prl.upstream.mockingjay.model import TransformerConfig, TransformerModel

    network = TransformerModel(TransformerConfig(TRANSFORMER), 20)
    config = {"transformer": TRANSFORMER, "audio": LOG_MEL, "task": {"sequence_length": 1500}}
    return {
        "Transformer": drawn(network),
        "Config": config,
        "Settings": {"Config": config, "Paras": argparse.Namespace(upstream="mockingjay")},
    }


def decoar2() -> dict[str, Any]:
    """To be made, and read, under `monkeypatch` of the expert's sizes by DECOAR2."""
    from s3prl.upstream.decoar2.decoar2 import Decoar2

    return {"model": {**drawn(Decoar2()), "vector_quantizer.vars": torch.zeros(2)}}


def modified_cpc() -> dict[str, Any]:
    from s3prl.upstream.cpc.cpc_default_config import get_default_cpc_config
    from s3prl.upstream.cpc.feature_loader import getAR, getEncoder
    from s3prl.upstream.cpc.model import CPCModel

    options = get_default_cpc_config()
    options.hiddenEncoder, options.hiddenGar, options.nLevelsGRU = 24, 24, 2
    network = CPCModel(getEncoder(options), getAR(options))
    return {"config": vars(options), "weights": drawn(network)}


def wav2vec() -> dict[str, Any]:
    return _of_fairseq({})


def vq_wav2vec() -> dict[str, Any]:
    return _of_fairseq({"vq_type": "gumbel", "vq_vars": 8, "vq_groups": 2, "combine_groups": False})


def _of_fairseq(quantizer: dict[str, Any]) -> dict[str, Any]:
    """As s3prl converts fairseq's checkpoints; tasks and models have options that it ignores."""
    from s3prl.upstream.wav2vec.wav2vec_model import Wav2VecConfig, Wav2VecModel

    options = {
        "infonce": True,
        "conv_feature_layers": "[(24, 10, 5), (24, 8, 4), (24, 4, 2), (24, 4, 2), (24, 4, 2)]",
        "conv_aggregator_layers": "[(24, 2, 1), (24, 3, 1), (24, 4, 1)]",
        "skip_connections_agg": True,
        "log_compression": True,
        "residual_scale": 0.5,
        "activation": "relu",
        **quantizer,
    }
    return {
        "task_cfg": {"data": "/corpus", "sample_rate": 16000, "normalize": False, "x": 1},
        "model_cfg": {**options, "_name": "wav2vec"},
        "model_weight": drawn(Wav2VecModel(Wav2VecConfig(**options))),
    }


MAKERS: dict[str, Callable[[], dict[str, Any]]] = {
    "apc": apc,
    "vq_apc": vq_apc,
    "npc": npc,
    "mockingjay": mockingjay,
    "tera": mockingjay,
    "decoar2": decoar2,
    "modified_cpc": modified_cpc,
    "wav2vec": wav2vec,
    "vq_wav2vec": vq_wav2vec,
}


def save(name: str, path: Path) -> Path:
    torch.save(MAKERS[name](), path)
    return path
