"""A model folder is data of anybody's: it can make this project do nothing but recognise."""

from __future__ import annotations

import json
import shutil
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile

from tests.unsup_asr.small_model import ARPA, BEAM, MFCC, SILENCE, describe, save_small_model
from unsup_asr import load_model, load_word_model
from unsup_asr.acoustic.network import AcousticNetwork, NetworkShape, save_network
from unsup_asr.cli import main


@pytest.fixture
def model(tmp_path: Path) -> Path:
    """A whole model of one phone, with words, and new.wav beside it."""
    rng = np.random.default_rng(0)
    soundfile.write(tmp_path / "new.wav", 0.1 * rng.standard_normal(16000), 16000)
    return save_small_model(tmp_path / "model")


def test_a_model_as_it_is_written_is_read(model: Path) -> None:
    assert load_model(model).inventory == ["a"]
    assert load_word_model(model).model.inventory == ["a"]


def attack(folder: Path) -> dict[str, dict[str, Any]]:
    """Targets that leave a file when they are called, and others that must not be."""
    loot = str(folder / "loot")
    (folder / "evil.py").write_text(f"open({loot!r}, 'w').close()\nclass Upstream: pass\n")
    return {
        "a function": {"_target_": "os.system", "command": f"touch {loot}"},
        "a class of a library": {"_target_": "subprocess.Popen", "args": ["touch", loot]},
        "a foreign module": {"_target_": "evil.Upstream"},
        "through our modules": {"_target_": "unsup_asr.doctor.subprocess.Popen", "args": [loot]},
        "a library's class in ours": {"_target_": "unsup_asr.doctor.Path"},
        "a function of ours": {"_target_": "unsup_asr.formats.lines.read_lines", "path": loot},
        "unpickling": {
            **{"_target_": "unsup_asr.upstreams.s3prl_hub.S3prlUpstream", "model": "tera"},
            **{"checkpoint": loot, "trust_checkpoint": True},
        },
        "the environment": {**MFCC, "sample_rate": "${oc.env:HOME}"},
        "another kind": {"_target_": "segmentation.pca.PCA"},
    }


SLOTS = ("features.upstream", "features.silence", "decoder", "words")
ATTACKS = ("a function", "a class of a library", "a foreign module", "through our modules")
ATTACKS += ("a library's class in ours", "a function of ours", "unpickling", "the environment")
ATTACKS += ("another kind",)


@pytest.mark.parametrize("slot", SLOTS)
@pytest.mark.parametrize("kind", ATTACKS)
def test_what_a_model_names_is_not_run(
    slot: str,
    kind: str,
    model: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setattr(sys, "path", [str(tmp_path), *sys.path])
    target = attack(tmp_path)[kind]
    if slot == "words":
        (model / "words" / "decoder.json").write_text(json.dumps(target))
    else:
        describe(model, {slot: target})
    words = ["--words"] if slot == "words" else []
    assert main(["transcribe", str(model), str(tmp_path / "new.wav"), *words]) == 1
    assert str(model) in capsys.readouterr().err
    assert not (tmp_path / "loot").exists()
    assert "evil" not in sys.modules


@pytest.mark.parametrize("name", ["../phones.arpa", "/etc/hostname", "..", "nowhere.arpa"])
def test_files_of_a_model_lie_in_its_folder(name: str, model: Path, tmp_path: Path) -> None:
    shutil.copy(model / "phones.arpa", tmp_path / "phones.arpa")
    describe(model, {"decoder": {**BEAM, "lm_path": name}})
    with pytest.raises(ValueError, match=r"model: (a file named|no nowhere\.arpa)"):
        load_model(model)


def test_trust_lets_a_model_use_a_class_of_others(
    model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    source = "from unsup_asr.upstreams.kaldi_features import KaldiMFCC\n"
    (tmp_path / "mine_mfcc.py").write_text(source + "class Mine(KaldiMFCC): pass\n")
    monkeypatch.setattr(sys, "path", [str(tmp_path), *sys.path])
    describe(model, {"features.upstream": {"_target_": "mine_mfcc.Mine"}})
    with pytest.raises(ValueError, match=r"'mine_mfcc\.Mine', which is no class of this project"):
        load_model(model)
    assert type(load_model(model, trust=True).upstream).__name__ == "Mine"


DAMAGES: dict[str, Callable[[Path], object]] = {
    "no description": lambda f: (f / "model.json").unlink(),
    "half a description": lambda f: (f / "model.json").write_text('{"features"'),
    "a list": lambda f: (f / "model.json").write_text("[]"),
    "an empty object": lambda f: (f / "model.json").write_text("{}"),
    "no upstream": lambda f: describe(f, {"features": {"silence": SILENCE}}),
    "an upstream without a class": lambda f: describe(f, {"features.upstream": {"num_ceps": 13}}),
    "bytes": lambda f: (f / "model.json").write_bytes(b"\xff\xfe\x00"),
    "half the weights": lambda f: (f / "network.safetensors").write_bytes(
        (f / "network.safetensors").read_bytes()[:100]
    ),
    "no weights": lambda f: (f / "network.safetensors").write_bytes(b""),
    "weights of another shape": lambda f: save_other_shape(f),
    "half a shape": lambda f: (f / "network.json").write_text('{"input_dim": 39'),
    "a shape without a number": lambda f: (f / "network.json").write_text("{}"),
    "half an inventory": lambda f: (f / "inventory.json").write_text('{"phones": ["a'),
    "no phones": lambda f: (f / "inventory.json").write_text("{}"),
    "phones that are none": lambda f: (f / "inventory.json").write_text('{"phones": 3}'),
    "half a language model": lambda f: (f / "phones.arpa").write_text(ARPA[:20]),
}


def save_other_shape(folder: Path) -> None:
    other = folder / "other"
    save_network(AcousticNetwork(NetworkShape(input_dim=39, num_outputs=2, hidden=8)), other)
    shutil.copy(other / "network.safetensors", folder / "network.safetensors")


@pytest.mark.parametrize("damage", DAMAGES)
def test_a_damaged_model_is_an_error_that_names_the_file(
    damage: str, model: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    DAMAGES[damage](model)
    assert main(["transcribe", str(model), str(tmp_path / "new.wav")]) == 1
    err = capsys.readouterr().err
    assert str(model) in err, err
    assert "Traceback" not in err
