"""Scores of token sequences under an ARPA or KenLM binary model, through kenlm."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import kenlm

from lm.arpa import read_arpa

_ORDER_ONE = "assumes at least a bigram model"  # in kenlm's message
_NEVER = -100.0  # log10 probability of what is unknown to a model without <unk>, as in kenlm
_loaded: dict[str, KenlmModel] = {}  # by digest of the file's bytes


@dataclass(frozen=True)
class CorpusScore:
    """Totals over sentences; `log10_probability` includes </s>, `log10_probability_words` not."""

    num_sentences: int
    num_words: int
    num_unknown: int
    log10_probability: float
    log10_probability_words: float

    @property
    def perplexity_with_eos(self) -> float:
        """Per word and sentence end."""
        return 10.0 ** (-self.log10_probability / (self.num_words + self.num_sentences))

    @property
    def perplexity_without_eos(self) -> float:
        """Per word; ValueError when there is none."""
        if self.num_words == 0:
            raise ValueError("perplexity without sentence ends needs at least one word; found none")
        return 10.0 ** (-self.log10_probability_words / self.num_words)


class _Unigrams:
    """A model of order 1, which kenlm does not read, as kenlm's own models answer."""

    order = 1

    def __init__(self, path: Path) -> None:
        table = read_arpa(path).table(1)
        self._log10 = {word: probability for (word,), (probability, _) in table.items()}

    def __contains__(self, word: str) -> bool:
        return word in self._log10

    def full_scores(self, sentence: str) -> Iterator[tuple[float, int, bool]]:
        """log10 probability, length and whether it is unknown of each word, and of the end."""
        for word in [*sentence.split(), "</s>"]:
            known = word in self._log10
            yield self._log10.get(word if known else "<unk>", _NEVER), 1, not known

    def score(self, sentence: str, *, bos: bool, eos: bool) -> float:
        """Of a sentence, with its end or without; where it begins changes nothing."""
        del bos
        scores = [score for score, _, _ in self.full_scores(sentence)]
        return sum(scores if eos else scores[:-1])


class KenlmModel:
    """A loaded model; `load` makes one."""

    def __init__(self, path: Path, digest: str) -> None:
        self.path = path
        self.digest = digest
        config = kenlm.Config()
        config.show_progress = False
        config.arpa_complain = kenlm.ARPALoadComplain.NONE
        try:
            self._model = kenlm.Model(str(path), config)
        except (OSError, ValueError) as error:  # its message may quote bytes that are no UTF-8
            if _ORDER_ONE in str(error):
                self._model = _Unigrams(path)
                return
            raise ValueError(
                f"{path}: kenlm cannot read it ({error}); expected an ARPA file or a KenLM binary"
            ) from error

    @property
    def order(self) -> int:
        """Longest n-gram."""
        return self._model.order

    def knows(self, word: str) -> bool:
        """Whether the word is in the vocabulary."""
        return word in self._model

    def log10_score(self, tokens: Sequence[str], *, bos: bool = True, eos: bool = True) -> float:
        """log10 probability of the tokens, after <s> if `bos`, followed by </s> if `eos`."""
        return self._model.score(" ".join(tokens), bos=bos, eos=eos)

    def score_corpus(self, sentences: Iterable[Sequence[str]]) -> CorpusScore:
        """Totals over the sentences, each scored after <s>, with and without </s>."""
        num_sentences = num_words = num_unknown = 0
        total = total_words = 0.0
        for tokens in sentences:
            scores = list(self._model.full_scores(" ".join(tokens)))
            words = [score for score, _, _ in scores[:-1]]
            total_words += sum(words)
            total += sum(words) + scores[-1][0]
            num_unknown += sum(unknown for _, _, unknown in scores[:-1])
            num_words += len(words)
            num_sentences += 1
        if num_sentences == 0:
            raise ValueError("no sentences to score; perplexity needs at least one")
        return CorpusScore(num_sentences, num_words, num_unknown, total, total_words)

    def perplexity(self, sentences: Iterable[Sequence[str]], *, with_eos: bool) -> float:
        """Perplexity per word, the ends of sentences counted or not."""
        score = self.score_corpus(sentences)
        return score.perplexity_with_eos if with_eos else score.perplexity_without_eos


def load(path: Path) -> KenlmModel:
    """The model of this file; one whose bytes were loaded before is taken from memory."""
    digest = file_digest(path)
    if digest not in _loaded:
        _loaded[digest] = KenlmModel(path, digest)
    return _loaded[digest]


def file_digest(path: Path) -> str:
    """sha256 of the file, as hexadecimal."""
    if not path.is_file():
        raise ValueError(f"{path}: no such language model; estimate it first")
    digest = hashlib.sha256()
    with path.open("rb") as opened:
        while chunk := opened.read(1 << 20):
            digest.update(chunk)
    return digest.hexdigest()
