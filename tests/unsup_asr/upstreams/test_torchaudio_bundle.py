"""torchaudio's bundles, made small, with drawn weights saved as the published state dicts are."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
import transformers
from torch import nn
from torchaudio import pipelines
from torchaudio.models import wav2vec2_model, wavlm_model
from torchaudio.models.wav2vec2.utils import import_huggingface_model

from tests.contracts.upstream import UpstreamContract
from tests.unsup_asr.upstreams.transformers_checkpoints import save_family
from unsup_asr.protocols import Upstream
from unsup_asr.upstreams.registry import by_name as upstream_by_name
from unsup_asr.upstreams.torchaudio_bundle import BUNDLES, TorchaudioUpstream
from unsup_asr.upstreams.transformers_hub import TransformersUpstream

# One of each architecture; the other bundles differ in size alone.
DISTINCT = ("WAV2VEC2_BASE", "WAV2VEC2_LARGE_LV60K", "HUBERT_BASE", "WAVLM_BASE", "WAVLM_LARGE")
SIZE = {
    "encoder_embed_dim": 24,
    "encoder_pos_conv_kernel": 16,
    "encoder_pos_conv_groups": 4,
    "encoder_num_layers": 3,
    "encoder_num_heads": 4,
    "encoder_ff_interm_features": 32,
}


@pytest.fixture(autouse=True)
def small_bundles(monkeypatch: pytest.MonkeyPatch) -> None:
    """Every bundle as published but for its width and depth."""
    for name in BUNDLES.values():
        bundle = getattr(pipelines, name)
        layers = [(16, kernel, stride) for _, kernel, stride in _convolutions(bundle)]
        small = {**bundle._params, **SIZE, "extractor_conv_layer_config": layers}
        monkeypatch.setattr(bundle, "_params", small)


def _convolutions(bundle: Any) -> list[tuple[int, int, int]]:
    return bundle._params["extractor_conv_layer_config"]


def drawn_model(name: str) -> Any:
    torch.manual_seed(sum(name.encode()))
    bundle = getattr(pipelines, name)
    model = (wavlm_model if bundle._model_type == "WavLM" else wav2vec2_model)(**bundle._params)
    for parameter in model.parameters():
        if parameter.ndim == 1:
            nn.init.normal_(parameter, mean=float(parameter.detach().mean()), std=0.2)
    return model.eval()


def save_weights(name: str, path: Path) -> Path:
    """A state dict with the positional convolution's weight norm as published checkpoints have."""
    weights = drawn_model(name).state_dict()
    old_names = {"original0": "weight_g", "original1": "weight_v"}
    for new, old in old_names.items():
        key = f"encoder.transformer.pos_conv_embed.conv.parametrizations.weight.{new}"
        weights[f"encoder.transformer.pos_conv_embed.conv.{old}"] = weights.pop(key)
    torch.save(weights, path)
    return path


def noise(*lengths: int) -> tuple[torch.Tensor, torch.Tensor]:
    waves = torch.randn(len(lengths), max(lengths), generator=torch.Generator().manual_seed(0))
    return 0.01 * waves + 0.003, torch.tensor(lengths)


@pytest.mark.parametrize("name", DISTINCT)
class TestContract(UpstreamContract):
    @pytest.fixture(autouse=True)
    def checkpoint(self, name: str, tmp_path: Path) -> None:
        self.name, self.path = name, save_weights(name, tmp_path / "weights.pth")

    def make(self) -> Upstream:
        return TorchaudioUpstream(model=self.name, checkpoint=str(self.path))


@pytest.mark.parametrize("name", BUNDLES.values())
def test_states_are_those_of_the_bundle_layer_by_layer(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    """`get_model` reads torch.hub's folder, and so does the upstream without a checkpoint."""
    bundle = getattr(pipelines, name)
    monkeypatch.setattr(torch.hub, "get_dir", lambda: str(tmp_path))
    (tmp_path / "checkpoints").mkdir()
    save_weights(name, tmp_path / "checkpoints" / Path(bundle._path).name)
    library = bundle.get_model()
    waves_BN, lengths_B = noise(9000)
    upstream = upstream_by_name(f"torchaudio_{name.lower()}")()
    states = upstream.encode(waves_BN, lengths_B).layers_BTD
    with torch.no_grad():
        expected, _ = library.extract_features(waves_BN)
        last, _ = library(waves_BN)
    if bundle._params["encoder_layer_norm_first"]:
        expected[-1] = last
    assert len(states) == upstream.num_layers == len(expected) + 1
    for found_BTD, expected_BTD in zip(states[1:], expected, strict=True):
        torch.testing.assert_close(found_BTD, expected_BTD, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("reading", ["block", "before_residual"])
@pytest.mark.parametrize("name", ["wav2vec2_base", "wav2vec2_large_lv60k", "wavlm_base"])
def test_the_same_weights_give_the_same_states_through_transformers(
    name: str, reading: str, tmp_path: Path
):
    """The first state too, which torchaudio itself does not give."""
    theirs = TransformersUpstream(
        checkpoint=str(save_family(name, tmp_path / name)),
        normalize_waveform=False,
        reading=reading,
    )
    original = transformers.AutoModel.from_pretrained(tmp_path / name)
    torch.save(import_huggingface_model(original).state_dict(), tmp_path / "weights.pth")
    ours = TorchaudioUpstream(
        model=name.upper(),
        checkpoint=str(tmp_path / "weights.pth"),
        normalize_waveform=False,
        reading=reading,
    )
    waves = noise(9000, 6000)
    for x, y in zip(ours.encode(*waves).layers_BTD, theirs.encode(*waves).layers_BTD, strict=True):
        torch.testing.assert_close(x, y, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("highest", [0, 1, 2, 3])
@pytest.mark.parametrize("name", ["WAV2VEC2_BASE", "WAV2VEC2_LARGE_LV60K", "WAVLM_LARGE"])
def test_blocks_that_nobody_reads_are_not_run(name: str, highest: int, tmp_path: Path):
    path = str(save_weights(name, tmp_path / "weights.pth"))
    whole, part = (TorchaudioUpstream(model=name, checkpoint=path) for _ in range(2))
    part.limit_layers(highest)
    expected, found = (upstream.encode(*noise(6000, 4000)).layers_BTD for upstream in (whole, part))
    assert len(found) == highest + 1
    assert all(torch.equal(x, y) for x, y in zip(found, expected, strict=False))
    assert part._network is not None
    assert len(part._network.get_submodule("encoder.transformer").layers) == highest  # pyright: ignore


def test_half_precision_is_near_and_comes_in_its_type(tmp_path: Path):
    for name in ("WAV2VEC2_BASE", "WAVLM_LARGE"):
        path = str(save_weights(name, tmp_path / f"{name}.pth"))
        waves = noise(9000, 5000)
        exact = TorchaudioUpstream(model=name, checkpoint=path).encode(*waves)
        half = TorchaudioUpstream(model=name, checkpoint=path, dtype="bfloat16").encode(*waves)
        for x, y in zip(half.layers_BTD, exact.layers_BTD, strict=True):
            assert x.dtype == torch.bfloat16
            assert 0 < (x.float() - y).norm() / y.norm() < 0.03


def test_the_fingerprint_follows_the_weights_and_the_bundle(tmp_path: Path):
    base, other = (
        str(save_weights(name, tmp_path / f"{name}.pth"))
        for name in ("WAV2VEC2_BASE", "HUBERT_BASE")
    )
    prints = [
        TorchaudioUpstream(model="WAV2VEC2_BASE", checkpoint=base),
        TorchaudioUpstream(model="WAV2VEC2_BASE", checkpoint=other),
        TorchaudioUpstream(model="WAV2VEC2_LARGE_LV60K", checkpoint=base),
        TorchaudioUpstream(model="WAV2VEC2_BASE", checkpoint=base, normalize_waveform=True),
        TorchaudioUpstream(model="WAV2VEC2_BASE", checkpoint=base, reading="before_residual"),
    ]
    assert len({upstream.fingerprint() for upstream in prints}) == 5


def test_what_is_missing_is_named_with_where_it_is_published(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(torch.hub, "get_dir", lambda: str(tmp_path))
    with pytest.raises(
        ValueError, match=r"wavlm_large.pth does not exist.*Get https://.*/wavlm_la"
    ):
        TorchaudioUpstream(model="torchaudio_wavlm_large")
    with pytest.raises(ValueError, match="no such file; checkpoint is a state dict"):
        TorchaudioUpstream(model="WAVLM_LARGE", checkpoint=str(tmp_path / "none.pth"))
    with pytest.raises(ValueError, match=r"model is 'WAVLM'; expected a bundle.*WAVLM_BASE_PLUS"):
        TorchaudioUpstream(model="WAVLM")


class Unsafe:
    """What only an unpickler that runs code would read."""


@pytest.mark.parametrize("what", ["another network", "truncated", "text", "a list", "code"])
def test_a_bad_state_dict_is_refused(what: str, tmp_path: Path):
    path = save_weights(
        "WAVLM_BASE" if what == "another network" else "HUBERT_BASE", tmp_path / "w"
    )
    if what == "truncated":
        path.write_bytes(path.read_bytes()[:2000])
    elif what == "text":
        path.write_text("<html>404</html>")
    elif what == "a list":
        torch.save([torch.zeros(3)], path)
    elif what == "code":
        torch.save({"model": Unsafe()}, path)
    upstream = TorchaudioUpstream(model="HUBERT_BASE", checkpoint=str(path))
    with pytest.raises(ValueError, match="w is not a state dict of torchaudio's HUBERT_BASE"):
        upstream.encode(*noise(4000))
