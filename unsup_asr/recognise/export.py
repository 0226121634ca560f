"""Models for other programs: a folder that transformers loads, or a graph of ONNX.

A fine-tuned model is one of transformers already; what is added is a card, and the n-gram model of
phones. The small networks are no architecture of theirs: ONNX has those, from features on.

Axes: T frames, D dims, V outputs.
"""

from __future__ import annotations

import json
import shutil
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import torch
from torch import Tensor, nn

from unsup_asr.acoustic.network import AcousticNetwork, load_network
from unsup_asr.formats.checked import read_json
from unsup_asr.formats.phone_text import read_inventory
from unsup_asr.recognise.acoustic_models import FINETUNED, PUBLISHED
from unsup_asr.recognise.beam_folder import write_phone_beam, write_word_beam
from unsup_asr.recognise.card import CARD, Card, card_text
from unsup_asr.recognise.letters import UNITS
from unsup_asr.recognise.phones import BLANK
from unsup_asr.upstreams.checkpoint import optional_package

FORMATS = ("transformers", "onnx")
_OPSET = 17


def export_transformers(folder: Path, out: Path, card: Card) -> None:
    """A fine-tuned model as `AutoModelForCTC` and `pipeline` read it; ValueError for others.

    `folder` must be whole: `unsup_asr.transcribe.load_model` sees to that. `out` is written whole
    or not at all; ValueError where there is something already.
    """
    _check_own(folder)
    if not (folder / FINETUNED).is_dir():
        raise ValueError(
            f"{folder}: a network on frozen features, of which transformers has no class; expected "
            "a fine-tuned model (self_training=finetune), or --format onnx"
        )
    with _whole_folder(out) as scratch:
        shutil.copytree(folder / FINETUNED, scratch, dirs_exist_ok=True)
        inventory = read_inventory(folder / "inventory.json")
        described = read_json(folder / "model.json", "decoder")
        if described.get(UNITS) == "letters":
            write_word_beam(folder, scratch, inventory)
        else:
            write_phone_beam(folder, scratch, inventory, described["decoder"])
        (scratch / CARD).write_text(card_text(folder, card), "utf-8")


def export_onnx(folder: Path, out: Path, card: Card) -> None:
    """The small network of a model: `model.onnx` from `features` (1, T, D) to `log_posteriors`
    (1, ceil(T / stack), V), and `onnx.json`, which says what the outputs stand for and how features
    are made. Otherwise as `export_transformers`.
    """
    _check_own(folder)
    if (folder / FINETUNED).is_dir():
        raise ValueError(
            f"{folder}: a fine-tuned model; ONNX is for the small networks. Export it with "
            "--format transformers, which other tools take on from there (optimum-cli export onnx)"
        )
    optional_package("onnx", extra="onnx")
    network = load_network(folder)
    described = read_json(folder / "model.json", "features", "upstream")
    with _whole_folder(out) as scratch:
        _write_graph(network, scratch / "model.onnx")
        description = {
            "symbols": [BLANK, *read_inventory(folder / "inventory.json")],
            "stack": network.stack,
            "features": described["features"],
            "upstream": described["upstream"],
        }
        text = json.dumps(description, ensure_ascii=False, indent=1)
        (scratch / "onnx.json").write_text(text, "utf-8")
        if (folder / "statistics.npy").is_file():
            shutil.copyfile(folder / "statistics.npy", scratch / "statistics.npy")
        (scratch / CARD).write_text(card_text(folder, card), "utf-8")


def _check_own(folder: Path) -> None:
    if (folder / PUBLISHED).is_file():
        raise ValueError(
            f"{folder}: an imported generator, for which there is no format here; expected a model "
            "of a run. What it was imported from is what others can load"
        )


class _OneUtterance(nn.Module):
    """The network on one utterance without padding."""

    def __init__(self, network: AcousticNetwork) -> None:
        super().__init__()
        self.network = network

    def forward(self, features_1TD: Tensor) -> Tensor:
        return self.network(features_1TD, torch.full((1,), features_1TD.shape[1]))


def _write_graph(network: AcousticNetwork, path: Path) -> None:
    example = torch.zeros(1, 16 * network.stack, network.shape.input_dim)
    with warnings.catch_warnings():
        # The exporter by tracing: the newer one takes ten times as long and gives the same graph.
        warnings.simplefilter("ignore")
        torch.onnx.export(
            _OneUtterance(network).eval(),
            (example,),
            path,
            input_names=["features"],
            output_names=["log_posteriors"],
            dynamic_axes={"features": {1: "frames"}, "log_posteriors": {1: "frames_out"}},
            opset_version=_OPSET,
            dynamo=False,
        )


@contextmanager
def _whole_folder(out: Path) -> Iterator[Path]:
    """A folder beside `out` that takes its place when all is written."""
    if out.exists():
        raise ValueError(f"{out}: there already; name a folder that is not, or remove it")
    scratch = out.with_name(f"{out.name}.partial")
    shutil.rmtree(scratch, ignore_errors=True)
    scratch.mkdir(parents=True)
    try:
        yield scratch
        scratch.rename(out)
    finally:
        shutil.rmtree(scratch, ignore_errors=True)
