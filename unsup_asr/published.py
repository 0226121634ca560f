"""Published phone error rates on TIMIT, to set results beside. Percent.

`is_read` is False where the number was written down from memory and has not been checked against
its source: quote it only after checking.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class PublishedResult:
    """One published system: what was scored, and where the number stands."""

    system: str
    per: float
    corpus: str
    scored_on: str
    num_phones: int
    source: str
    is_read: bool
    is_supervised: bool = False


_LIU = "Liu et al. 2018, arXiv 1804.00316, abstract (phoneme accuracy 36 %; 63.6 as later quoted)"
_CHEN = "Chen et al. 2019, arXiv 1904.04100"
_WAV2VEC_U = "Baevski et al. 2021, arXiv 2105.11084"
_REBORN = "Tseng et al. 2024, arXiv 2402.03988, result files of its repository"

PUBLISHED = (
    PublishedResult("Liu 2018, GAN", 63.6, "timit", "test", 39, _LIU, True),
    PublishedResult(
        "Yeh 2019, segmental ODM",
        41.6,
        "timit",
        "test",
        39,
        "Yeh et al. 2019, arXiv 1812.09323, abstract",
        True,
    ),
    PublishedResult("Chen 2019, GAN + HMM", 33.1, "timit", "test", 39, _CHEN + ", abstract", True),
    PublishedResult(
        "Chen 2019, GAN + HMM, matched text", 26.1, "timit", "all test, matched", 39, _CHEN, False
    ),
    PublishedResult("wav2vec-U, GAN", 16.6, "timit", "all test, matched", 39, _WAV2VEC_U, False),
    PublishedResult(
        "wav2vec-U + self-training",
        11.3,
        "timit",
        "all test, matched",
        39,
        _WAV2VEC_U + ", abstract",
        True,
    ),
    PublishedResult(
        "wav2vec-U, GAN, re-run by REBORN",
        20.32,
        "timit",
        "all test, matched",
        39,
        _REBORN,
        True,
    ),
    PublishedResult(
        "REBORN, second iteration", 12.96, "timit", "all test, matched", 39, _REBORN, True
    ),
    PublishedResult(
        "EURO, wav2vec 2.0",
        19.8,
        "timit",
        "test",
        39,
        "Gao et al. 2022, arXiv 2211.17196",
        False,
    ),
    PublishedResult("Li-GRU, fMLLR", 14.9, "timit", "core test", 39, "wer_are_we list", True, True),
    PublishedResult(
        "wav2vec 2.0",
        8.3,
        "timit",
        "core test",
        39,
        "Baevski et al. 2020, arXiv 2006.11477",
        False,
        True,
    ),
)
