"""TIMIT (LDC93S1), from its folder as published: matched and unmatched setups, phones as text.

The text is phone transcripts, so the recipe's front end is `text=phones`. Transcripts of the
speech that is scored are never in it; in the matched setup it is those of the training speech,
shuffled, as in Baevski et al. 2021.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from unsup_asr.corpora.layout import (
    digest_of,
    read_splits,
    write_phone_references,
    write_split,
    write_summary,
    write_text,
)
from unsup_asr.corpora.recordings import Recording, measure
from unsup_asr.corpora.timit_files import TimitUtterance, find_utterances, read_labels
from unsup_asr.corpora.timit_phones import PhoneRule, text_line
from unsup_asr.corpora.timit_splits import (
    SETUPS,
    TEST_SETS,
    UID_LISTS,
    TimitSplit,
    derived_split,
    listed_split,
)
from unsup_asr.protocols import Digests
from unsup_asr.ranges import Seed
from unsup_asr.scoring.folds import read_fold_table
from unsup_asr.types import Transcript, Utterance

_LABELS_MAY_EXCEED_S = 0.25


@dataclass(kw_only=True)
class TimitCorpus:
    """Options of TIMIT. `root` holds TRAIN and TEST.

    `test_set` null is the setup's usual one: core_test for matched, all_test (with SA) for
    unmatched. Dev is core-dev for matched, 620 training utterances for unmatched; all_test
    contains core-dev. `uid_lists` is a folder with train.uid, train_text.uid, valid.uid and
    test.uid, which then decide the splits. `fold` is a fold table, null for the 61 phones.
    """

    root: str
    setup: str = "matched"
    test_set: str | None = None
    uid_lists: str | None = None
    fold: str | None = "timit_39"
    silence: str = "count"  # or "drop": from text and references alike
    split_seed: Seed = 0  # draws the unmatched parts
    seed: Seed = 0  # shuffles the text
    language: str = "en-us"
    allow_incomplete: bool = False
    references: bool = True  # whether results are scored

    def __post_init__(self) -> None:
        if self.setup not in SETUPS:
            raise ValueError(f"setup is {self.setup!r}; expected one of {', '.join(SETUPS)}")
        if self.test_set not in (None, *TEST_SETS):
            raise ValueError(
                f"test_set is {self.test_set!r}; expected one of {', '.join(TEST_SETS)}, or null"
            )
        if self.test_set is not None and self.uid_lists is not None:
            raise ValueError(
                f"test_set is {self.test_set!r} and uid_lists {self.uid_lists!r}; the lists name "
                "the test set themselves, leave test_set null"
            )
        self._rule = PhoneRule(read_fold_table(self.fold) if self.fold else None, self.silence)

    def source_files(self) -> list[Path]:
        """Lists that decide who is heard."""
        lists = UID_LISTS.values() if self.uid_lists else ()
        return [Path(str(self.uid_lists)) / name for name in lists]

    def source_digests(self, digests: Digests) -> dict[str, str]:
        """The recordings, and of the transcripts the lines of the text."""
        split = self._split()
        heard = {"train": split.train, "dev": split.dev, "test": split.test}
        names = (f"{name}\t{u.id}" for name, utterances in heard.items() for u in utterances)
        return {
            "recordings": digest_of(names),
            "audio": digests.digest_all(
                [u.audio for utterances in heard.values() for u in utterances]
            ),
            "text": digest_of(self._text_lines(split)),
        }

    def reference_files(self) -> list[Path]:
        """What was said."""
        split = self._split()
        return [u.phones for u in (*split.train, *split.dev, *split.test)]

    def build(self, out: Path) -> None:
        """Check the corpus, then write manifests and text into `out`."""
        split = self._split()
        summary: dict[str, object] = {"language": self.language, "setup": self.setup}
        summary["splits_from"] = split.source
        for name, utterances in (("train", split.train), ("dev", split.dev), ("test", split.test)):
            recordings = [Recording(u.id, u.audio, u.speaker) for u in utterances]
            measured = measure(recordings, source=f"TIMIT {name}").utterances
            summary[name] = {**write_split(out, name, measured), "kinds": _kinds(utterances)}
        lines = self._text_lines(split)
        order = np.random.default_rng(self.seed).permutation(len(lines))
        summary["num_text_sentences"] = write_text(out, (lines[i] for i in order))
        prompts = {u.sentence for u in split.train} & {u.sentence for u in split.text}
        summary["text"] = {"kinds": _kinds(split.text), "prompts_shared_with_train": len(prompts)}
        summary["phones"] = {"fold": self.fold, "silence": self.silence}
        write_summary(out, summary)

    def build_references(self, out: Path, corpus: Path) -> None:
        """Write what was said in the utterances of the manifests in `corpus`.

        ValueError for labels that end behind the audio.
        """
        split = self._split()
        by_id = {u.id: u for u in (*split.train, *split.dev, *split.test)}
        for name, utterances in read_splits(corpus).items():
            transcripts = {u.id: self._transcript(by_id[u.id]) for u in utterances}
            _check_lengths(utterances, transcripts)
            write_phone_references(out, name, utterances, transcripts)

    def _split(self) -> TimitSplit:
        utterances = find_utterances(Path(self.root), allow_incomplete=self.allow_incomplete)
        is_matched = self.setup == "matched"
        if self.uid_lists is not None:
            return listed_split(utterances, Path(self.uid_lists), is_text_apart=not is_matched)
        test_set = self.test_set or ("core_test" if is_matched else "all_test")
        return derived_split(utterances, setup=self.setup, test_set=test_set, seed=self.split_seed)

    def _transcript(self, utterance: TimitUtterance) -> Transcript:
        phones = read_labels(utterance.phones)
        return self._rule.transcript(utterance.id, phones, source=str(utterance.phones))

    def _text_lines(self, split: TimitSplit) -> list[str]:
        """Sorted, so that nothing of whose they are is left but themselves."""
        return sorted(self._text_line(u) for u in split.text)

    def _text_line(self, utterance: TimitUtterance) -> str:
        phones, words = read_labels(utterance.phones), read_labels(utterance.words)
        return text_line(self._rule.words(phones, words, source=str(utterance.phones)))


def _check_lengths(utterances: Sequence[Utterance], transcripts: Mapping[str, Transcript]) -> None:
    """A file that was cut off still reads: its labels tell."""
    for utterance in utterances:
        end_s = max(transcripts[utterance.id].ends_s, default=0.0)
        if end_s > utterance.duration_s + _LABELS_MAY_EXCEED_S:
            raise ValueError(
                f"{utterance.id}: {utterance.audio} has {utterance.duration_s:.2f} s of audio, its "
                f"labels end at {end_s:.2f} s; copy the file again"
            )


def _kinds(utterances: Sequence[TimitUtterance]) -> dict[str, int]:
    return dict(sorted(Counter(utterance.kind for utterance in utterances).items()))
