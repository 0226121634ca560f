"""Words as a network that hears letters spells them. Axes: T frames, V letters."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from lm.greedy import GreedyDecoded, decode_greedy
from lm.words import DecodedSentence, DecodedWord
from unsup_asr.types import Float32Array


@dataclass(kw_only=True)
class SpellingDecoder:
    """No lexicon, no language model: the best letter of each frame, runs merged, and what lies
    between two `boundary` is a word; with `blank`, CTC's best path. The score is 0.
    """

    boundary: str = "|"
    blank: str | None = None

    def decode_batch(
        self, log_posteriors: Sequence[Float32Array], phones: Sequence[str]
    ) -> list[list[DecodedSentence]]:
        """The one sentence of each utterance; the boundary is among its symbols.

        ValueError where the boundary is not among `phones`, which are letters here.
        """
        if self.boundary not in phones:
            raise ValueError(
                f"boundary {self.boundary!r} is not among the letters: {', '.join(phones)}"
            )
        found = [decode_greedy(p_TV, phones, blank=self.blank) for p_TV in log_posteriors]
        return [[self._sentence(letters)] for letters in found]

    def _sentence(self, found: GreedyDecoded) -> DecodedSentence:
        words: list[DecodedWord] = []
        spelled: list[tuple[str, int]] = []
        ends = [*zip(found.phones, found.start_frames, strict=True), (self.boundary, -1)]
        for letter, start in ends:
            if letter != self.boundary:
                spelled.append((letter, start))
            elif spelled:
                letters, starts = zip(*spelled, strict=True)
                words.append(DecodedWord("".join(letters), letters, starts))
                spelled = []
        return DecodedSentence(found.phones, found.start_frames, tuple(words), 0.0)
