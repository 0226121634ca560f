"""Files of fairseq's layout, against the networks that they were made from, layer by layer."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest
import torch

from tests.contracts.upstream import UpstreamContract
from tests.unsup_asr.upstreams.fairseq_checkpoints import (
    FILES,
    fairseq_state,
    fine_tuned_state,
    older_state,
    write,
)
from tests.unsup_asr.upstreams.transformers_checkpoints import FAMILIES, drawn_model, save_family
from unsup_asr.protocols import Upstream
from unsup_asr.upstreams.fairseq_file import FairseqUpstream
from unsup_asr.upstreams.transformers_hub import TransformersUpstream

LARGE = "wav2vec_vox_new"


class TestContract(UpstreamContract):
    @pytest.fixture(autouse=True)
    def checkpoint(self, tmp_path: Path) -> None:
        self.path = write(fairseq_state(LARGE), tmp_path)

    def make(self) -> Upstream:
        return FairseqUpstream(checkpoint=str(self.path))


def waves() -> tuple[torch.Tensor, torch.Tensor]:
    drawn = torch.randn(2, 9000, generator=torch.Generator().manual_seed(0))
    return 0.1 * drawn + 0.03, torch.tensor([9000, 7000])


def states(upstream: Upstream) -> list[torch.Tensor]:
    return list(upstream.encode(*waves()).layers_BTD)


@pytest.mark.parametrize("name", FILES)
def test_states_are_those_of_the_same_weights_in_transformers(name: str, tmp_path: Path) -> None:
    found = states(FairseqUpstream(checkpoint=str(write(fairseq_state(name), tmp_path))))
    folder = save_family(FILES[name], tmp_path / "hub")
    expected = states(TransformersUpstream(checkpoint=str(folder)))
    assert len(found) == len(expected) == 4
    for one_BTD, other_BTD in zip(found, expected, strict=True):
        torch.testing.assert_close(one_BTD, other_BTD, rtol=1e-6, atol=1e-6)


@pytest.mark.parametrize("make", [older_state, fine_tuned_state])
@pytest.mark.parametrize("name", ["wav2vec_small", LARGE, "hubert_base_ls960"])
def test_older_and_fine_tuned_files_hold_the_same_network(make, name: str, tmp_path: Path) -> None:
    expected = states(FairseqUpstream(checkpoint=str(write(fairseq_state(name), tmp_path / "a"))))
    found = states(FairseqUpstream(checkpoint=str(write(make(name), tmp_path / "b"))))
    for one_BTD, other_BTD in zip(found, expected, strict=True):
        assert torch.equal(one_BTD, other_BTD)


class Options(dict):
    """Pickled by name, as options of fairseq's are."""


class Evil:
    def __reduce__(self) -> Any:
        return os.system, ("touch was_run",)


def test_objects_of_fairseq_become_what_was_stored_in_them(tmp_path: Path) -> None:
    state = fairseq_state(LARGE)
    Options.__module__ = "fairseq.dataclass.configs"
    Options.__qualname__ = Options.__name__ = "Options"
    held = Options()
    held.seed = 1  # type: ignore[attr-defined]
    path = tmp_path / "with_objects.pt"
    with pytest.MonkeyPatch.context() as patch:
        import sys
        from types import ModuleType

        module = ModuleType("fairseq.dataclass.configs")
        module.Options = Options  # type: ignore[attr-defined]
        patch.setitem(sys.modules, "fairseq.dataclass.configs", module)
        patch.setitem(sys.modules, "fairseq", ModuleType("fairseq"))
        patch.setitem(sys.modules, "fairseq.dataclass", ModuleType("fairseq.dataclass"))
        torch.save({**state, "task_state": {"dictionaries": [held]}}, path)
    assert len(states(FairseqUpstream(checkpoint=str(path)))) == 4


def without(state: dict[str, Any], name: str) -> dict[str, Any]:
    return {**state, "model": {k: x for k, x in state["model"].items() if k != name}}


def with_option(state: dict[str, Any], **options: object) -> dict[str, Any]:
    return {**state, "cfg": {**state["cfg"], "model": {**state["cfg"]["model"], **options}}}


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda s: {**s, "extra_state": Evil()}, r"names (posix|nt)\.system, which no checkpoint"),
        (lambda s: {"a": torch.ones(1)}, "no weights under 'model'.*found: a"),
        (lambda s: {**s, "model": {"a": torch.ones(1)}}, "not wav2vec 2.0, XLSR or HuBERT"),
        (lambda s: {**s, "cfg": None}, "options lack 'layer_norm_first'"),
        (
            lambda s: {**s, "cfg": {**s["cfg"], "task": {"normalize": None}}},
            "options lack 'normalize'",
        ),
        (
            lambda s: without(s, "encoder.layers.1.fc1.bias"),
            r"1 weights are missing .*layers\.1\.feed_forward",
        ),
        (lambda s: without(s, "encoder.pos_conv.0.bias"), "'encoder.pos_conv.0.bias' is missing"),
        (
            lambda s: with_option(s, conv_feature_layers="f()"),
            "is 'f\\(\\)'; expected a sum of lists",
        ),
        (
            lambda s: with_option(s, conv_feature_layers="[(9, 10, 5)]"),
            "the weights are of other sizes",
        ),
        (
            lambda s: {
                **s,
                "model": {**s["model"], "encoder.layers.0.adapter.x": torch.ones(2)},
            },
            "'encoder.layers.0.adapter.x' has no place",
        ),
    ],
)
def test_what_is_no_such_checkpoint_is_refused_by_its_name(
    change, message: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    path = write(change(fairseq_state(LARGE)), tmp_path)
    with pytest.raises(ValueError, match=message) as caught:
        states(FairseqUpstream(checkpoint=str(path)))
    assert str(path) in str(caught.value)
    assert not (tmp_path / "was_run").exists()


def test_a_file_that_was_cut_off_or_is_none_is_named(tmp_path: Path) -> None:
    path = write(fairseq_state(LARGE), tmp_path)
    path.write_bytes(path.read_bytes()[:-2000])
    with pytest.raises(ValueError, match=r"checkpoint\.pt: not a checkpoint that can be read"):
        FairseqUpstream(checkpoint=str(path))
    with pytest.raises(ValueError, match="no such file"):
        FairseqUpstream(checkpoint=str(tmp_path / "none.pt"))
    with pytest.raises(ValueError, match="checkpoint is not given"):
        FairseqUpstream()


def test_a_layer_can_be_read_before_the_residual_connection(tmp_path: Path) -> None:
    """Beside a network whose blocks are taken apart by hand."""
    folder = save_family(FILES[LARGE], tmp_path / "hub")
    after = TransformersUpstream(checkpoint=str(folder))
    before = TransformersUpstream(checkpoint=str(folder), reading="before_residual")
    assert before.fingerprint() != after.fingerprint()
    wave_1N, length_1 = waves()[0][:1], waves()[1][:1]
    layers = before.encode(wave_1N, length_1).layers_BTD
    inputs = after.encode(wave_1N, length_1).layers_BTD
    assert len(layers) == after.num_layers
    assert torch.equal(layers[0], inputs[0])
    block = drawn_model(FILES[LARGE]).encoder.layers[0]
    with torch.no_grad():
        attended = inputs[0] + block.attention(block.layer_norm(inputs[0]))[0]
        added = block.feed_forward(block.final_layer_norm(attended))
    torch.testing.assert_close(layers[1], added, rtol=1e-5, atol=1e-5)
    torch.testing.assert_close(inputs[1], attended + added, rtol=1e-5, atol=1e-5)
    with pytest.raises(ValueError, match="reading is 'x'; expected one of block, before_residual"):
        TransformersUpstream(checkpoint=str(folder), reading="x")


@pytest.mark.parametrize("name", [n for n in FAMILIES if n not in ("xlsr_53", "wavlm_base_plus")])
@pytest.mark.parametrize("highest", [0, 1, 2])
def test_blocks_that_nobody_reads_are_not_run(name: str, highest: int, tmp_path: Path) -> None:
    folder = save_family(name, tmp_path)
    expected = states(TransformersUpstream(model=name, checkpoint=str(folder)))
    upstream = TransformersUpstream(model=name, checkpoint=str(folder))
    fingerprint = upstream.fingerprint()
    upstream.limit_layers(highest)
    found = states(upstream)
    network = upstream._network
    assert network is not None
    encoder = "encoder.transformer" if name.startswith("wavlm") else "encoder"
    assert len(network.get_submodule(encoder).layers) == highest  # pyright: ignore
    assert len(found) == highest + 1
    for one_BTD, other_BTD in zip(found, expected, strict=False):
        assert torch.equal(one_BTD, other_BTD)
    assert upstream.fingerprint() == fingerprint
