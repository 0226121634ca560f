"""Checkpoints of transformers, saved as the hub has them and read back offline."""

from __future__ import annotations

import shutil
import sys
from functools import cache
from pathlib import Path

import pytest
import torch
import transformers

from tests.contracts.upstream import UpstreamContract
from tests.unsup_asr.upstreams.transformers_checkpoints import (
    FAMILIES,
    change_config,
    drawn_model,
    save,
    save_family,
)
from unsup_asr.protocols import Upstream
from unsup_asr.upstreams.transformers_hub import TransformersUpstream


@pytest.fixture(scope="module")
def folders(tmp_path_factory: pytest.TempPathFactory):
    root = tmp_path_factory.mktemp("transformers")
    return cache(lambda name: save_family(name, root / name))


# One of each architecture; the other names differ in size alone.
DISTINCT = (
    "wav2vec2_base",
    "wav2vec2_large_lv60k",
    "distilhubert",
    "hubert_large",
    "wavlm_base",
    "wavlm_large",
    "data2vec_audio_base",
)


@pytest.mark.parametrize("name", DISTINCT)
class TestContract(UpstreamContract):
    @pytest.fixture(autouse=True)
    def checkpoint(self, name: str, folders) -> None:
        self.name, self.folder = name, folders(name)

    def make(self) -> Upstream:
        return TransformersUpstream(model=self.name, checkpoint=str(self.folder))


def noise(*lengths: int) -> tuple[torch.Tensor, torch.Tensor]:
    waves = torch.randn(len(lengths), max(lengths), generator=torch.Generator().manual_seed(0))
    return 0.1 * waves + 0.03, torch.tensor(lengths)


@pytest.mark.parametrize("name", FAMILIES)
def test_states_are_those_of_the_library_layer_by_layer(name: str, folders):
    waves_BN, lengths_B = noise(9000)
    waves_BN *= 0.01  # so quiet that the floor of the variance counts
    upstream = TransformersUpstream(model=name, checkpoint=str(folders(name)))
    layers = upstream.encode(waves_BN, lengths_B).layers_BTD
    extractor = transformers.AutoFeatureExtractor.from_pretrained(folders(name))
    inputs = extractor(waves_BN[0].numpy(), sampling_rate=16000, return_tensors="pt")
    model = transformers.AutoModel.from_pretrained(folders(name)).eval()
    with torch.no_grad():
        output = model(inputs.input_values, output_hidden_states=True)
    expected = [*output.hidden_states[:-1], output.last_hidden_state]
    assert len(layers) == len(expected) == upstream.num_layers
    for found_1TD, expected_1TD in zip(layers, expected, strict=True):
        torch.testing.assert_close(found_1TD, expected_1TD, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("name", DISTINCT)
def test_what_blocks_add_is_that_of_the_library(name: str, folders):
    waves_BN, lengths_B = noise(6000)
    upstream = TransformersUpstream(
        checkpoint=str(folders(name)), reading="before_residual", normalize_waveform=False
    )
    found = upstream.encode(waves_BN, lengths_B).layers_BTD
    model = transformers.AutoModel.from_pretrained(folders(name)).eval()
    added: list[torch.Tensor] = []
    for block in model.encoder.layers:
        block.feed_forward.register_forward_hook(lambda _m, _i, output: added.append(output))
    with torch.no_grad():
        model(waves_BN)
    assert len(found) == len(added) + 1
    for found_1TD, added_1TD in zip(found[1:], added, strict=True):
        torch.testing.assert_close(found_1TD, added_1TD, rtol=1e-5, atol=1e-5)


def test_a_checkpoint_is_found_in_the_hubs_cache_under_its_short_name(
    folders, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path))
    repository = tmp_path / "models--microsoft--wavlm-base"
    with pytest.raises(ValueError, match=r"microsoft/wavlm-base .*not in the hub's cache.*hf down"):
        TransformersUpstream(model="wavlm_base")
    shutil.copytree(folders("wavlm_base"), repository / "snapshots" / "0123abc")
    (repository / "refs").mkdir()
    (repository / "refs" / "main").write_text("0123abc")
    found = TransformersUpstream(model="wavlm_base")
    local = TransformersUpstream(checkpoint=str(folders("wavlm_base")))
    assert found.fingerprint() == local.fingerprint()
    for x, y in zip(
        found.encode(*noise(4000)).layers_BTD, local.encode(*noise(4000)).layers_BTD, strict=True
    ):
        assert torch.equal(x, y)


def old_format(folder: Path, new_folder: Path) -> Path:
    """As most published checkpoints are: pytorch_model.bin, with a pretraining head, weight norm
    under its old names, and no masked_spec_embed.
    """
    model = drawn_model("wav2vec2_base", kind="ForPreTraining")
    model.wav2vec2.load_state_dict(
        transformers.Wav2Vec2Model.from_pretrained(folder).state_dict(), strict=True
    )
    weights = {
        key.replace("parametrizations.weight.original0", "weight_g").replace(
            "parametrizations.weight.original1", "weight_v"
        ): value
        for key, value in model.state_dict().items()
        if "masked_spec_embed" not in key
    }
    assert any(key.endswith("weight_g") for key in weights)
    shutil.copytree(folder, new_folder)
    (new_folder / "model.safetensors").unlink()
    torch.save(weights, new_folder / "pytorch_model.bin")
    return new_folder


def test_an_old_checkpoint_with_a_pretraining_head_gives_the_same_states(folders, tmp_path: Path):
    new = TransformersUpstream(checkpoint=str(folders("wav2vec2_base")))
    folder = old_format(folders("wav2vec2_base"), tmp_path / "old")
    old = TransformersUpstream(model="wav2vec2_base", checkpoint=str(folder))
    for x, y in zip(
        old.encode(*noise(4000)).layers_BTD, new.encode(*noise(4000)).layers_BTD, strict=True
    ):
        torch.testing.assert_close(x, y, rtol=1e-6, atol=1e-6)
    assert old.fingerprint() != new.fingerprint()


@pytest.mark.parametrize("name", ["wav2vec2_base", "wavlm_large", "data2vec_audio_base"])
def test_half_precision_is_near_and_comes_in_its_type(name: str, folders):
    waves_BN, lengths_B = noise(8000, 5000)
    exact = TransformersUpstream(checkpoint=str(folders(name))).encode(waves_BN, lengths_B)
    half = TransformersUpstream(checkpoint=str(folders(name)), dtype="bfloat16")
    for x, y in zip(half.encode(waves_BN, lengths_B).layers_BTD, exact.layers_BTD, strict=True):
        assert x.dtype == torch.bfloat16
        assert 0 < (x.float() - y).norm() / y.norm() < 0.03
    with pytest.raises(ValueError, match="dtype is 'half'; expected one of float32, bfloat16"):
        TransformersUpstream(checkpoint=str(folders(name)), dtype="half")


def test_the_waveform_is_normalised_where_the_checkpoint_says_so(folders):
    waves_BN, lengths_B = noise(4000)
    loud_BN = 3 * waves_BN + 0.1
    for name, is_normalised in (("wav2vec2_base", True), ("wavlm_base", False)):
        upstream = TransformersUpstream(checkpoint=str(folders(name)))
        assert upstream.normalize_waveform is is_normalised
        first, second = (upstream.encode(x, lengths_B).layers_BTD[-1] for x in (waves_BN, loud_BN))
        assert torch.allclose(first, second, atol=1e-3) is is_normalised
    chosen = TransformersUpstream(checkpoint=str(folders("wavlm_base")), normalize_waveform=True)
    first, second = (chosen.encode(x, lengths_B).layers_BTD[-1] for x in (waves_BN, loud_BN))
    assert torch.allclose(first, second, atol=1e-3)


def test_the_fingerprint_follows_weights_and_options_not_the_place(folders, tmp_path: Path):
    folder = folders("wavlm_base")
    shutil.copytree(folder, tmp_path / "copy")
    save(drawn_model("wavlm_base_plus"), tmp_path / "other", do_normalize=False)

    def printed(path: Path, **options) -> str:
        return TransformersUpstream(checkpoint=str(path), **options).fingerprint()

    assert printed(tmp_path / "copy") == printed(folder) == printed(folder, model="wavlm_base")
    others = [
        printed(folder),
        printed(folder, dtype="bfloat16"),
        printed(folder, normalize_waveform=True),
        printed(tmp_path / "other"),
    ]
    assert len(set(others)) == 4


def truncate(path: Path) -> None:
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


def spoil(folder: Path, what: str) -> None:
    """One way in which a folder can be bad."""
    weights = folder / "model.safetensors"
    if what == "no folder":
        shutil.rmtree(folder)
    elif what == "no weights":
        weights.unlink()
    elif what == "truncated":
        truncate(weights)
    elif what == "truncated bin":
        torch.save(drawn_model("wav2vec2_base").state_dict(), folder / "pytorch_model.bin")
        weights.unlink()
        truncate(folder / "pytorch_model.bin")
    elif what == "not weights":
        weights.unlink()
        (folder / "pytorch_model.bin").write_text("<html>404</html>")
    elif what == "config cut":
        truncate(folder / "config.json")
    elif what == "another network":
        change_config(folder, model_type="whisper")
    elif what == "another family":
        change_config(folder, model_type="hubert")
    elif what == "wider":
        change_config(folder, hidden_size=48)
    elif what == "deeper":
        change_config(folder, num_hidden_layers=5)
    elif what == "no preprocessor":
        (folder / "preprocessor_config.json").unlink()
    elif what == "rate":
        (folder / "preprocessor_config.json").write_text(
            '{"do_normalize": true, "sampling_rate": "16k"}'
        )


@pytest.mark.parametrize(
    ("what", "message"),
    [
        ("no folder", "has no config.json; checkpoint must be a folder"),
        ("no weights", "has no weights; expected model.safetensors or pytorch_model.bin"),
        ("truncated", "weights cannot be read .*get the checkpoint's files again"),
        ("truncated bin", "weights cannot be read .*get the checkpoint's files again"),
        ("not weights", "weights cannot be read .*get the checkpoint's files again"),
        ("config cut", "config.json: not JSON"),
        ("another network", "model_type is 'whisper'; expected one of wav2vec2, hubert, wavlm"),
        ("another family", "model_type is 'hubert', but model 'wav2vec2_base' is of type 'wav2vec"),
        ("wider", "weights cannot be read|weights of Wav2Vec2Model are missing"),
        ("deeper", r"weights of Wav2Vec2Model are missing \(first: 'encoder.layers.3"),
        ("no preprocessor", "does not say do_normalize.*or set normalize_waveform"),
        ("rate", "sampling_rate is '16k'; expected a number of Hz"),
    ],
)
def test_a_bad_folder_is_answered_with_what_is_wrong(
    what: str, message: str, folders, tmp_path: Path
):
    folder = tmp_path / "bad"
    shutil.copytree(folders("wav2vec2_base"), folder)
    spoil(folder, what)
    with pytest.raises(ValueError, match=message):
        TransformersUpstream(model="wav2vec2_base", checkpoint=str(folder)).encode(*noise(4000))


def test_without_a_usable_name_the_short_names_are_listed():
    with pytest.raises(ValueError, match=r"neither model nor checkpoint given.*wavlm_large"):
        TransformersUpstream()
    with pytest.raises(ValueError, match=r"model is 'wavlm_huge'. Did you mean 'wavlm_large'"):
        TransformersUpstream(model="wavlm_huge")


def test_without_the_package_the_pip_command_is_named(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setitem(sys.modules, "transformers", None)
    with pytest.raises(ValueError, match=r"pip install 'unsup-asr\[transformers\]'"):
        TransformersUpstream(model="wavlm_base")


@pytest.mark.parametrize(
    ("waves", "lengths", "message"),
    [
        (torch.zeros(1, 399), [399], r"399 samples \(0.0249 s\) is shorter than one frame of 400"),
        (torch.zeros(1, 4000, dtype=torch.int16), [4000], "waveforms are torch.int16"),
        (torch.zeros(4000), [4000], r"of shape \(4000,\); expected"),
        (torch.zeros(2, 4000), [4000], "expected one whole number of samples for each of 2"),
        (torch.zeros(1, 4000), [4001], "a length of 4001 samples for waveforms padded to 4000"),
        (torch.zeros(0, 4000), [], "a batch of 0 waveforms"),
    ],
)
def test_waves_that_are_not_as_promised_are_refused(
    waves: torch.Tensor, lengths: list[int], message: str, folders
):
    upstream = TransformersUpstream(checkpoint=str(folders("wav2vec2_base")))
    with pytest.raises(ValueError, match=message):
        upstream.encode(waves, torch.tensor(lengths, dtype=torch.long))
