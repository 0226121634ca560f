"""What `evaluate` says of words, where references are given as words."""

from __future__ import annotations

from itertools import islice

from unsup_asr.engine.config import instantiate
from unsup_asr.engine.stages import StageContext
from unsup_asr.formats.checked import read_json_value
from unsup_asr.formats.hypotheses import read_word_hypotheses, read_words
from unsup_asr.formats.lines import read_lines
from unsup_asr.recognise.words import WORDS_FOLDER
from unsup_asr.report.results import FINAL_ROW, LETTERS_ROW, SUPERVISED_ROW
from unsup_asr.report.samples import in_order_of_choice
from unsup_asr.report.words import TunedWeights, WordResults, WordRow, word_results, word_row
from unsup_asr.scoring.metrics import count_errors
from unsup_asr.steps.words import TUNING
from unsup_asr.types import ErrorCounts

_SHOWN_SENTENCES = 8
_OF_LETTERS = {"letters": LETTERS_ROW, "supervised_letters": f"{SUPERVISED_ROW}, {LETTERS_ROW}"}
_Words = dict[str, tuple[str, ...]]


def score_words(context: StageContext) -> WordResults | None:
    """WER of the final system on test and dev, of the baseline and of models of letters on test;
    unknown words of test.

    None where the run decoded no words, or references are phones alone.
    """
    given = context.input("references")
    if "words" not in context.artifacts or not given.has("references/test.words.tsv"):
        return None
    said = {split: _references(context, split) for split in ("test", "dev")}
    found = {split: _recognised(context, "words", split) for split in said}
    rows: dict[str, WordRow] = {
        FINAL_ROW: word_row(said["test"], found["test"], split="test", seed=context.seed),
        SUPERVISED_ROW: word_row(
            said["test"],
            _recognised(context, "supervised_words", "test"),
            split="test",
            seed=context.seed,
        ),
        f"{FINAL_ROW}, dev": word_row(said["dev"], found["dev"], split="dev", seed=context.seed),
        **{
            row: word_row(
                said["test"],
                _recognised(context, stage, "test"),
                split="test",
                seed=context.seed,
            )
            for stage, row in _OF_LETTERS.items()
            if stage in context.artifacts and context.input(stage).has(f"{WORDS_FOLDER}/test.tsv")
        },
    }
    lexicon = read_lines(context.input("words").file(f"{WORDS_FOLDER}/lexicon.tsv"))
    known = {line.partition("\t")[0] for line in islice(lexicon, 1, None)}
    tuning, num_tuned = _tuning(context, said["dev"])
    return word_results(
        rows,
        {i: said["test"][i] for i in in_order_of_choice(said["test"])},
        found["test"],
        known,
        num_samples=_SHOWN_SENTENCES,
        tuning=tuning,
        num_tuned=num_tuned,
    )


def _tuning(context: StageContext, said: _Words) -> tuple[tuple[TunedWeights, ...], int]:
    """The pairs that were tried, with the WER of each; how many utterances they were tried on."""
    words = context.input("words")
    if not words.has(TUNING):
        return (), 0
    tried = read_json_value(words.file(TUNING))
    tuned = []
    for pair in tried:
        counts = [count_errors(said[i], found) for i, found in pair["words"].items()]
        wer = sum(counts, ErrorCounts(0, 0, 0, 0)).rate
        options = {name: pair[name] for name in ("lm_weight", "word_score", "criterion")}
        tuned.append(TunedWeights(**options, wer=wer))
    return tuple(tuned), len(tried[0]["words"])


def _references(context: StageContext, split: str) -> _Words:
    """Words as the text has them: lower case, without punctuation."""
    front_end = instantiate(context.config.text.front_end)
    path = context.input("references").file(f"references/{split}.words.tsv")
    return {i: front_end.normalize_words(words) for i, words in read_words(path).items()}


def _recognised(context: StageContext, stage: str, split: str) -> _Words:
    path = context.input(stage).file(f"{WORDS_FOLDER}/{split}.tsv")
    return {h.utterance_id: h.words for h in read_word_hypotheses(path)}
