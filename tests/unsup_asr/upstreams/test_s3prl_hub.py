"""s3prl's experts, small, through their own checkpoint formats."""

from __future__ import annotations

import argparse
import json
import shutil
import sys
from functools import cache
from importlib import import_module
from pathlib import Path
from types import ModuleType

import pytest
import torch
from torch import nn

from tests.contracts.upstream import UpstreamContract
from tests.unsup_asr.upstreams.s3prl_checkpoints import DECOAR2, MAKERS, save
from unsup_asr.protocols import Upstream
from unsup_asr.upstreams.registry import by_name as upstream_by_name
from unsup_asr.upstreams.s3prl_hub import EXPERTS, S3prlUpstream


@pytest.fixture(autouse=True)
def small_decoar2(monkeypatch: pytest.MonkeyPatch) -> None:
    from s3prl.upstream.decoar2 import decoar2

    for option, value in DECOAR2.items():
        monkeypatch.setitem(decoar2.args, option, value)


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory):
    root = tmp_path_factory.mktemp("s3prl")
    return cache(lambda name: str(save(name, root / name)) if name in MAKERS else None)


def noise(*lengths: int) -> tuple[torch.Tensor, torch.Tensor]:
    waves = torch.randn(len(lengths), max(lengths), generator=torch.Generator().manual_seed(0))
    return 0.1 * waves, torch.tensor(lengths)


PROVEN = [name for name in EXPERTS if name != "pase_plus"]  # see TestPaseContract


@pytest.mark.parametrize("name", PROVEN)
class TestContract(UpstreamContract):
    @pytest.fixture(autouse=True)
    def checkpoint(self, name: str, files, small_decoar2) -> None:
        self.name, self.path = name, files(name)

    def make(self) -> Upstream:
        return S3prlUpstream(model=self.name, checkpoint=self.path)


@pytest.mark.parametrize("name", PROVEN)
def test_states_are_those_of_the_expert_layer_by_layer(name: str, files):
    waves_BN, lengths_B = noise(9000)
    upstream = S3prlUpstream(model=name, checkpoint=files(name))
    states = upstream.encode(waves_BN, lengths_B).layers_BTD
    expert_class = import_module(f"s3prl.upstream.{EXPERTS[name].module}.expert").UpstreamExpert
    with torch.serialization.safe_globals([argparse.Namespace]):
        expert = expert_class(str(upstream.weight_files()[0])).eval()
    with torch.no_grad():
        expected = expert([waves_BN[0]])["hidden_states"]
    assert len(states) == len(expected) == upstream.num_layers
    for found_1TD, expected_1TD in zip(states, expected, strict=True):
        torch.testing.assert_close(found_1TD, expected_1TD, rtol=1e-6, atol=1e-6)
    assert states[-1].std() > 1e-3


def test_a_checkpoint_is_found_where_s3prls_hub_puts_it(
    files, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    from s3prl.util import download

    monkeypatch.setattr(download, "_download_dir", tmp_path)
    with pytest.raises(
        ValueError, match=r"does not exist.*Get https://.*/apc_360hr.ckpt and set ch"
    ):
        S3prlUpstream(model="apc")
    place = Path(download._urls_to_filepaths(EXPERTS["apc"].url, download=False))
    shutil.copy(files("apc"), place)
    found = upstream_by_name("apc")()
    assert found.fingerprint() == S3prlUpstream(model="apc", checkpoint=files("apc")).fingerprint()
    assert found.encode(*noise(4000)).layers_BTD[0].shape == (1, 23, 24)


def test_experts_do_not_print(files, capfd: pytest.CaptureFixture[str]):
    S3prlUpstream(model="tera", checkpoint=files("tera")).encode(*noise(4000))
    assert capfd.readouterr().out == ""


def test_the_fingerprint_follows_the_weights_and_the_expert(files, tmp_path: Path):
    content = MAKERS["mockingjay"]()
    content["Transformer"] = {key: value + 1 for key, value in content["Transformer"].items()}
    torch.save(content, tmp_path / "other")
    prints = {
        S3prlUpstream(model=name, checkpoint=path).fingerprint()
        for name, path in (
            ("mockingjay", files("mockingjay")),
            ("tera", files("mockingjay")),
            ("mockingjay", str(tmp_path / "other")),
            ("s3prl_fbank", None),
            ("s3prl_mfcc", None),
        )
    }
    assert len(prints) == 5


@pytest.mark.parametrize("name", ["decoar2", "modified_cpc", "mockingjay", "wav2vec"])
def test_weights_that_are_missing_are_not_drawn_at_random(name: str, tmp_path: Path):
    content = MAKERS[name]()
    weights = content[EXPERTS[name].weights]
    lost = next(key for key in weights if "weight" in key)
    del weights[lost]
    torch.save(content, tmp_path / "part")
    upstream = S3prlUpstream(model=name, checkpoint=str(tmp_path / "part"))
    with pytest.raises(ValueError, match=r"part.*(are missing|is not a checkpoint)"):
        upstream.encode(*noise(4000))


class Payload:
    """Code that a checkpoint could bring."""

    ran = False

    def __setstate__(self, state: object) -> None:
        Payload.ran = True


@pytest.mark.parametrize("name", MAKERS)
def test_code_in_a_checkpoint_is_not_run(name: str, tmp_path: Path):
    Payload.ran = False
    payload = Payload()
    payload.x = 1  # something to set
    torch.save({**MAKERS[name](), "Scheduler": payload}, tmp_path / "code")
    upstream = S3prlUpstream(model=name, checkpoint=str(tmp_path / "code"))
    with pytest.raises(ValueError, match=r"holds other Python objects.*trust_checkpoint: true"):
        upstream.encode(*noise(4000))
    assert not Payload.ran


def test_an_old_mockingjay_is_read_when_its_source_is_trusted(files, tmp_path: Path):
    torch.save({**MAKERS["mockingjay"](), "Scheduler": Payload()}, tmp_path / "old")
    trusted = S3prlUpstream(
        model="mockingjay", checkpoint=str(tmp_path / "old"), trust_checkpoint=True
    )
    plain = S3prlUpstream(model="mockingjay", checkpoint=files("mockingjay"))
    for x, y in zip(
        trusted.encode(*noise(4000)).layers_BTD, plain.encode(*noise(4000)).layers_BTD, strict=True
    ):
        assert torch.equal(x, y)


@pytest.mark.parametrize("what", ["truncated", "text", "another", "no file"])
def test_a_bad_checkpoint_is_refused(what: str, files, tmp_path: Path):
    path = tmp_path / "bad"
    if what == "truncated":
        path.write_bytes(Path(files("npc")).read_bytes()[:1500])
    elif what == "text":
        path.write_text("<html>404</html>")
    elif what == "another":
        shutil.copy(files("apc"), path)
    with pytest.raises(ValueError, match=r"bad.*https://.*/npc_360hr.ckpt"):
        S3prlUpstream(model="npc", checkpoint=str(path)).encode(*noise(4000))


def test_wrong_options_are_answered_with_the_right_ones(files):
    with pytest.raises(ValueError, match="model is 'cpc'; expected one of apc, vq_apc"):
        S3prlUpstream(model="cpc")
    with pytest.raises(ValueError, match="s3prl_fbank has no weights; leave checkpoint out"):
        S3prlUpstream(model="s3prl_fbank", checkpoint=files("apc"))


def test_without_the_package_the_pip_command_is_named(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setitem(sys.modules, "s3prl", None)
    with pytest.raises(ValueError, match=r"pip install 'unsup-asr\[s3prl\]'"):
        upstream_by_name("tera")()


class StandInPase(nn.Module):
    """With the names that PASE+ has; the real network is in no package (docs)."""

    def __init__(self, config: str) -> None:
        super().__init__()
        layout = json.loads(Path(config).read_text())
        self.blocks, self.denseskips, channels = nn.ModuleList(), nn.ModuleList(), 1
        for width, stride in zip(layout["kwidths"], layout["strides"], strict=True):
            self.blocks.append(nn.Conv1d(channels, 6, width, stride, padding=width // 2))
            self.denseskips.append(nn.Conv1d(6, 8, 1))
            channels = 6
        del self.denseskips[-1]
        self.W = nn.Conv1d(6, 8, 1)

    def load_pretrained(self, path: str, *, load_last: bool, verbose: bool) -> None:
        self.load_state_dict(torch.load(path)["state_dict"])

    def forward(self, waves_B1N: torch.Tensor) -> torch.Tensor:
        hidden, skips = waves_B1N, []
        for i, block in enumerate(self.blocks):
            hidden = block(hidden).relu()
            if i < len(self.denseskips):
                skips.append(self.denseskips[i](hidden))
        output = self.W(hidden)
        for skip in skips:
            rate = skip.shape[2] // output.shape[2]
            output = output + skip[:, :, : rate * output.shape[2]].unflatten(2, (-1, rate)).mean(3)
        return output


@pytest.fixture
def pase_files(tmp_path: Path) -> dict[str, str]:
    layout = {"kwidths": [251, 10, 5], "strides": [1, 10, 16], "denseskips": True}
    (tmp_path / "PASE+.cfg").write_text(json.dumps(layout))
    torch.manual_seed(0)
    weights = StandInPase(str(tmp_path / "PASE+.cfg")).state_dict()
    torch.save({"step": 1, "state_dict": weights}, tmp_path / "FE_e199.ckpt")
    return {
        "checkpoint": str(tmp_path / "FE_e199.ckpt"),
        "model_config": str(tmp_path / "PASE+.cfg"),
    }


class TestPaseContract(UpstreamContract):
    """The adapter around a stand-in of PASE+'s interface."""

    @pytest.fixture(autouse=True)
    def stand_in(self, pase_files: dict[str, str], monkeypatch: pytest.MonkeyPatch) -> None:
        for name in ("pase", "pase.models"):
            monkeypatch.setitem(sys.modules, name, ModuleType(name))
        front_end = ModuleType("pase.models.frontend")
        vars(front_end)["wf_builder"] = StandInPase
        monkeypatch.setitem(sys.modules, "pase.models.frontend", front_end)
        self.files = pase_files

    def make(self) -> Upstream:
        return S3prlUpstream(model="pase_plus", **self.files)

    def test_states_are_skips_projection_and_output_at_one_rate(self) -> None:
        waves_BN, lengths_B = noise(8000)
        layers = self.make().encode(waves_BN, lengths_B).layers_BTD
        network = StandInPase(self.files["model_config"])
        network.load_pretrained(self.files["checkpoint"], load_last=True, verbose=False)
        with torch.no_grad():
            output_BTD = network(waves_BN[:, None]).transpose(1, 2)
        assert len(layers) == 4
        torch.testing.assert_close(layers[-1], output_BTD)
        torch.testing.assert_close(sum(layers[:-1]), output_BTD)  # merged by addition


def test_without_pase_it_is_said_where_to_get_it(pase_files: dict[str, str]):
    with pytest.raises(ValueError, match=r"pase_plus needs the package 'pase'.*add-an-upstream.md"):
        S3prlUpstream(model="pase_plus", **pase_files).encode(*noise(4000))
    Path(pase_files["model_config"]).write_text("[]")
    with pytest.raises(ValueError, match=r"PASE\+.cfg is not a config of PASE"):
        S3prlUpstream(model="pase_plus", **pase_files).encode(*noise(4000))
