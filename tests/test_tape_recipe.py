"""An archive of one tape, from recording to report: cut at pauses, heard, scored by time."""

from __future__ import annotations

import gzip
import json
from pathlib import Path

import numpy as np
import pytest
import soundfile

from tests.test_toy_recipe import SMALL
from unsup_asr.cli import main
from unsup_asr.formats.hypotheses import read_hypotheses, read_words
from unsup_asr.formats.manifest import read_manifest
from unsup_asr.report.results import Results
from unsup_asr.speech.audio import read_audio, read_utterance
from unsup_asr.speech.espeak import Espeak
from unsup_asr.types import SPLITS, Utterance

RATE = 16000
WORDS = "the man saw a big dog and his small cat near our old house we like to sing when rain comes"
OPTIONS = [
    *(option for option in SMALL if not option.startswith("corpus.")),
    *("start=matching", "self_training=ctc", "matching.matcher.restarts=2"),
    *("matching.matcher.finalists=1", "gan.trainer.batch_size=8"),
    "gan.trainer.discriminator_hidden=16",
    "corpus.max_utterance_s=8",
    "corpus.dev_fraction=0.1",
    "corpus.test_fraction=0.2",
]


def sentences(num: int, seed: int) -> list[str]:
    rng = np.random.default_rng(seed)
    return [" ".join(rng.choice(WORDS.split(), size=rng.integers(4, 9))) for _ in range(num)]


def record(folder: Path) -> list[tuple[float, float, str]]:
    """Three minutes of one voice with pauses, as FLAC; what is said when."""
    espeak, rng = Espeak(), np.random.default_rng(1)
    parts: list[np.ndarray] = []
    said: list[tuple[float, float, str]] = []
    length = 0
    for sentence in sentences(90, 2):
        spoken = espeak.speak(sentence, voice="en-us")
        assert spoken.sample_rate == RATE
        pause = 1e-4 * rng.standard_normal(int(RATE * rng.uniform(0.3, 1.5)))
        parts += [pause.astype(np.float32), spoken.samples]
        start = length + len(pause)
        length = start + len(spoken.samples)
        said.append((start / RATE, length / RATE, sentence))
        if length > 180 * RATE:
            break
    (folder / "audio").mkdir()
    soundfile.write(folder / "audio" / "tape.flac", np.concatenate(parts), RATE)
    return said


@pytest.fixture(scope="module")
def tape(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where the run, the tape and its table are."""
    folder = tmp_path_factory.mktemp("tape")
    said = record(folder)
    (folder / "text.txt").write_text("\n".join(sentences(400, 3)), "utf-8")
    rows = ["utterance_id\tstart_s\tend_s\twords"]
    rows += [f"tape\t{start:.2f}\t{end:.2f}\t{sentence}" for start, end, sentence in said]
    (folder / "said.tsv").write_text("\n".join(rows), "utf-8")
    given = {"audio": "audio", "text": "text.txt", "references": "said.tsv"}
    paths = [f"corpus.{name}={folder / path}" for name, path in given.items()]
    assert main(["run", "folder", "--exp", str(folder / "exp"), *OPTIONS, *paths]) == 0
    return folder


def of_splits(tape: Path) -> dict[str, list[Utterance]]:
    corpus = tape / "exp" / "folder" / "latest" / "corpus"
    return {split: read_manifest(corpus / f"{split}.jsonl") for split in SPLITS}


def test_parts_tile_the_tape_at_pauses(tape: Path) -> None:
    parts = sorted((u for of in of_splits(tape).values() for u in of), key=lambda u: u.start_s or 0)
    assert len(parts) > 20
    assert max(part.duration_s for part in parts) <= 8
    heard = np.concatenate([read_utterance(part, sample_rate=RATE) for part in parts])
    np.testing.assert_allclose(heard, read_audio(tape / "audio" / "tape.flac"), atol=1e-6)
    edges = [round(RATE * (part.start_s or 0)) for part in parts[1:]]
    assert max(np.abs(heard[edge - 80 : edge + 80]).max() for edge in edges) < 0.02


def test_what_was_said_is_dealt_out_by_time(tape: Path) -> None:
    references = tape / "exp" / "folder" / "latest" / "references" / "references"
    said = {
        i: w for split in SPLITS for i, w in read_words(references / f"{split}.words.tsv").items()
    }
    in_order = [word for i in sorted(said) for word in said[i]]
    table = (tape / "said.tsv").read_text("utf-8").splitlines()[1:]
    assert in_order == [word for row in table for word in row.split("\t")[3].split()]
    rows = Results.read(tape / "exp" / "folder" / "latest" / "evaluate" / "results.json").rows
    assert rows["self_training"].num_utterances == len(read_words(references / "test.words.tsv"))
    assert rows["supervised"].reference_length > 100


@pytest.mark.parametrize("form", ["lhotse", "kaldi"])
def test_what_was_heard_is_exported_with_its_place_in_the_tape(
    form: str, tape: Path, tmp_path: Path
) -> None:
    latest = tape / "exp" / "folder" / "latest"
    hypotheses = latest / "self_training_1" / "hypotheses" / "test.tsv"
    out = tmp_path / "out"
    command = [
        "export-data",
        str(latest / "corpus" / "test.jsonl"),
        "--hypotheses",
        str(hypotheses),
    ]
    assert main([*command, "--format", form, "--out", str(out)]) == 0
    parts = {u.id: u for u in of_splits(tape)["test"]}
    expected = sorted(
        round((parts[h.utterance_id].start_s or 0) + start, 3)
        for h in read_hypotheses(hypotheses)
        for start in h.starts_s
    )
    if form == "kaldi":
        rows = [line.split() for line in (out / "ctm").read_text("utf-8").splitlines()]
        assert {row[0] for row in rows} == {"tape"}
        found = [float(row[2]) for row in rows]
    else:
        with gzip.open(out / "supervisions.jsonl.gz") as lines:
            records = [json.loads(line) for line in lines]
        found = [
            record["start"] + start
            for record in records
            for _, start, _, _ in record.get("alignment", {}).get("phone", ())
        ]
    np.testing.assert_allclose(sorted(found), expected, atol=1e-3)
    assert max(found) > 30


def test_the_whole_tape_is_transcribed_with_the_model(
    tape: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    model, audio = tape / "exp" / "folder" / "latest" / "model", tape / "audio" / "tape.flac"
    assert main(["transcribe", str(model), str(audio)]) == 0
    starts = [float(row.split("\t")[2]) for row in capsys.readouterr().out.splitlines()[1:]]
    assert starts == sorted(starts)
    assert starts[-1] > 150
