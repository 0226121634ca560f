"""The toy recipe with its last step an upstream that is fine-tuned: a model as any other."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
import transformers

from tests.test_toy_recipe import SMALL
from tests.unsup_asr.upstreams.transformers_checkpoints import save_family
from unsup_asr.cli import main
from unsup_asr.formats.hypotheses import read_hypotheses, read_word_hypotheses
from unsup_asr.formats.manifest import read_manifest
from unsup_asr.formats.phone_text import read_inventory
from unsup_asr.report.results import Results
from unsup_asr.speech.audio import read_audio
from unsup_asr.speech.runs import merge_repeats
from unsup_asr.transcribe import load_model, load_word_model

UPSTREAM = "self_training.training.upstream"
OPTIONS = [
    *(option for option in SMALL if not option.startswith(("self_training", "realign"))),
    "realign.num_rounds=0",
    "self_training=finetune",
    "~self_training.training.hidden",
    "~self_training.training.epochs",
    "self_training.training.updates=6",
    "self_training.training.head_updates=1",
    "self_training.training.learning_rate=0.0001",
    "self_training.training.batch_seconds=60",
    "self_training.training.pass_seconds=30",
]


def options(folder: Path) -> list[str]:
    target = "unsup_asr.upstreams.transformers_hub.TransformersUpstream"
    return [*OPTIONS, f"{UPSTREAM}={{_target_: {target}, checkpoint: '{folder / 'upstream'}'}}"]


@pytest.fixture(scope="module")
def exp(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("finetuned")
    save_family("hubert_large", folder / "upstream")
    assert main(["run", "toy", "--exp", str(folder / "exp"), *options(folder)]) == 0
    torch.set_num_threads(1)
    return folder / "exp"


@pytest.fixture
def latest(exp: Path) -> Path:
    return exp / "toy" / "latest"


def test_the_report_has_its_row_and_that_of_the_same_class_on_references(
    exp: Path, latest: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    rows = Results.read(latest / "evaluate" / "results.json").rows
    assert {"self_training", "self_training_1", "supervised", "self_training+words"} <= set(rows)
    assert main(["report", "toy", "--exp", str(exp), "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert found["supervised_per"] == pytest.approx(rows["supervised"].per)
    for stage in ("self_training_1", "supervised"):
        saved = sorted(path.name for path in (latest / stage / "finetuned").iterdir())
        assert "model.safetensors" in saved
        assert not (latest / stage / "training.safetensors").exists()


def test_it_is_transcribed_with_as_the_stages_heard_it_and_needs_no_upstream(
    latest: Path, tmp_path: Path
) -> None:
    shutil.copytree(latest / "words", tmp_path / "model")
    model, words = load_model(tmp_path / "model"), load_word_model(tmp_path / "model")
    heard = {
        h.utterance_id: h for h in read_hypotheses(latest / "self_training_1/hypotheses/test.tsv")
    }
    spoken = {h.utterance_id: h for h in read_word_hypotheses(latest / "words/words/test.tsv")}
    for utterance in read_manifest(latest / "corpus" / "test.jsonl"):
        found, expected = model.transcribe(utterance.audio), heard[utterance.id]
        assert found.phones == expected.phones
        np.testing.assert_allclose(found.starts_s, expected.starts_s, atol=2e-3)
        np.testing.assert_allclose(found.confidences, expected.confidences, atol=2e-3)
        assert words.transcribe(utterance.audio)[0].words == spoken[utterance.id].words


def test_its_folder_is_one_of_transformers(latest: Path) -> None:
    folder = latest / "model" / "finetuned"
    model = transformers.AutoModelForCTC.from_pretrained(folder)
    inventory = read_inventory(latest / "model" / "inventory.json")
    assert type(model).__name__ == "HubertForCTC"
    assert model.lm_head.out_features == len(inventory) + 1
    processor = transformers.AutoProcessor.from_pretrained(folder)
    assert processor.tokenizer.convert_tokens_to_ids(inventory) == list(
        range(1, len(inventory) + 1)
    )


def test_a_second_run_does_nothing_and_other_weights_train_again(
    exp: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    given = options(exp.parent)
    command = ["status", "toy", "--exp", str(exp)]
    assert main([*command, *given]) == 0
    assert {line.split()[1] for line in capsys.readouterr().out.splitlines()} == {"done"}
    path = exp.parent / "upstream" / "model.safetensors"
    before = path.read_bytes()
    try:
        path.write_bytes(before[:-4] + b"\0\0\0\0")
        assert main([*command, *given]) == 0
    finally:
        path.write_bytes(before)
    states = dict(line.split()[:2] for line in capsys.readouterr().out.splitlines())
    again = {"self_training_1", "supervised", "model", "words", "diagnosis", "evaluate"}
    assert again <= {name for name, state in states.items() if state == "stale"}
    assert states["features"] == states["matching"] == "done"


def without_weights(folder: Path) -> str:
    (folder / "finetuned" / "model.safetensors").unlink()
    return "finetuned/model.safetensors"


def of_another_kind(folder: Path) -> str:
    path = folder / "finetuned" / "config.json"
    path.write_text(path.read_text("utf-8").replace("HubertForCTC", "HubertModel"), "utf-8")
    return r"finetuned/config\.json"


def with_fewer_phones(folder: Path) -> str:
    path = folder / "inventory.json"
    described = json.loads(path.read_text("utf-8"))
    described["phones"] = described["phones"][:-1]
    path.write_text(json.dumps(described), "utf-8")
    return "the network of finetuned has 41 outputs, the inventory 39 phones"


@pytest.mark.parametrize("harm", [without_weights, of_another_kind, with_fewer_phones])
@pytest.mark.parametrize("is_listed", [True, False])
def test_a_damaged_model_is_named(harm, is_listed: bool, latest: Path, tmp_path: Path) -> None:
    """By its digest, and by what it is where somebody has left the digests out."""
    folder = tmp_path / "model"
    shutil.copytree(latest / "model", folder)
    if not is_listed:
        path = folder / "model.json"
        described = json.loads(path.read_text("utf-8"))
        del described["sha256"]
        path.write_text(json.dumps(described), "utf-8")
    message = harm(folder)
    with pytest.raises(ValueError, match=str(folder)) as caught:
        load_model(folder)
    if not is_listed:
        caught.match(message.replace("/model.safetensors", ""))


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ("{_target_: unsup_asr.upstreams.kaldi_features.KaldiMFCC}", "cannot be fine-tuned"),
        (
            "{_target_: unsup_asr.upstreams.transformers_hub.TransformersUpstream, checkpoint: x}",
            "x has no config.json",
        ),
    ],
)
def test_an_upstream_that_cannot_be_tuned_is_refused(
    given: str, message: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    command = ["run", "toy", "--exp", str(tmp_path), "--until", "corpus"]
    assert main([*command, *OPTIONS, f"{UPSTREAM}={given}"]) != 0
    assert message in capsys.readouterr().err
    assert not list(tmp_path.glob("toy/corpus/*"))


def export(model: Path, out: Path, *more: str) -> list[str]:
    return ["export", str(model), "--format", "transformers", "--out", str(out), *more]


def test_the_pipeline_of_transformers_hears_the_phones_of_the_best_outputs(
    latest: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "exported"
    assert main(export(latest / "model", out, "--licence", "cc0-1.0", "--language", "en")) == 0
    assert f"hf upload OWNER/NAME {out}" in capsys.readouterr().out
    pipeline = transformers.pipeline("automatic-speech-recognition", model=str(out))
    model = load_model(latest / "model")
    symbols = ["", *model.inventory]
    heard = set()
    for utterance in read_manifest(latest / "corpus" / "test.jsonl"):
        samples_N = read_audio(utterance.audio)
        found = pipeline({"raw": samples_N, "sampling_rate": 16000})["text"]
        length_1 = torch.tensor([len(samples_N)])
        (scores_1TV,) = model.upstream.encode(
            torch.from_numpy(samples_N)[None], length_1
        ).layers_BTD
        best = merge_repeats(scores_1TV[0].argmax(1).numpy())
        assert found.split() == [symbols[i] for i in best if i]
        heard |= {found}
    assert len(heard) > 1
    card = (out / "README.md").read_text("utf-8")
    results = Results.read(latest / "evaluate" / "results.json")
    assert "license: cc0-1.0" in card
    assert f"| supervised | {results.rows['supervised'].per:.1f} |" in card
    assert results.test_digest in card
    run = json.loads((latest / "run.json").read_text("utf-8"))
    assert f"commit {run['commit']}, torch " in card
    assert run["command"].startswith("unsup-asr run toy")
    assert f"- `{run['command']}`, begun on {run['date']}" in card
    assert "- upstream, fine-tuned with CTC: updates 6, head_updates 1" in card
    assert "| self_training, dev |" in card
    assert (out / "with_language_model" / "language_model" / "phones.arpa").is_file()
    assert sorted(path.name for path in tmp_path.iterdir()) == ["exported"]


def test_what_cannot_be_exported_is_named_and_leaves_nothing(
    latest: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    model, out = latest / "model", tmp_path / "out"
    assert main(["export", str(model), "--format", "onnx", "--out", str(out)]) == 1
    assert "a fine-tuned model; ONNX is for the small networks" in capsys.readouterr().err
    assert main(export(tmp_path / "none", out)) == 2
    assert main(export(model, out, "--results", str(tmp_path / "none.json"))) == 2
    shutil.copytree(model, tmp_path / "model")
    without_weights(tmp_path / "model")
    assert main(export(tmp_path / "model", out)) == 1
    assert "model.safetensors" in capsys.readouterr().err
    assert not out.exists()
    out.mkdir()
    assert main(export(model, out)) == 1
    assert f"{out}: there already" in capsys.readouterr().err
    assert list(out.iterdir()) == []
