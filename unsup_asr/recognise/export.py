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
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor, nn

from unsup_asr.acoustic.network import AcousticNetwork, load_network
from unsup_asr.formats.checked import read_json
from unsup_asr.formats.phone_text import read_inventory
from unsup_asr.recognise.acoustic_models import FINETUNED
from unsup_asr.recognise.phones import BLANK
from unsup_asr.report.results import Results
from unsup_asr.upstreams.checkpoint import optional_package

FORMATS = ("transformers", "onnx")
_CARD, _LANGUAGE_MODEL = "README.md", "language_model"
_OPSET = 17


@dataclass(frozen=True)
class Card:
    """What a model card says beside what is in the model's folder; '' where it is unknown."""

    licence: str = ""
    language: str = ""
    results: Results | None = None


def export_transformers(folder: Path, out: Path, card: Card) -> None:
    """A fine-tuned model as `AutoModelForCTC` and `pipeline` read it; ValueError for others.

    `folder` must be whole: `unsup_asr.transcribe.load_model` sees to that. `out` is written whole
    or not at all; ValueError where there is something already.
    """
    if not (folder / FINETUNED).is_dir():
        raise ValueError(
            f"{folder}: a network on frozen features, of which transformers has no class; expected "
            "a fine-tuned model (self_training=finetune), or --format onnx"
        )
    with _whole_folder(out) as scratch:
        shutil.copytree(folder / FINETUNED, scratch, dirs_exist_ok=True)
        for path in sorted(folder.glob("*.arpa")):
            (scratch / _LANGUAGE_MODEL).mkdir(exist_ok=True)
            shutil.copyfile(path, scratch / _LANGUAGE_MODEL / path.name)
        (scratch / _CARD).write_text(_card(folder, card), "utf-8")


def export_onnx(folder: Path, out: Path, card: Card) -> None:
    """The small network of a model: `model.onnx` from `features` (1, T, D) to `log_posteriors`
    (1, ceil(T / stack), V), and `onnx.json`, which says what the outputs stand for and how features
    are made. Otherwise as `export_transformers`.
    """
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
        (scratch / _CARD).write_text(_card(folder, card), "utf-8")


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


def _card(folder: Path, card: Card) -> str:
    """A model card as the hub reads it: what the model is, made how, worth what."""
    record = read_json(folder / "stage.json") if (folder / "stage.json").is_file() else {}
    head = ["---", "library_name: transformers" if (folder / FINETUNED).is_dir() else ""]
    head += ["pipeline_tag: automatic-speech-recognition", "tags: [phoneme-recognition]"]
    head += [f"license: {card.licence}" if card.licence else "license: unknown"]
    head += [f"language: {card.language}" if card.language else "", "---"]
    phones = read_inventory(folder / "inventory.json")
    lines = [
        *filter(None, head),
        "",
        "# Phones from speech, learned without transcripts",
        "",
        f"Outputs: the CTC blank and {len(phones)} phones: {' '.join(phones)}.",
        "",
        "## How it was made",
        "",
        f"- unsup-asr {_said(record, 'versions', 'unsup-asr')}, "
        f"torch {_said(record, 'versions', 'torch')}",
        f"- stage `model`, key {_said(record, 'key')}, seed {_said(record, 'seed')}",
    ]
    if (found := card.results) is None:
        return "\n".join([*lines, "", "## What it is worth", "", "Not measured.", ""])
    lines += [
        f"- recipe `{found.recipe}` on {found.corpus}: {found.train_hours:.2f} hours of "
        f"{found.num_train_speakers} speakers, none of it transcribed",
        "",
        "## What it is worth",
        "",
        "| system | PER % | 95 % interval | decoding | scored on |",
        "|---|---|---|---|---|",
    ]
    for name, row in found.rows.items():
        if name == found.final_row or name.startswith("supervised"):
            lines.append(
                f"| {name} | {row.per:.1f} | {row.interval_low:.1f} to {row.interval_high:.1f} | "
                f"{row.decoding} | {row.split}, {row.num_utterances} utterances |"
            )
    lines += [
        "",
        f"Conditions: references {found.test_digest}, recordings {found.audio_digest}, phones "
        f"folded: {found.fold}, silence {found.silence}. The figures are of the decoder named, "
        "which is not in this folder; by the best output of each frame expect more errors.",
        "",
    ]
    return "\n".join(lines)


def _said(record: object, *names: str) -> object:
    for name in names:
        record = record.get(name, "unknown") if isinstance(record, dict) else "unknown"
    return record
