import json

import pytest

from unsup_asr.formats.hypotheses import read_word_hypotheses, write_word_hypotheses
from unsup_asr.report.words import TunedWeights, WordResults, word_results, word_row
from unsup_asr.types import WordHypothesis

SAID = {"u1": ("the", "cat", "sat"), "u2": ("a", "dog", "dog"), "u3": ("yes",)}
FOUND = {"u1": ("the", "cat"), "u2": ("a", "frog", "the", "dog")}


@pytest.fixture
def results() -> WordResults:
    tuning = (
        TunedWeights(lm_weight=0.3, word_score=0.0, criterion=0.2, wer=40.0),
        TunedWeights(lm_weight=1.0, word_score=-1.0, criterion=0.4, wer=30.0),
    )
    rows = {"self_training": word_row(SAID, FOUND, split="test", seed=0)}
    lexicon = {"the", "a", "cat", "sat"}
    return word_results(rows, SAID, FOUND, lexicon, num_samples=2, tuning=tuning, num_tuned=60)


def test_a_row_counts_edits_of_words_and_misses_whole_utterances():
    row = word_row(SAID, FOUND, split="test", seed=0)
    assert (row.insertions, row.deletions, row.substitutions) == (1, 2, 1)
    assert row.wer == pytest.approx(100 * 4 / 7)
    assert row.interval_low <= row.wer <= row.interval_high
    assert row.num_utterances == 3


def test_words_that_the_lexicon_lacks_are_counted_and_named(results):
    assert results.unknown_words == {"dog": 2, "yes": 1}
    assert results.unknown_rate == pytest.approx(100 * 3 / 7)
    assert results.unknown_summary() == (
        "42.9 % of the words said are not among the 4 of the lexicon (dog, yes)"
    )


def test_the_choice_without_labels_stands_beside_the_oracles(results):
    summary = results.tuning_summary()
    assert "lm_weight 0.3, word_score 0 chosen without labels, WER 40.0 % on 60" in summary
    assert summary.endswith("lm_weight 1, word_score -1, 30.0 %")


def test_word_results_come_back_equal_from_json(results):
    assert WordResults.from_json(json.loads(json.dumps(results.to_json()))) == results


def test_recognised_words_come_back_equal_from_disk(tmp_path):
    words = [WordHypothesis("u1", ("the", "cat"), (0.0, 0.25), (0.25, 0.5), (0.5, 1.0))]
    words.append(WordHypothesis("u2", ()))
    write_word_hypotheses(tmp_path / "words.tsv", words)
    assert read_word_hypotheses(tmp_path / "words.tsv") == words
    (tmp_path / "words.tsv").write_text(
        (tmp_path / "words.tsv").read_text().replace("0 0.25", "0"), "utf-8"
    )
    with pytest.raises(ValueError, match="2 words and 1 starts_s; expected one a word"):
        read_word_hypotheses(tmp_path / "words.tsv")
