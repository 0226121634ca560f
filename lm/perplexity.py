"""Perplexity of recognised phones under the text's n-gram model, as the pipeline asks for it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from lm.score import load


@dataclass(frozen=True, kw_only=True)
class PerplexityScorer:
    """kenlm's; with or without the ends of sentences in the mean."""

    with_eos: bool = True

    def perplexity(self, arpa: Path, sequences: Sequence[Sequence[str]]) -> float:
        """Per phone (and sentence end); the model is loaded once for each content of the file."""
        return load(arpa).perplexity(sequences, with_eos=self.with_eos)
