"""What runs that have ended, and such as have not, leave for a page."""

from __future__ import annotations

import json
import os
from pathlib import Path

import numpy as np
import pytest
import soundfile

from unsup_asr.formats.manifest import write_manifest
from unsup_asr.formats.phone_text import write_inventory
from unsup_asr.report.curves import training_curves
from unsup_asr.report.left import LearnedFrom, Member, load_left
from unsup_asr.report.run import finished_stages
from unsup_asr.types import Utterance


def finish(folder: Path, *, at: int, wall_s: float = 1.0) -> Path:
    """A stage that ended at a time, in seconds."""
    folder.mkdir(parents=True, exist_ok=True)
    record = folder / "stage.json"
    record.write_text(json.dumps({"wall_s": wall_s, "peak_rss_mb": 1.0}))
    os.utime(record, (at, at))
    return folder


def test_of_a_run_that_broke_off_the_newest_of_each_stage_are_read(tmp_path: Path) -> None:
    finish(tmp_path / "gan" / "bbbb", at=30)
    finish(tmp_path / "gan" / "aaaa", at=10)
    finish(tmp_path / "corpus" / "cccc", at=20, wall_s=7.5)
    finish(tmp_path / "model" / "dddd.partial", at=40)
    stages = finished_stages(tmp_path)
    assert list(stages.items()) == [
        ("corpus", tmp_path / "corpus" / "cccc"),
        ("gan", tmp_path / "gan" / "bbbb"),
    ]
    left = load_left(tmp_path, name="mine")
    assert left.results is None
    assert left.wall_by_stage == {"corpus": 7.5, "gan": 1.0}
    assert not left.has_references


def test_of_a_run_that_has_ended_its_own_stages_are_read(tmp_path: Path) -> None:
    old = finish(tmp_path / "gan" / "aaaa", at=10)
    finish(tmp_path / "gan" / "bbbb", at=30)
    run = tmp_path / "runs" / "0123"
    run.mkdir(parents=True)
    (run / "gan").symlink_to(old)
    (tmp_path / "latest").symlink_to(run)
    for folder in (tmp_path, run):
        assert {n: p.resolve() for n, p in finished_stages(folder).items()} == {"gan": old}


GAME = {
    "members": [
        {"history": [{"weighted_lm_perplexity": v} for v in values], "weighted_lm_perplexity": last}
        for values, last in (((90.0, 20.0), 20.0), ((1e9, 7.5), 7.5))
    ],
    "validate_every": 50,
    "chosen": 1,
}


def test_criteria_choices_members_and_curves_are_known_without_references(tmp_path: Path) -> None:
    for at, name in enumerate(["gan", "realign_1", "supervised", "model"]):
        finish(tmp_path / name / "aaaa", at=at)
        (tmp_path / name / "aaaa" / "criterion.json").write_text(f'{{"weighted": {at + 1}.5}}')
        (tmp_path / name / "aaaa" / "curve.json").write_text("[3, 2, NaN]")
    (tmp_path / "gan" / "aaaa" / "gan.json").write_text(json.dumps(GAME))
    (tmp_path / "model" / "aaaa" / "choice.json").write_text('{"chosen": "realign_1"}')
    left = load_left(tmp_path, name="mine")
    assert left.criteria == {"gan": 1.5, "realign_1": 2.5, "model": 4.5}
    assert left.chosen == {"realign_1"}
    assert left.members == (
        Member(per=None, criterion=20.0, is_chosen=False),
        Member(per=None, criterion=7.5, is_chosen=True),
    )
    game, realigned, ctc = left.curves
    assert game.series == {"member 0": [90.0, 20.0], "member 1": [1e4, 7.5]}
    assert game.x_step == 50
    assert list(realigned.series) == ["realign_1"]
    assert list(ctc.series) == ["supervised"]
    one = {**GAME, "members": GAME["members"][:1]}
    (tmp_path / "gan" / "aaaa" / "gan.json").write_text(json.dumps(one))
    assert load_left(tmp_path, name="mine").members == ()


def test_what_it_learned_from_is_read_where_the_recordings_are(tmp_path: Path) -> None:
    corpus, text = (finish(tmp_path / name / "a", at=1) for name in ("corpus", "text"))
    soundfile.write(corpus / "u.wav", np.zeros(16000), 16000)
    path = str(corpus / "u.wav")
    train = [Utterance(f"u{n}", path, f"s{n % 2}", 900.0) for n in range(4)]
    write_manifest(corpus / "train.jsonl", train)
    write_inventory(text / "inventory.json", ["a", "b", "c"], {})
    assert load_left(tmp_path, name="mine").learned_from == LearnedFrom(1.0, 2, 3)
    (corpus / "u.wav").unlink()
    assert load_left(tmp_path, name="mine").learned_from is None


@pytest.mark.parametrize("content", ["{}", "[]", '{"members": [{}], "validate_every": 1}', "no"])
def test_a_damaged_game_is_named(tmp_path: Path, content: str) -> None:
    (tmp_path / "gan.json").write_text(content)
    with pytest.raises(ValueError, match=r"gan\.json"):
        training_curves({"gan": tmp_path})
