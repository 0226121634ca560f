"""Who is in which split of TIMIT: the standard speakers, and the two setups of unpaired training.

matched: the speech and the text are the same 3696 training utterances, the text shuffled.
unmatched: speech, text and validation are disjoint parts of all 4620, as in Chen et al. 2019.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from unsup_asr.corpora.timit_files import PORTIONS, TimitUtterance
from unsup_asr.formats.lines import read_lines

SETUPS = ("matched", "unmatched")
TEST_SETS = ("core_test", "all_test")

# fmt: off
# The 24 speakers of the core test set (TIMIT's own TESTSET.DOC).
CORE_TEST_SPEAKERS = frozenset({
    "MDAB0", "MWBT0", "FELC0", "MTAS1", "MWEW0", "FPAS0", "MJMP0", "MLNT0", "FPKT0", "MLLL0",
    "MTLS0", "FJLM0", "MBPM0", "MKLT0", "FNLP0", "MCMJ0", "MJDH0", "FMGD0", "MGRT0", "MNJM0",
    "FDHC0", "MJLN0", "MPAM0", "FMLD0",
})
# The 50 development speakers of Halberstadt 1998, out of TEST; as in Kaldi's egs/timit/s5.
CORE_DEV_SPEAKERS = frozenset({
    "FAKS0", "FDAC1", "FJEM0", "MGWT0", "MJAR0", "MMDB1", "MMDM2", "MPDF0", "FCMH0", "FKMS0",
    "MBDG0", "MBWM0", "MCSH0", "FADG0", "FDMS0", "FEDW0", "MGJF0", "MGLB0", "MRTK0", "MTAA0",
    "MTDT0", "MTHC0", "MWJG0", "FNMR0", "FREW0", "FSEM0", "MBNS0", "MMJR0", "MDLS0", "MDLF0",
    "MDVC0", "MERS0", "FMAH0", "FDRW0", "MRCS0", "MRJM4", "FCAL1", "MMWH0", "FJSJ0", "MAJC0",
    "MJSW0", "MREB0", "FGJD0", "FJMG0", "MROA0", "MTEB0", "MJFC0", "MRJR0", "FMML0", "MRWS1",
})
# fmt: on

# Utterances of each kind in the unmatched lists of Chen et al. 2019, counted in fairseq's copy.
UNMATCHED_COUNTS = {
    "train": {"SX": 1585, "SI": 778, "SA": 637},
    "text": {"SX": 543, "SI": 217, "SA": 240},
    "dev": {"SX": 182, "SI": 391, "SA": 47},
}
# Names of fairseq's lists (examples/wav2vec/unsupervised/config/timit_*).
UID_LISTS = {"train": "train.uid", "text": "train_text.uid", "dev": "valid.uid", "test": "test.uid"}


@dataclass(frozen=True)
class TimitSplit:
    """Utterances to hear in train, dev and test, and those whose transcripts are the text."""

    train: list[TimitUtterance]
    text: list[TimitUtterance]
    dev: list[TimitUtterance]
    test: list[TimitUtterance]
    source: str

    def __post_init__(self) -> None:
        for name in ("train", "text", "dev", "test"):
            if not getattr(self, name):
                raise ValueError(
                    f"TIMIT: the split {name!r} ({self.source}) has no utterance in this folder; "
                    "give the whole corpus"
                )


def derived_split(
    utterances: Sequence[TimitUtterance], *, setup: str, test_set: str, seed: int
) -> TimitSplit:
    """A setup out of the recordings alone; `seed` draws the unmatched parts."""
    test = [u for u in utterances if u.portion == "TEST"]
    train = [u for u in utterances if u.portion == "TRAIN"]
    scored = test
    if test_set == "core_test":
        scored = [u for u in test if u.speaker in CORE_TEST_SPEAKERS and u.kind != "SA"]
    if setup == "matched":
        heard = [u for u in train if u.kind != "SA"]
        dev = [u for u in test if u.speaker in CORE_DEV_SPEAKERS and u.kind != "SA"]
        return TimitSplit(heard, heard, dev, scored, "standard speakers")
    parts = _drawn(train, seed)
    source = f"drawn with split_seed {seed}: not the lists of Chen et al. 2019"
    return TimitSplit(parts["train"], parts["text"], parts["dev"], scored, source)


def listed_split(
    utterances: Sequence[TimitUtterance], folder: Path, *, is_text_apart: bool
) -> TimitSplit:
    """The utterances that four lists name, one id a line: `FADG0_SI1279`."""
    by_id = {utterance.id: utterance for utterance in utterances}
    parts = {name: _read_list(folder / file, by_id) for name, file in UID_LISTS.items()}
    apart = [("train", "dev"), ("train", "test"), ("text", "dev"), ("text", "test")]
    for one, other in [*apart, *([("train", "text")] if is_text_apart else [])]:
        shared = sorted({u.id for u in parts[one]} & {u.id for u in parts[other]})
        if shared:
            raise ValueError(
                f"{folder}: {len(shared)} utterances are in both {UID_LISTS[one]} and "
                f"{UID_LISTS[other]} (first: {shared[0]}); expected lists without shared ones"
            )
    return TimitSplit(**parts, source=f"lists in {folder}")


def _drawn(train: Sequence[TimitUtterance], seed: int) -> dict[str, list[TimitUtterance]]:
    """Parts with the published counts of each kind; of an incomplete corpus, in proportion."""
    generator = np.random.default_rng(seed)
    parts: dict[str, list[TimitUtterance]] = {name: [] for name in UNMATCHED_COUNTS}
    for kind in ("SA", "SI", "SX"):
        of_kind = [u for u in train if u.kind == kind]
        counts = [UNMATCHED_COUNTS[name][kind] for name in parts]
        edges = np.cumsum([0, *counts]) * len(of_kind) // sum(counts)
        order = generator.permutation(len(of_kind))
        for name, start, stop in zip(parts, edges, edges[1:], strict=False):
            parts[name] += [of_kind[i] for i in order[start:stop]]
    return {name: sorted(part, key=lambda u: u.id) for name, part in parts.items()}


def _read_list(path: Path, by_id: Mapping[str, TimitUtterance]) -> list[TimitUtterance]:
    if not path.is_file():
        raise ValueError(
            f"{path}: no such list; corpus.uid_lists names a folder with "
            f"{', '.join(UID_LISTS.values())}, one id such as FADG0_SI1279 a line"
        )
    ids = [line.strip().upper() for line in read_lines(path) if line.strip()]
    if len(set(ids)) != len(ids):
        raise ValueError(f"{path}: {len(ids) - len(set(ids))} ids are there twice")
    unknown = [key for key in ids if key not in by_id]
    if unknown:
        raise ValueError(
            f"{path}: {len(unknown)} of {len(ids)} ids are not in the corpus (first: "
            f"{unknown[0]!r}); expected ids such as FADG0_SI1279 of all {sum(PORTIONS.values())}"
        )
    return sorted((by_id[key] for key in ids), key=lambda utterance: utterance.id)
