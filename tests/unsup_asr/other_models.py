"""Small model folders of the kinds whose networks are not on MFCC: fine-tuned on phones or on
letters, imported. Weights are drawn, so what they hear is nothing, and much of it.
"""

from __future__ import annotations

import json
from argparse import Namespace
from pathlib import Path

import torch
from omegaconf import OmegaConf
from torch import Tensor

from tests.unsup_asr.upstreams.transformers_checkpoints import SIZE, save_family
from unsup_asr.cli import main
from unsup_asr.recognise.acoustic_models import save_letter_model, save_model
from unsup_asr.upstreams.ctc_network import CTCNetwork
from unsup_asr.upstreams.transformers_hub import TransformersUpstream

PHONES = ["a", "aɪ", "tʃ", "n"]
LETTERS = ["a", "n", "o", "|"]


def save_finetuned(folder: Path) -> Path:
    """A fine-tuned model of PHONES; the folder."""
    save_model(_drawn_network(folder, len(PHONES) + 1), folder, PHONES)
    _describe(folder, PHONES, {})
    return folder


def save_letters(folder: Path) -> Path:
    """A model of LETTERS, which writes words; the folder."""
    save_letter_model(_drawn_network(folder, len(LETTERS) + 1), folder, LETTERS)
    _describe(folder, LETTERS, {"units": "letters"})
    (folder / "words").mkdir()
    decoder = {"_target_": "lm.spelling.SpellingDecoder"}
    (folder / "words" / "decoder.json").write_text(json.dumps(decoder), "utf-8")
    return folder


def save_imported(folder: Path) -> Path:
    """wav2vec-U 2.0 of fairseq, imported; the folder."""
    beside = folder.with_name(f"{folder.name}_imported_from")
    upstream = save_family("wav2vec2_base", beside / "upstream")
    dim = SIZE["hidden_size"]
    weights = {
        "generator.proj.1.weight": _drawn(len(PHONES) + 5, dim, 9),
        "generator.bn.weight": torch.full((dim,), 30.0),
        "generator.bn.bias": torch.zeros(dim),
        "generator.bn.running_mean": torch.zeros(dim),
        "generator.bn.running_var": torch.ones(dim),
        "generator.in_proj.weight": _drawn(dim, dim),
        "generator.in_proj.bias": _drawn(dim),
    }
    options = {"generator_stride": 3, "generator_kernel": 9, "generator_batch_norm": 30}
    cfg = OmegaConf.create({"model": {**options, "generator_residual": True}})
    path = beside / "checkpoint_best.pt"
    torch.save({"args": Namespace(), "cfg": cfg, "model": weights}, path)
    phones = beside / "dict.phn.txt"
    phones.write_text("".join(f"{phone} 1\n" for phone in [*PHONES, "<SIL>"]), "utf-8")
    command = ["import", str(path), "--phones", str(phones), "--upstream", str(upstream)]
    assert main([*command, "--layer", "1", "--out", str(folder)]) == 0
    return folder


KINDS = {"finetuned": save_finetuned, "letters": save_letters, "imported": save_imported}


def _drawn(*shape: int) -> Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(sum(shape)))


def _drawn_network(folder: Path, num_outputs: int) -> CTCNetwork:
    """Its head tells the states of noise apart, which a drawn one would not."""
    upstream = save_family("wav2vec2_base", folder.with_name(f"{folder.name}_upstream"))
    network = TransformersUpstream(checkpoint=str(upstream)).with_ctc_head(
        num_outputs, layer_drop=0.0, activation_dropout=0.0, seed=0
    )
    network.eval()
    noise_BN = _drawn(1, 32000) * torch.linspace(0, 1, 32000)
    with torch.no_grad():
        network(noise_BN, [32000])
        states_TD = network.base(noise_BN).last_hidden_state[0]
        head = network.model.lm_head
        head.weight.copy_(_drawn(*head.weight.shape) / states_TD.std(0))
        head.bias.copy_(-head.weight @ states_TD.mean(0))
    return network


def _describe(folder: Path, symbols: list[str], more: dict[str, str]) -> None:
    (folder / "inventory.json").write_text(json.dumps({"phones": symbols}), "utf-8")
    described = {"decoder": {"_target_": "lm.greedy.GreedyDecoder"}, **more}
    (folder / "model.json").write_text(json.dumps(described), "utf-8")
