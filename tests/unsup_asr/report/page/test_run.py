"""The page of one run: what stands first, what each part says, whatever a run has left."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from tests.unsup_asr.report.pages import GOOD, SUSPECT, left_of, run_page, words_of
from unsup_asr.report.diagnosed import Diagnosed
from unsup_asr.report.left import LearnedFrom, Left
from unsup_asr.report.results import Results, SampleTranscript
from unsup_asr.report.samples import Sample, Samples
from unsup_asr.report.signs import Finding
from unsup_asr.scoring.metrics import Confusions, confusions
from unsup_asr.scoring.nulls import Nulls
from unsup_asr.types import Hypothesis, Transcript, WordHypothesis

EVIL = "<script>alert(1)</script>\"'&$x$"
SOUND = (0.5 * np.sin(np.arange(8000) / 5)).astype(np.float32)
SAID = SampleTranscript("u1", ("k", "æ", "t"), (), (0.0, 0.1, 0.3), (0.1, 0.3, 0.5), (0.0, 0.25))
FOUND = Hypothesis("u1", ("k", "ʌ"), (0.0, 0.125), (0.125, 0.5), (0.9, 0.25))


def sample(**facts: object) -> Sample:
    given = {"utterance_id": "u1", "speaker": "s1", "sound": SOUND, "found": {"gan": FOUND}}
    return Sample(**{**given, **facts})  # type: ignore[arg-type]


def with_nulls(results: Results, nulls: Nulls | None) -> Results:
    final = replace(results.rows["self_training"], nulls=nulls)
    return replace(results, rows={**results.rows, "self_training": final})


def test_it_says_first_what_was_found_then_nulls_diagnosis_and_what_to_do(
    tmp_path: Path, results: Results
) -> None:
    words = words_of(run_page(tmp_path, results, diagnosed=SUSPECT))
    order = [
        "It works: what it writes follows the sound",
        "From 1.50 hours of speech of 8 speakers",
        "in the 100 utterances of test it makes 25 errors (PER 25.0 %",
        "the same network makes 5 where it is told what was said",
        "The diagnosis has doubts all the same",
        "As many phones drawn with the text's frequencies make 63.0 % errors",
        "held against another's reference, 58.2 %",
        "This system makes 25.0 %, 33.2 points under the lower of these nulls",
        "It sees no references and finds 2 signs of failure",
        "too long <i>",
        "unsup-asr run toy start=spoken_text",
        "Samples to see and hear",
        "From system to system",
    ]
    places = [words.index(said) for said in order]
    assert places == sorted(places)


def test_what_does_not_beat_its_nulls_is_said_not_to_work(tmp_path: Path, results: Results) -> None:
    words = words_of(run_page(tmp_path, with_nulls(results, Nulls(None, 29.5))))
    assert "It does not work: what it writes could be written without hearing" in words
    assert "cannot be held against another's reference, since all say the same" in words
    assert "4.5 points under the lower of these nulls" in words
    assert "it counts as working: it does not" in words
    words = words_of(run_page(tmp_path, with_nulls(results, Nulls(24.0, 29.5))))
    assert "1.0 points above the lower" in words
    words = words_of(run_page(tmp_path, with_nulls(results, None)))
    assert "of a version that did not ask" in words
    assert "There is no sign that it failed, which is no proof" in words


BROKEN = Diagnosed("toy", "broken", "gan", f"RuntimeError: {EVIL}", (), (f"unsup-asr run {EVIL}",))
NEW = Left(name="mine", stages={}, results=None)


@pytest.mark.parametrize(
    ("diagnosed", "says"),
    [
        (BROKEN, "A stage broke: gan What it has left so far is below."),
        (replace(BROKEN, state="running", error=None), "It is running: gan"),
        (Diagnosed("toy", "unfinished", None, None, (), ()), "It has not come to its end"),
        (replace(SUSPECT, experiment="toy"), "There are signs that it failed There are no ref"),
        (GOOD, "There is no sign that it failed, which is no proof There are no references"),
    ],
)
def test_runs_without_an_error_rate_say_how_they_stand(
    tmp_path: Path, diagnosed: Diagnosed, says: str
) -> None:
    words = words_of(run_page(tmp_path, NEW, diagnosed=diagnosed))
    assert words.startswith(f"mine {says}")
    assert "PER" not in words
    assert "No utterance of the test set has been heard" in words
    assert (diagnosed.error or "") in words


def test_without_references_the_criterion_of_each_system_is_drawn(
    tmp_path: Path, results: Results
) -> None:
    left = Left(
        name="mine",
        stages={},
        results=None,
        learned_from=LearnedFrom(2.0, 1, 30),
        criteria={"matching": 40.0, "gan": math.inf, "self_training_1": 9.0},
        chosen=frozenset({"self_training_1"}),
        signs=results.signs,
        members=tuple(replace(member, per=None) for member in left_of(results).members),
    )
    text = run_page(tmp_path, left)
    assert "matching: weighted perplexity 40.0; gan: weighted perplexity inf; self_" in text
    assert ">Members of the game</h2>" in text
    assert "<td>9.00</td><td>1.50</td>" in text
    assert "PER %" not in text


def test_every_part_of_a_run_with_references_is_there(tmp_path: Path, results: Results) -> None:
    text = run_page(tmp_path, results)
    words = words_of(text)
    for heading in (
        *("Phone error rate", "Members of the game", "Game, HMM, new boundaries", "Confusions"),
        *("Word error rate", "What clusters can reach", "Signs without references", "Boundaries"),
        *("Confidences", "Layer weights", "Text against decoded speech", "Training curves"),
        *("Conditions and cost", "Wall time by stage"),
    ):
        assert words.count(heading) >= 2, f"{heading} and a link to it"
    assert "matching: PER 45.0 %, weighted perplexity 9.2; gan: PER 55.0 %" in text
    assert "member 0: PER 44.2 %, weighted perplexity 31.0" in text
    assert "restart 2 ends at nan" in text
    assert "They are 0.169 apart in the mean" in words  # (3 * 0.2 + 5 * 0.15) / 8
    assert "0.1250" in words
    without = replace(results, population=None, reliability=None, layer_weights=None)
    words = words_of(run_page(tmp_path, without))
    for heading in ("Members of the game", "Confidences", "Layer weights"):
        assert heading not in words


def test_a_run_with_little_says_what_is_missing(tmp_path: Path, results: Results) -> None:
    row = replace(results.rows["matching"], chosen=False, criterion=None)
    bare = replace(
        *(results,),
        **{"rows": {"matching": row}, "boundaries": None, "js_divergence": {}, "samples": ()},
        **{"confusion": None, "population": None, "maps": (), "signs": {}, "iterations": ()},
        **{"layer_weights": None, "reliability": None, "words": None, "wall_by_stage": {}},
    )
    words = words_of(run_page(tmp_path, Left(name="toy", stages={}, results=bare)))
    assert "This run has no confusions." in words
    assert "This run has no training curves." in words


def test_a_confusion_says_what_it_is(tmp_path: Path, results: Results) -> None:
    counts_RH = np.array([[1, 0, 2, 0], [0, 0, 0, 1], [0, 0, 0, 0], [0, 1, 0, 0]])
    confusion = Confusions(("k", "æ", "t", "∅"), counts_RH)
    text = run_page(tmp_path, replace(results, confusion=confusion))
    for title, share, count in (
        ("true k heard as t: 2 of 3", "0.667", 2),
        ("true k heard as it is: 1 of 3", "0.333", 1),
        ("true æ missed: 1 of 1", "1.000", 1),
        ("nothing said, æ heard: 1", "1.000", 1),
    ):
        assert f'<td style="--share: {share}" title="{title}">{count}</td>' in text


def test_phones_lie_where_they_are_and_say_what_they_are(tmp_path: Path, results: Results) -> None:
    words = WordHypothesis("u1", ("cat",), (0.0,), (0.5,))
    shown = Samples((sample(said=SAID, words=words),))
    text = run_page(tmp_path, results, samples=shown)
    assert (
        'class="wrong" data-start="0.1250" data-end="0.5000" style="left: 25.000%; width: 75.000%" '
        'title="ʌ, 0.12 to 0.50 s; confidence 0.25; said: æ">ʌ</button>'
    ) in text
    assert 'title="t, 0.30 to 0.50 s; missed">t</button>' in text
    assert 'title="k, 0.00 to 0.10 s">k</button>' in text
    assert 'title="cat, 0.00 to 0.50 s">cat</button>' in text
    assert "0.5 s, speaker s1, PER of gan 67 %" in words_of(text)
    assert '<path class="true" d="M0.0 0V32M0.0 64V112M200.0 0V32' in text
    assert '<path class="found" d="M0.0 32V64M250.0 32V64M1000.0 32V64"/>' in text
    assert '<path class="segments" d="M0.0 112V160M500.0 112V160"/>' in text


def test_references_without_times_stand_above_what_was_found(
    tmp_path: Path, results: Results
) -> None:
    untimed = replace(SAID, starts_s=(), ends_s=())
    text = run_page(tmp_path, results, samples=Samples((sample(said=untimed),)))
    assert '<div class="pair wrong"><span>æ</span><span>ʌ</span></div>' in text
    assert '<div class="pair deleted"><span>t</span><span>·</span></div>' in text
    assert 'aria-label="phones said"' not in text
    assert 'data-start="0.1250"' in text


def test_without_sound_samples_are_still_read(tmp_path: Path, results: Results) -> None:
    samples = Samples((sample(sound=None, said=SAID),), fault=f"{EVIL} is gone.")
    text = run_page(tmp_path, results, samples=samples)
    assert "<audio" not in text
    assert f"Without sound, since {EVIL} is gone." in words_of(text)
    assert '<div class="pair wrong"><span>æ</span><span>ʌ</span></div>' in text
    text = run_page(tmp_path, NEW, samples=Samples((sample(sound=None),)))
    assert "found by gan. k ʌ" in words_of(text)


def test_what_was_left_out_is_counted(tmp_path: Path) -> None:
    page = run_page(tmp_path, NEW, samples=Samples((sample(),), num_too_long=3))
    assert "3 were left out, which would make the page too large" in words_of(page)


def as_evil(results: Results) -> Results:
    """With names that are markup wherever a user or a file can give one."""
    row = results.rows["matching"]
    spoken = (EVIL, "k")
    hostile = Transcript(EVIL, spoken), Hypothesis(EVIL, ("k", EVIL))
    return replace(
        results,
        recipe=EVIL,
        corpus=EVIL,
        rows={**results.rows, EVIL: row},
        criterion_name=EVIL,
        diagnosis=(EVIL,),
        confusion=confusions([hostile[0]], [hostile[1]]),
        signs={**results.signs, EVIL: results.signs["matching"]},
        maps=(replace(results.maps[0], system=EVIL),),
        wall_by_stage={EVIL: 1.0},
        words=replace(results.words, samples=((EVIL, spoken, spoken),)) if results.words else None,
    )


def test_markup_in_names_is_text(tmp_path: Path, results: Results) -> None:
    said = SampleTranscript(EVIL, (EVIL, "k", "t"), (), SAID.starts_s, SAID.ends_s)
    found = Hypothesis(EVIL, ("k", EVIL), FOUND.starts_s, FOUND.ends_s)
    words = WordHypothesis(EVIL, (EVIL,), (0.0,), (0.5,))
    evil = Sample(
        *(), utterance_id=EVIL, speaker=EVIL, sound=SOUND, said=said, found={EVIL: found},
        words=words,
    )  # fmt: skip
    finding = replace(BROKEN, findings=(Finding("x", EVIL), Finding("y", EVIL)))
    pages: list[Callable[[], str]] = [
        lambda: run_page(tmp_path, as_evil(results), diagnosed=finding, samples=Samples((evil,))),
        lambda: run_page(
            tmp_path,
            Left(name=EVIL, stages={}, results=None, criteria={EVIL: 1.0}),
            diagnosed=finding,
            samples=Samples((replace(evil, said=None, sound=None),)),
            notice=EVIL,
        ),
    ]
    for page in pages:  # each is checked to hold one script
        assert words_of(page()).count(EVIL) > 5


def test_a_page_is_written_whole(tmp_path: Path, results: Results) -> None:
    run_page(tmp_path, results)
    assert [path.name for path in tmp_path.iterdir()] == ["report.html"]
