"""Samples of a run: chosen by their ids alone, bounded, read from what the run has left."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import soundfile

from unsup_asr.formats.hypotheses import write_hypotheses, write_word_hypotheses
from unsup_asr.formats.manifest import write_manifest
from unsup_asr.report import samples
from unsup_asr.report.results import SampleTranscript
from unsup_asr.report.samples import final_stage, in_order_of_choice, read_samples
from unsup_asr.types import Hypothesis, Utterance, WordHypothesis

IDS = [f"u{number}" for number in range(12)]


def run_of(root: Path, *, system: str = "gan", phone: str = "a") -> dict[str, Path]:
    """Stages of a run that has heard twelve utterances of a second."""
    stages = {name: root / name for name in ("corpus", system)}
    (root / "corpus").mkdir(parents=True)
    for number, i in enumerate(IDS):
        wave = np.full(8000, 0.01 * number, np.float32)
        soundfile.write(root / "corpus" / f"{i}.wav", wave, 8000, subtype="PCM_16")
    audio = [Utterance(i, str(root / "corpus" / f"{i}.wav"), "s", 1.0) for i in IDS]
    write_manifest(root / "corpus" / "test.jsonl", audio)
    heard = [Hypothesis(i, (phone,), (0.1,), (0.2,), (0.5,)) for i in IDS]
    write_hypotheses(stages[system] / "hypotheses" / "test.tsv", heard)
    return stages


def said(i: str) -> SampleTranscript:
    return SampleTranscript(i, ("b",), ("a",))


def test_the_choice_depends_on_nothing_but_ids() -> None:
    chosen = in_order_of_choice(IDS)
    assert sorted(chosen) == sorted(IDS)
    assert chosen != IDS
    assert in_order_of_choice(reversed(IDS)) == chosen
    others = [*IDS, "another"]
    assert [i for i in in_order_of_choice(others) if i != "another"] == chosen


def test_samples_have_sound_at_one_rate_and_what_was_found(tmp_path: Path) -> None:
    found = read_samples({"gan": run_of(tmp_path)}, None, num_samples=3)
    assert [one.utterance_id for one in found.shown] == in_order_of_choice(IDS)[:3]
    assert (found.num_too_long, found.fault) == (0, None)
    for one in found.shown:
        assert one.sound is not None
        assert len(one.sound) == 16000
        level = 0.01 * IDS.index(one.utterance_id)
        assert one.sound[8000] == pytest.approx(level, abs=1e-3)
        assert one.found["gan"].phones == ("a",)
        assert one.said is None


def test_of_runs_with_references_those_that_were_kept_are_shown(tmp_path: Path) -> None:
    kept = {i: said(i) for i in IDS[4:6]}
    found = read_samples({"gan": run_of(tmp_path)}, kept)
    assert {one.utterance_id for one in found.shown} == set(kept)
    assert all(one.said == kept[one.utterance_id] for one in found.shown)


def test_what_would_make_the_page_too_large_is_left_out_and_counted(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    stages = run_of(tmp_path)
    monkeypatch.setattr(samples, "MOST_BYTES", 100_000)  # three of 32 kB
    found = read_samples({"gan": stages}, None)
    assert (len(found.shown), found.num_too_long) == (3, 9)


def test_recordings_that_are_gone_leave_samples_without_sound(tmp_path: Path) -> None:
    stages = run_of(tmp_path)
    (tmp_path / "corpus" / "u3.wav").unlink()
    found = read_samples({"gan": stages}, None)
    assert len(found.shown) == 10
    assert {one.sound is None for one in found.shown} == {True}
    assert "u3.wav" in str(found.fault)
    bare = read_samples({"gan": {"gan": stages["gan"]}}, None)
    assert "no run has prepared a corpus" in str(bare.fault)
    (tmp_path / "corpus" / "u3.wav").write_bytes(b"no sound")
    found = read_samples({"gan": stages}, None, num_samples=12)
    assert "u3.wav" in str(found.fault)
    assert len(found.shown) == 12


def test_runs_side_by_side_show_what_all_have_heard(tmp_path: Path) -> None:
    one, other = run_of(tmp_path / "a"), run_of(tmp_path / "b", phone="c")
    path = tmp_path / "b" / "gan" / "hypotheses" / "test.tsv"
    path.unlink()
    write_hypotheses(path, [Hypothesis(i, ("c",)) for i in IDS[:2]])
    found = read_samples({"a": one, "b": other}, None)
    assert {sample.utterance_id for sample in found.shown} == set(IDS[:2])
    assert {name: h.phones for name, h in found.shown[0].found.items()} == {
        "a": ("a",),
        "b": ("c",),
    }


def test_words_are_shown_where_the_run_has_found_some(tmp_path: Path) -> None:
    stages = run_of(tmp_path)
    words = [WordHypothesis(i, ("ah",), (0.1,), (0.2,)) for i in IDS[:3]]
    write_word_hypotheses(tmp_path / "words" / "words" / "test.tsv", words)
    found = read_samples({"gan": {**stages, "words": tmp_path / "words"}}, None, num_samples=12)
    assert {one.utterance_id for one in found.shown if one.words} == set(IDS[:3])


def test_a_run_without_a_system_has_no_samples(tmp_path: Path) -> None:
    stages = run_of(tmp_path)
    assert read_samples({"x": {"corpus": stages["corpus"]}}, None).shown == ()
    assert read_samples({}, None).shown == ()


@pytest.mark.parametrize("number", [-1, 41])
def test_more_samples_than_are_kept_are_refused(number: int) -> None:
    with pytest.raises(ValueError, match=f"{number} samples; expected 0 to 40"):
        read_samples({}, None, num_samples=number)


def test_the_final_stage_is_the_models_else_the_last_that_learned_without_references(
    tmp_path: Path,
) -> None:
    names = ("matching", "realign_1", "matching_lm", "words", "supervised")
    stages = {name: tmp_path / name for name in names}
    for folder in stages.values():
        write_hypotheses(folder / "hypotheses" / "test.tsv", [])
    assert final_stage(stages) == "realign_1"
    (tmp_path / "model").mkdir()
    (tmp_path / "model" / "choice.json").write_text('{"chosen": "matching"}')
    assert final_stage({**stages, "model": tmp_path / "model"}) == "matching"
    assert final_stage({}) is None
