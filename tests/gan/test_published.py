"""Published generators, on files in their layouts: read as a slow reading of their papers does."""

from __future__ import annotations

import json
import shutil
from argparse import Namespace
from pathlib import Path

import numpy as np
import pytest
import torch
from omegaconf import OmegaConf
from safetensors.torch import save_file
from torch import Tensor

from gan.published import PublishedFile, PublishedGenerator
from tests.unsup_asr.upstreams.spoken_words import speak_words
from tests.unsup_asr.upstreams.transformers_checkpoints import SIZE, save_family
from unsup_asr.acoustic.posteriors import log_posteriors
from unsup_asr.cli import main
from unsup_asr.transcribe import load_model

DIM, COMPONENTS = SIZE["hidden_size"], 6
PHONES = ["AA", "B", "S", "T", "<SIL>"]
NUM_OUTPUTS = len(PHONES) + 4


def drawn(*shape: int) -> Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(sum(shape)))


def reborn_weights() -> dict[str, Tensor]:
    p = COMPONENTS
    return {
        "pca.weight": drawn(p, DIM),
        "pca.bias": drawn(p),
        "segmenter.conv1.weight": drawn(p, p, 7),
        "segmenter.conv1.bias": drawn(p),
        "segmenter.conv2.weight": drawn(p, p, 3),
        "segmenter.conv2.bias": drawn(p),
        "segmenter.conv3.weight": drawn(2, p, 1),
        "segmenter.conv3.bias": torch.tensor([0.5, -0.5]),
        "generator.proj.0.weight": drawn(NUM_OUTPUTS, p, 4),
    }


def write_reborn(folder: Path, weights: dict[str, Tensor], **options: object) -> Path:
    folder.mkdir(exist_ok=True)
    config = {"model_type": "reborn_uasr", "phones": PHONES, "generator_kernel": 4}
    config |= {"generator_stride": 1, "generator_bias": False, "generator_dilation": 1, **options}
    (folder / "config.json").write_text(json.dumps(config))
    torch.save(weights, folder / "pytorch_model.bin")
    return folder


def w2vu2_weights() -> dict[str, Tensor]:
    return {
        "generator.proj.1.weight": drawn(NUM_OUTPUTS, DIM, 9),
        "generator.bn.weight": torch.full((DIM,), 30.0),
        "generator.bn.bias": drawn(DIM),
        "generator.bn.running_mean": drawn(DIM),
        "generator.bn.running_var": drawn(DIM).square() + 100,
        "generator.bn.num_batches_tracked": torch.tensor(3),
        "generator.in_proj.weight": drawn(DIM, DIM) / 5,
        "generator.in_proj.bias": drawn(DIM),
        "discriminator.net.0.weight": drawn(3, NUM_OUTPUTS, 8),
    }


def write_fairseq(folder: Path, weights: dict[str, Tensor], **options: object) -> Path:
    folder.mkdir(exist_ok=True)
    model = {
        "_name": "wav2vec_u",
        "generator_stride": 3,
        "generator_kernel": 9,
        "generator_pad": -1,
    }
    model |= {"generator_batch_norm": 30, "generator_residual": True, **options}
    cfg = OmegaConf.create({"model": model, "task": {"_name": "unpaired_audio_text"}})
    path = folder / "checkpoint_best.pt"
    torch.save({"args": Namespace(x=1), "cfg": cfg, "model": weights}, path)
    (folder / "dict.phn.txt").write_text("".join(f"{phone} 1\n" for phone in PHONES))
    return path


def w2vu1_weights() -> dict[str, Tensor]:
    return {"generator.proj.1.weight": drawn(NUM_OUTPUTS, COMPONENTS, 4)}


W2VU1 = {
    "generator_stride": 1,
    "generator_kernel": 4,
    "generator_residual": False,
    "generator_batch_norm": 0,
}
NUM_CLUSTERS = 8


def write_prepared(folder: Path) -> Path:
    """As scripts/prepare_audio.sh names its files."""
    for name, array in {
        f"pca/{COMPONENTS}_pca_A": drawn(DIM, COMPONENTS),
        f"pca/{COMPONENTS}_pca_b": drawn(COMPONENTS),
        f"CLUS{NUM_CLUSTERS}/centroids": drawn(NUM_CLUSTERS, DIM),
    }.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        np.save(folder / f"{name}.npy", array.numpy())
    return folder


def slow_w2vu1(x: np.ndarray, prepared: Path, weight: np.ndarray) -> tuple[np.ndarray, list[int]]:
    """Logits of the joined segments, one more than there are; first frames of these."""
    centroids = np.load(prepared / f"CLUS{NUM_CLUSTERS}" / "centroids.npy")
    nearest = [int(((frame - centroids) ** 2).sum(1).argmin()) for frame in x]
    A, b = (np.load(prepared / "pca" / f"{COMPONENTS}_pca_{name}.npy") for name in "Ab")
    projected = x @ A + b
    starts = [t for t in range(len(x)) if t == 0 or nearest[t] != nearest[t - 1]]
    ends = [*starts[1:], len(x)]
    means = [projected[a:b].mean(0) for a, b in zip(starts, ends, strict=True)]
    joined = np.stack([np.mean(means[i : i + 2], axis=0) for i in range(0, len(means), 2)])
    return np.stack([taps(joined, weight, s - 2) for s in range(len(joined) + 1)]), starts[::2]


def taps(x: np.ndarray, weight: np.ndarray, first: int) -> np.ndarray:
    """One output of a convolution whose window begins at `first`; zeros outside."""
    total = np.zeros(weight.shape[0])
    for k in range(weight.shape[2]):
        if 0 <= first + k < len(x):
            total += weight[:, :, k] @ x[first + k]
    return total


def slow_reborn(x: np.ndarray, weights: dict[str, Tensor]) -> tuple[np.ndarray, list[int]]:
    """Logits of the segments, one more than there are; the first frame of each segment."""
    w = {name: tensor.double().numpy() for name, tensor in weights.items()}
    x = x @ w["pca.weight"].T + w["pca.bias"]
    h = x
    for name in ("conv1", "conv2", "conv3"):
        weight, bias = w[f"segmenter.{name}.weight"], w[f"segmenter.{name}.bias"]
        h = np.stack([taps(h, weight, t - weight.shape[2] // 2) + bias for t in range(len(h))])
        h = h if name == "conv3" else np.maximum(h, 0)
    starts = [0] + [t for t in range(1, len(h)) if h[t, 1] > h[t, 0]]
    means = np.stack([x[a:b].mean(0) for a, b in zip(starts, [*starts[1:], len(x)], strict=True)])
    weight = w["generator.proj.0.weight"]
    return np.stack([taps(means, weight, s - 2) for s in range(len(means) + 1)]), starts


def phones_of(logits: np.ndarray) -> list[str]:
    """The best of each output, equal neighbours joined, silence left out."""
    best = logits[:, 4:].argmax(1)
    joined = [i for n, i in enumerate(best) if n == 0 or i != best[n - 1]]
    return [PHONES[i] for i in joined if PHONES[i] != "<SIL>"]


def written(
    source: Path, out: Path, phones: Path | None = None, prepared: Path | None = None
) -> PublishedGenerator:
    options = (None if path is None else str(path) for path in (phones, prepared))
    given = PublishedFile(str(source), *options).write(out)
    assert given == PHONES[:-1]
    return PublishedGenerator(str(out))


def best_path(scores_TV: np.ndarray) -> list[str]:
    best = scores_TV.argmax(1)
    joined = [i for n, i in enumerate(best) if n == 0 or i != best[n - 1]]
    return [PHONES[i - 1] for i in joined if i]


@pytest.mark.parametrize("kind", ["pytorch_model.bin", "model.safetensors"])
def test_reborn_says_what_a_slow_reading_says(kind: str, tmp_path: Path) -> None:
    weights = reborn_weights()
    folder = write_reborn(tmp_path / "card", weights)
    if kind == "model.safetensors":
        (folder / "pytorch_model.bin").unlink()
        save_file(weights, folder / kind)
    network = written(folder, tmp_path / "out.safetensors")
    rng = np.random.default_rng(0)
    frames = {str(n): rng.standard_normal((n, DIM)).astype(np.float32) for n in (1, 4, 23, 60)}
    for utterance_id, found_TV in log_posteriors(network, frames).items():
        logits_SV, starts = slow_reborn(frames[utterance_id].astype(float), weights)
        assert len(found_TV) == len(frames[utterance_id]) + 1
        assert len(frames[utterance_id]) < 23 or 1 < len(starts) < len(frames[utterance_id])
        expected_SV = torch.from_numpy(logits_SV[:, 4:]).log_softmax(1).numpy()[:, [4, 0, 1, 2, 3]]
        rows = [*starts, len(frames[utterance_id])]
        np.testing.assert_allclose(found_TV[rows], expected_SV, atol=1e-4)
        assert best_path(found_TV) == phones_of(logits_SV)


def test_wav2vec_u_2_says_what_a_slow_reading_says(tmp_path: Path) -> None:
    weights = w2vu2_weights()
    path = write_fairseq(tmp_path / "fairseq", weights)
    network = written(path, tmp_path / "out.safetensors", path.parent / "dict.phn.txt")
    w = {name.removeprefix("generator."): x.double().numpy() for name, x in weights.items()}
    rng = np.random.default_rng(1)
    for num_frames in (1, 3, 40):
        x_TD = rng.standard_normal((num_frames, DIM)).astype(np.float32)
        scale = w["bn.weight"] / np.sqrt(w["bn.running_var"] + 1e-5)
        h = (x_TD - w["bn.running_mean"]) * scale + w["bn.bias"]
        h = h + h @ w["in_proj.weight"].T + w["in_proj.bias"]
        rows = range(0, num_frames, 3)
        logits = np.stack([taps(h, w["proj.1.weight"], t - 4) for t in rows])
        (found_TV,) = log_posteriors(network, {"u": x_TD}).values()
        expected = torch.from_numpy(logits[:, 4:]).log_softmax(1).numpy()[:, [4, 0, 1, 2, 3]]
        np.testing.assert_allclose(found_TV, expected, rtol=1e-3, atol=2e-3)


def test_wav2vec_u_1_says_what_a_slow_reading_says(tmp_path: Path) -> None:
    weights = w2vu1_weights()
    path = write_fairseq(tmp_path / "fairseq", weights, **W2VU1)
    prepared = write_prepared(tmp_path / "prepared")
    network = written(path, tmp_path / "out", path.parent / "dict.phn.txt", prepared)
    shutil.rmtree(prepared)
    write_prepared(tmp_path / "again")
    rng = np.random.default_rng(2)
    frames = {str(n): rng.standard_normal((n, DIM)).astype(np.float32) for n in (1, 2, 5, 24, 61)}
    for utterance_id, found_TV in log_posteriors(network, frames).items():
        weight = weights["generator.proj.1.weight"].double().numpy()
        logits_SV, starts = slow_w2vu1(frames[utterance_id], tmp_path / "again", weight)
        assert len(found_TV) == len(frames[utterance_id]) + 1
        assert len(frames[utterance_id]) < 24 or 4 < len(starts) < len(frames[utterance_id]) - 4
        expected_SV = torch.from_numpy(logits_SV[:, 4:]).log_softmax(1).numpy()[:, [4, 0, 1, 2, 3]]
        rows = [*starts, len(frames[utterance_id])]
        np.testing.assert_allclose(found_TV[rows], expected_SV, atol=1e-4)
        assert best_path(found_TV) == phones_of(logits_SV)


def test_one_transcribes_with_wav2vec_u_1(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    upstream = save_family("wav2vec2_large_lv60k", tmp_path / "upstream")
    (audio, *_) = [utterance.audio for utterance in speak_words(tmp_path).utterances]
    path = write_fairseq(tmp_path / "fairseq", w2vu1_weights(), **W2VU1)
    phones, out = path.parent / "dict.phn.txt", tmp_path / "model"
    command = ["import", str(path), "--phones", str(phones), "--out", str(out), "--layer", "2"]
    command += ["--upstream", str(upstream)]
    assert main(command) == 1
    assert "(--prepared)" in capsys.readouterr().err
    assert not out.exists()
    assert main([*command, "--prepared", str(write_prepared(tmp_path / "prepared"))]) == 0
    assert set(load_model(out).transcribe(audio).phones) <= set(PHONES[:-1])


def test_what_was_prepared_for_another_generator_is_named(tmp_path: Path) -> None:
    path = write_fairseq(tmp_path / "fairseq", w2vu1_weights(), **W2VU1)
    phones, out = path.parent / "dict.phn.txt", tmp_path / "out.safetensors"
    prepared = tmp_path / "prepared"

    def refused(message: str, source: Path = path) -> None:
        with pytest.raises(ValueError, match=message):
            PublishedFile(str(source), str(phones), str(prepared)).write(out)
        assert not out.exists()

    refused("prepared: no such folder; expected what fairseq's")
    prepared.mkdir()
    refused(rf"prepared: none of pca/{COMPONENTS}_pca_A\.npy; expected one")
    write_prepared(prepared)
    other = prepared / "CLUS3" / "centroids.npy"
    other.parent.mkdir()
    np.save(other, np.zeros((3, DIM), np.float32))
    refused(r"2: CLUS3/centroids\.npy, CLUS8/centroids\.npy of CLUS\*/centroids\.npy; expected one")
    shutil.rmtree(other.parent)
    np.save(prepared / "CLUS8" / "centroids.npy", np.zeros((8, DIM + 1), np.float32))
    refused(rf"expected \(clusters, {DIM}\).*of different upstreams")
    np.save(prepared / "CLUS8" / "centroids.npy", np.full((8, DIM), np.nan, np.float32))
    refused(r"clusters\.centroids is not finite")
    np.save(prepared / "pca" / f"{COMPONENTS}_pca_b.npy", np.zeros(3, np.float32))
    refused(r"beside a b of \(3,\); expected")
    (prepared / "pca" / f"{COMPONENTS}_pca_A.npy").write_bytes(b"no array")
    refused(r"pca_A\.npy")
    refused("leave .*prepared out", write_reborn(tmp_path / "card", reborn_weights()))
    refused("leave .*prepared out", write_fairseq(tmp_path / "fairseq", w2vu2_weights()))


def test_one_transcribes_with_an_imported_generator(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    upstream = save_family("wav2vec2_large_lv60k", tmp_path / "upstream")
    words = speak_words(tmp_path)
    card = write_reborn(tmp_path / "card", reborn_weights())
    out = tmp_path / "model"
    command = ["import", str(card), "--upstream", str(upstream), "--out", str(out)]
    assert main([*command, "--layer", "4"]) == 1
    assert "--layer is 4; expected 0 to 3" in capsys.readouterr().err
    assert main([*command, "--layer", "2"]) == 0
    narrow = write_reborn(
        tmp_path / "narrow", {**reborn_weights(), "pca.weight": drawn(6, DIM + 1)}
    )
    other = [narrow if part == str(card) else part for part in command]
    assert main([*map(str, other[:-1]), str(tmp_path / "other"), "--layer", "2"]) == 1
    wide = f"the generator reads frames of {DIM + 1} dims, those of"
    assert wide in capsys.readouterr().err
    assert not (tmp_path / "other").exists()
    shutil.rmtree(card)
    found = [load_model(out).transcribe(u.audio) for u in words.utterances]
    assert any(hypothesis.phones for hypothesis in found)
    for hypothesis, utterance in zip(found, words.utterances, strict=True):
        assert set(hypothesis.phones) <= set(PHONES[:-1])
        assert all(0 <= end <= utterance.duration_s + 0.03 for end in hypothesis.ends_s)
    capsys.readouterr()
    assert main(["transcribe", str(out), words.utterances[0].audio, "--format", "txt"]) == 0
    assert capsys.readouterr().out.split()[1:] == list(found[0].phones)
    assert main([*command, "--layer", "2"]) == 2
    assert "there already" in capsys.readouterr().err


def test_other_files_are_refused_by_name(tmp_path: Path) -> None:
    weights, out = reborn_weights(), tmp_path / "out.safetensors"

    def refused(source: Path, message: str, phones: Path | None = None) -> None:
        with pytest.raises(ValueError, match=message):
            PublishedFile(str(source), None if phones is None else str(phones)).write(out)
        assert not out.exists()

    refused(tmp_path / "none", "none: no such file or folder")
    card = tmp_path / "card"
    refused(write_reborn(card, weights, model_type="wav2vec2"), "model_type is 'wav2vec2'")
    refused(write_reborn(card, weights, phones=[]), "phones is")
    refused(write_reborn(card, weights, phones=PHONES[1:]), r"conv\.weight is of shape")
    refused(write_reborn(card, weights, generator_dilation=2), "generator_dilation is 2")
    missing = {k: x for k, x in weights.items() if k != "segmenter.conv2.bias"}
    refused(write_reborn(card, missing), r"no weight 'segmenter\.conv2\.bias'")
    broken = {**weights, "pca.bias": torch.full((COMPONENTS,), torch.nan)}
    refused(write_reborn(card, broken), r"pca\.bias is not finite")
    (card / "pytorch_model.bin").unlink()
    refused(card, "no weights; expected model.safetensors or pytorch_model.bin")
    path = write_fairseq(tmp_path / "fairseq", w2vu2_weights())
    phones = path.parent / "dict.phn.txt"
    refused(path, r"give its dict\.phn\.txt as phones")
    write_fairseq(path.parent, w2vu1_weights(), **W2VU1)
    refused(path, r"wav2vec-U 1\.0, which reads pooled segments", phones)
    path.write_bytes(path.read_bytes()[:400])
    refused(path, "not a checkpoint that can be read", phones)


class Runs:
    def __reduce__(self):
        return Path.touch, (Path("ran"),)


def test_nothing_in_a_file_is_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    card = write_reborn(tmp_path / "card", reborn_weights())
    torch.save({"x": Runs()}, card / "pytorch_model.bin")
    with pytest.raises(ValueError, match="to load it could run anybody's code"):
        PublishedFile(str(card)).write(tmp_path / "out.safetensors")
    assert not (tmp_path / "ran").exists()
