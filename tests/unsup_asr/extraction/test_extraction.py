"""Extraction: what shards hold, what a dying worker loses, and what is wrong with whose data."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import soundfile
import torch

from tests.unsup_asr.tiny_upstream import TinyUpstream
from unsup_asr.extraction.launchers.local import LocalProcesses, ThisProcess
from unsup_asr.extraction.launchers.submitit_jobs import SubmititJobs
from unsup_asr.extraction.plan import Extraction, extract, plan_shards
from unsup_asr.extraction.worker import chosen_layers, length_batches
from unsup_asr.formats.sharded import ShardedArray, write_index
from unsup_asr.protocols import Launcher
from unsup_asr.speech.cutting import cut_audio
from unsup_asr.types import Utterance

RATE = 16000
LENGTHS = (8000, 1000, 5000, 12000, 1361, 9000, 7000, 6000, 4000, 3000)  # 1000: too short
LAUNCHERS = {
    "processes": LocalProcesses(num_workers=2),
    "submitit": SubmititJobs(
        cluster="local", num_jobs=2, gpus_per_node=0, cpus_per_task=1, poll_seconds=0.1
    ),
}


def utterances(folder: Path) -> list[Utterance]:
    folder.mkdir(exist_ok=True)
    rng = np.random.default_rng(0)
    made = []
    for number, length in enumerate(LENGTHS):
        path = folder / f"u{number}.wav"
        soundfile.write(path, rng.normal(0, 0.1, length), RATE, subtype="PCM_16")
        made.append(Utterance(f"u{number}", str(path), "s", length / RATE))
    return made


def extraction(folder: Path, **options: object) -> Extraction:
    """Four shards of a batch or a few each."""
    weights = folder / "weights.txt"
    weights.write_text("1.0")
    upstream = {
        "_target_": "tests.unsup_asr.tiny_upstream.TinyUpstream",
        "weights": str(weights),
        **options,
    }
    return Extraction(
        upstream=upstream,
        layers=[0, 2],
        device="cpu",
        batch_seconds=0.6,
        out=str(folder / "out"),
        work=str(folder / "out" / "work"),
        shards=tuple(plan_shards(utterances(folder / "audio"), split="train", shard_seconds=0.6)),
    )


def with_a_pause(folder: Path, job: Extraction) -> Extraction:
    """The job, whose every recording now has a pause of zeros, which is to be cut out."""
    for path in sorted((folder / "audio").glob("*.wav")):
        samples, rate = soundfile.read(path, dtype="float32")
        pause = np.zeros(4800, np.float32)
        soundfile.write(path, np.concatenate([samples, pause, samples]), rate, subtype="FLOAT")
    silence = {"_target_": "segmentation.silence.EnergySilence", "max_run_frames": 4}
    return replace(job, silence={**silence, "keep_frames": 2})


def layer(job: Extraction, index: int) -> ShardedArray:
    folder = Path(job.out) / "train"
    order = [u.id for shard in job.shards for u in shard.utterances]
    write_index(folder, [shard.name for shard in job.shards], f"layer_{index}", order)
    return ShardedArray.open(folder, f"layer_{index}")


def expected(job: Extraction, index: int) -> Mapping[str, np.ndarray]:
    upstream = TinyUpstream(weights=str(job.upstream["weights"]))
    found = {}
    for utterance in [u for shard in job.shards for u in shard.utterances]:
        samples, _ = soundfile.read(utterance.audio, dtype="float32")
        if len(samples) >= 1360:
            output = upstream.encode(torch.from_numpy(samples)[None], torch.tensor([len(samples)]))
            found[utterance.id] = output.layers_BTD[index][0].half().numpy()
    return found


def stamps(job: Extraction) -> dict[str, int]:
    values = Path(job.out).glob("train/*/layer_0/values.npy")
    return {path.parents[1].name: path.stat().st_mtime_ns for path in values}


def test_one_pass_gives_the_layers_asked_for_in_the_order_of_the_manifest(tmp_path: Path) -> None:
    job = extraction(tmp_path)
    assert len(job.shards) >= 4
    extract(job, ThisProcess(), attempts=1)
    for index in (0, 2):
        found, right = layer(job, index), expected(job, index)
        assert list(found) == list(right)
        assert len(found) == len(LENGTHS) - 1
        for utterance_id in right:
            assert found[utterance_id].dtype == np.float16
            np.testing.assert_allclose(found[utterance_id], right[utterance_id], atol=2e-3)
            assert found.length(utterance_id) == len(right[utterance_id])
    assert not (Path(job.out) / "work").exists()
    assert not list(Path(job.out).glob("train/*/layer_1"))


@pytest.mark.parametrize("launcher", LAUNCHERS.values(), ids=LAUNCHERS)
def test_a_killed_worker_loses_the_shard_it_was_at_and_no_other(
    tmp_path: Path, launcher: Launcher
) -> None:
    job = extraction(tmp_path, died=str(tmp_path / "died"), dies_at=3)
    with pytest.raises(ValueError, match=r"of \d shards are missing after 1 attempts"):
        extract(job, launcher, attempts=1)
    assert (tmp_path / "died").exists()
    done, missing = stamps(job), job.missing()
    assert 1 <= len(missing) < len(job.shards)
    scratch = list((Path(job.work) / "scratch").iterdir())
    assert any(missing[0].name in folder.name for folder in scratch)  # half-written, not in place
    extract(job, ThisProcess(), attempts=1)
    assert {name: stamps(job)[name] for name in done} == done
    assert list(layer(job, 0)) == list(expected(job, 0))


def test_what_a_killed_worker_left_is_tried_again_in_the_same_run(tmp_path: Path) -> None:
    job = extraction(tmp_path, died=str(tmp_path / "died"), dies_at=2)
    extract(job, LAUNCHERS["processes"], attempts=2)
    assert (tmp_path / "died").exists()
    right = expected(job, 2)
    found = layer(job, 2)
    for utterance_id in right:
        np.testing.assert_allclose(found[utterance_id], right[utterance_id], atol=2e-3)


def test_silence_is_cut_out_of_the_audio_before_the_upstream_hears_it(tmp_path: Path) -> None:
    job = with_a_pause(tmp_path, extraction(tmp_path))
    extract(job, ThisProcess(), attempts=1)
    found = layer(job, 2)
    kept = ShardedArray.open(Path(job.out) / "train", "kept")
    upstream = TinyUpstream(weights=str(job.upstream["weights"]))
    for name in ("u0", "u3"):
        samples, _ = soundfile.read(tmp_path / "audio" / f"{name}.wav", dtype="float32")
        half = (len(samples) - 4800) // 2
        pause = np.arange(half // 320 + 2, (half + 4800 - 400) // 320)
        assert not set(pause) & set(kept[name].tolist())
        assert set(range(half // 320 - 2)) <= set(kept[name].tolist())
        rest = cut_audio(samples, kept[name], upstream)
        assert len(rest) == (len(kept[name]) - 1) * 320 + 400
        alone = upstream.encode(torch.from_numpy(rest)[None], torch.tensor([len(rest)]))
        np.testing.assert_allclose(found[name], alone.layers_BTD[2][0].numpy(), atol=0.02)


def test_shards_of_another_plan_are_removed(tmp_path: Path) -> None:
    job = extraction(tmp_path)
    extract(job, ThisProcess(), attempts=1)
    others = plan_shards(utterances(tmp_path / "audio"), split="train", shard_seconds=2.0)
    larger = replace(job, shards=tuple(others))
    extract(larger, ThisProcess(), attempts=1)
    assert set(stamps(larger)) == {shard.name for shard in others}


def test_audio_that_cannot_be_read_ends_the_run_with_its_name(tmp_path: Path) -> None:
    job = extraction(tmp_path)
    (tmp_path / "audio" / "u3.wav").write_bytes(b"no audio")
    with pytest.raises(ValueError, match=r"u3.wav: cannot be read as audio"):
        extract(job, ThisProcess(), attempts=3)


@pytest.mark.parametrize(
    ("weights", "options", "message"),
    [
        ("inf", {}, r"utterance u\d: layer 0 is NaN or infinite; look at the audio"),
        ("1e7", {}, r"utterance u\d: layer 0 has values up to .* float16, up to 65504"),
        (
            "1.0",
            {"frame_shift_samples": 160},
            r"gave \d+ frames for \d+ samples; .* about \d+ ",
        ),
    ],
)
def test_an_upstream_that_gives_nonsense_is_an_error(
    tmp_path: Path, weights: str, options: dict[str, object], message: str
) -> None:
    job = extraction(tmp_path, **options)
    (tmp_path / "weights.txt").write_text(weights)
    with pytest.raises(ValueError, match=message):
        extract(job, ThisProcess(), attempts=1)
    assert len(job.missing()) == len(job.shards)


def test_batches_hold_similar_lengths_and_no_more_than_asked_for(tmp_path: Path) -> None:
    made = utterances(tmp_path)
    batches = length_batches(made, batch_seconds=0.7)
    assert sorted(u.id for batch in batches for u in batch) == sorted(u.id for u in made)
    for batch in batches:
        longest = max(u.duration_s for u in batch)
        assert len(batch) == 1 or longest * len(batch) <= 0.7
    padded = sum(len(batch) * batch[0].duration_s for batch in batches)
    assert padded < 1.2 * sum(u.duration_s for u in made)


def test_a_shard_is_named_by_what_is_in_it(tmp_path: Path) -> None:
    made = utterances(tmp_path)
    first = plan_shards(made, split="train", shard_seconds=0.9)
    assert [u for shard in first for u in shard.utterances] == made
    made[0] = replace(made[0], duration_s=made[0].duration_s + 0.001)
    second = plan_shards(made, split="train", shard_seconds=0.9)
    assert [a.name == b.name for a, b in zip(first, second, strict=True)] == [
        False,
        *[True] * (len(first) - 1),
    ]


def test_layers_are_one_or_a_list_or_all() -> None:
    assert chosen_layers(2, 3) == [2]
    assert chosen_layers([2, 0, 2], 3) == [0, 2]
    assert chosen_layers("all", 3) == [0, 1, 2]
    for wrong in (3, -1, [], [0, 3], "some", True):
        with pytest.raises(ValueError, match="3 layers, 0 to 2"):
            chosen_layers(wrong, 3)


def test_wrong_options_are_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(ValueError, match="batch_seconds is 0"):
        replace(extraction(tmp_path), batch_seconds=0)
    with pytest.raises(ValueError, match="shard_minutes is 0"):
        plan_shards([], split="train", shard_seconds=0)
    with pytest.raises(ValueError, match="0 workers of 1 threads"):
        LocalProcesses(num_workers=0)
    with pytest.raises(ValueError, match="expected 'slurm' or 'local'"):
        SubmititJobs(cluster="pbs")
    with pytest.raises(ValueError, match="num_jobs is 0"):
        SubmititJobs(num_jobs=0)
    monkeypatch.setitem(sys.modules, "submitit", None)
    with pytest.raises(ValueError, match=r"pip install 'unsup-asr\[slurm\]'"):
        SubmititJobs().run(tmp_path / "job.json", 1, poll=lambda: None)


def test_an_array_of_many_shards_keeps_few_open(tmp_path: Path) -> None:
    job = extraction(tmp_path)
    extract(job, ThisProcess(), attempts=1)
    found = layer(job, 0)
    found._max_open = 2
    right = expected(job, 0)
    for utterance_id in [*right, *reversed(list(right))]:
        np.testing.assert_allclose(found[utterance_id], right[utterance_id], atol=2e-3)
    assert len(found._open) == 2
    with pytest.raises(ValueError, match=r"shards.tsv does not exist"):
        ShardedArray.open(tmp_path, "layer_0")
