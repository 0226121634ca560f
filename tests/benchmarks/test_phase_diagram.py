"""The phase diagram's own parts: members on their own data, its edit distance, its picture."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from rapidfuzz.distance import Levenshtein

from benchmarks import phase_diagram
from benchmarks.phase_diagram import PartOfData, draw, error_rate, play
from gan.batches import UnpairedData
from gan.options import AdversarialOptions
from unsup_asr.formats.ragged import RaggedArray

NUM_PHONES, DIM = 5, 5


@pytest.fixture
def points(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Two points that share frames: true phones, one-hot; the second has a tenth of the text."""
    monkeypatch.setattr(phase_diagram, "POINTS", {"base": ({}, 8, 40), "sentences 4": ({}, 8, 4)})
    monkeypatch.setattr(phase_diagram, "DEV_UTTERANCES", 3)
    rng = np.random.default_rng(0)

    def sentences(count: int) -> list[np.ndarray]:
        return [rng.permutation(NUM_PHONES)[: rng.integers(3, 6)] for _ in range(count)]

    arrays: dict[str, np.ndarray] = {}
    spoken = {"train": sentences(8), "dev": sentences(3)}
    for split, said in spoken.items():
        arrays[f"base/{split}"] = np.eye(DIM, dtype="f2")[np.concatenate(said)]
        arrays[f"base/{split}_lengths"] = np.array([len(s) for s in said])
    for what, sequences in (("said", spoken["dev"]), ("text", sentences(40))):
        arrays[what] = np.concatenate(sequences).astype("i2")
        arrays[f"{what}_lengths"] = np.array([len(s) for s in sequences])
    arrays["base/map"] = np.eye(DIM, NUM_PHONES, dtype=np.float32)
    arrays["base/figures"] = np.array(json.dumps({"purity": 1.0, "pairs_per_phone": 1.0}))
    arrays["base/frames_of"] = arrays["sentences 4/frames_of"] = np.array("base")
    path = tmp_path / "points.npz"
    np.savez(path, allow_pickle=False, **arrays)
    return path


def test_a_true_start_is_scored_and_drawn(points: Path, tmp_path: Path) -> None:
    options = AdversarialOptions(batch_size=4, discriminator_hidden=8)
    rows = list(play(points, options, updates=2, validate_every=1, is_true_start=True))
    assert [(row["point"], row["update"]) for row in rows] == [
        (name, update) for update in range(3) for name in ("base", "sentences 4")
    ]
    assert [row["per"] for row in rows[:2]] == [0.0, 0.0]
    rests = tmp_path / "rests.jsonl"
    rests.write_text("".join(json.dumps(row) + "\n" for row in rows), "utf-8")
    draw(rests, tmp_path / "picture.png")
    assert (tmp_path / "picture.png").read_bytes().startswith(b"\x89PNG")


def test_a_random_start_knows_nothing(points: Path) -> None:
    options = AdversarialOptions(batch_size=4, discriminator_hidden=8)
    (first, *_) = play(points, options, updates=0, validate_every=1, is_true_start=False)
    assert float(str(first["per"])) > 30


def test_members_draw_from_their_own_part() -> None:
    segments = RaggedArray.from_arrays({str(i): np.zeros((2, 3), np.float32) for i in range(10)})
    text = [np.array([0, 1], dtype=np.int32)] * 30
    checked = UnpairedData.check(segments, text, num_phones=2)
    data = PartOfData(
        checked.segments,
        checked.text_values,
        checked.text_offsets,
        2,
        parts=((0, 4, 30), (4, 6, 3)),
    )
    utterances, sentences, _ = data.choose(7, seeds=[0, 1], batch_size=50)
    assert set(utterances[0]) == {0, 1, 2, 3}
    assert set(utterances[1]) == {4, 5, 6, 7, 8, 9}
    assert sentences[0].max() > 3
    assert sentences[1].max() < 3


def test_the_error_rate_is_levenshteins() -> None:
    rng = np.random.default_rng(0)
    pairs = [(rng.integers(4, size=n), rng.integers(4, size=9)) for n in (0, 1, 5, 9, 14)]
    found = [a.astype(np.int32) for a, _ in pairs]
    said = [b.astype(np.int32) for _, b in pairs]
    expected = sum(Levenshtein.distance(a.tolist(), b.tolist()) for a, b in pairs)
    assert error_rate(found, said) == pytest.approx(100 * expected / 45)
