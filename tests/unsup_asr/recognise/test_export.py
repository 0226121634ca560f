"""ONNX of the small networks, run by onnxruntime."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import onnxruntime
import pytest
import torch
import yaml

from unsup_asr.acoustic.network import AcousticNetwork, NetworkShape, load_network, save_network
from unsup_asr.acoustic.posteriors import log_posteriors
from unsup_asr.recognise.card import Card, card_text
from unsup_asr.recognise.export import export_onnx, export_transformers
from unsup_asr.types import RunRecord


@pytest.fixture
def model(tmp_path: Path) -> Path:
    shape = NetworkShape(input_dim=7, num_outputs=4, hidden=6, stack=3)
    network = AcousticNetwork(shape, torch.Generator().manual_seed(0)).eval()
    for norm in network.norms:
        norm.running_mean.uniform_(-1, 1)
        norm.running_var.uniform_(0.5, 2)
    save_network(network, tmp_path / "model")
    (tmp_path / "model" / "inventory.json").write_text('{"phones": ["a", "b", "c"]}')
    described = {"features": {"upstream": {"_target_": "x"}}, "upstream": "digest", "decoder": {}}
    (tmp_path / "model" / "model.json").write_text(json.dumps(described))
    return tmp_path / "model"


@pytest.mark.parametrize("num_frames", [1, 3, 47, 48, 700])
def test_onnxruntime_gives_the_posteriors_of_the_network(model: Path, num_frames: int) -> None:
    out = model.parent / "out"
    export_onnx(model, out, Card())
    x_TD = np.random.default_rng(0).standard_normal((num_frames, 7)).astype(np.float32)
    session = onnxruntime.InferenceSession(out / "model.onnx", providers=["CPUExecutionProvider"])
    (found_1TV,) = session.run(["log_posteriors"], {"features": x_TD[None]})
    (expected_TV,) = log_posteriors(load_network(model), {"u": x_TD}).values()
    np.testing.assert_allclose(found_1TV[0], expected_TV, atol=1e-5)
    described = json.loads((out / "onnx.json").read_text("utf-8"))
    assert described["symbols"] == ["<blank>", "a", "b", "c"]
    assert described["stack"] == 3
    card = (out / "README.md").read_text("utf-8")
    assert "license: unknown" in card
    assert "Not measured." in card


def test_the_card_names_what_is_known(model: Path) -> None:
    described = json.loads((model / "model.json").read_text("utf-8"))
    described["trained"] = {"model": "facebook/hubert-base-ls960", "updates": 7}
    (model / "model.json").write_text(json.dumps(described), "utf-8")
    record = RunRecord("unsup-asr run mine", "abc1234+", "2026-01-02")
    link = "https://example.org/licence"
    text = card_text(model, Card(licence="mine", licence_link=link, language="de", record=record))
    head, _, body = text.removeprefix("---\n").partition("---\n")
    assert yaml.safe_load(head) == {
        "pipeline_tag": "automatic-speech-recognition",
        "tags": ["phoneme-recognition", "unsup-asr"],
        "license": "other",
        "license_name": "mine",
        "license_link": link,
        "language": "de",
        "base_model": "facebook/hubert-base-ls960",
    }
    assert "commit abc1234+" in body
    assert "- `unsup-asr run mine`, begun on 2026-01-02" in body
    assert "- facebook/hubert-base-ls960, fine-tuned with CTC: updates 7" in body
    assert f"Of these weights: mine ({link})." in body


def test_a_small_network_is_none_of_transformers(model: Path) -> None:
    out = model.parent / "out"
    with pytest.raises(ValueError, match="transformers has no class; expected a fine-tuned model"):
        export_transformers(model, out, Card())
    assert not out.exists()


def test_a_folder_is_written_whole_or_not_at_all(
    model: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fails(*_arguments: object, **_options: object) -> None:
        raise OSError("disk full")

    monkeypatch.setattr(torch.onnx, "export", fails)
    with pytest.raises(OSError, match="disk full"):
        export_onnx(model, model.parent / "out", Card())
    assert [path.name for path in model.parent.iterdir()] == ["model"]
