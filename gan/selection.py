"""Choosing among checkpoints and members without labels. Language models come in as numbers.

`OutputStatistics` says what a candidate wrote and how likely a phone language model finds it; the
language model must score the tokens that are counted here (with silence on both, or on neither).
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from unsup_asr.types import Int32Array


@dataclass(frozen=True)
class OutputStatistics:
    """Transcripts of one candidate, summed over utterances."""

    log10_probability: float  # with begin and end of sentence
    num_phones: int  # phones written
    num_utterances: int
    num_distinct: int  # phones that occur at all
    vocabulary_size: int

    @property
    def usage(self) -> float:
        """Share of the vocabulary that occurs, 0 to 1."""
        return self.num_distinct / self.vocabulary_size

    @property
    def perplexity(self) -> float:
        """Per phone, each end of sentence counted as one. Infinite for an empty output."""
        if self.num_phones == 0:
            return math.inf
        return 10 ** (-self.log10_probability / (self.num_phones + self.num_utterances))


def output_statistics(
    transcripts: Sequence[Int32Array], perplexity: float, *, vocabulary_size: int
) -> OutputStatistics:
    """Of non-empty transcripts and their perplexity, each end of sentence counted as one phone.

    ValueError without transcripts.
    """
    if not transcripts:
        raise ValueError("no transcripts to judge; give at least one validation utterance")
    num_phones = sum(len(transcript) for transcript in transcripts)
    tokens = num_phones + len(transcripts)
    distinct = {int(phone) for transcript in transcripts for phone in transcript}
    log10 = -math.inf if math.isinf(perplexity) else -tokens * math.log10(perplexity)
    return OutputStatistics(log10, num_phones, len(transcripts), len(distinct), vocabulary_size)


def weighted_lm_perplexity(output: OutputStatistics, *, usage_power: float = 2.0) -> float:
    """Perplexity / usage^2: lower is better. fairseq's checkpoint criterion.

    fairseq takes usage batch by batch and averages; here it is of all transcripts together.
    """
    if output.num_distinct == 0:
        return math.inf
    return output.perplexity / output.usage**usage_power


def choose_by_weighted_perplexity(outputs: Sequence[OutputStatistics]) -> int:
    """The candidate of lowest weighted perplexity; the first of equals."""
    _require(outputs)
    return min(range(len(outputs)), key=lambda i: weighted_lm_perplexity(outputs[i]))


def choose_by_two_steps(outputs: Sequence[OutputStatistics], *, slack: float = 1.2) -> int:
    """Baevski et al. 2021, section on cross-validation: near the best, prefer the likeliest total.

    NLL is per phone. First P^ = argmin NLL(P) - log U(P); then, of all P with
    NLL(P) < NLL(P^) + log(U(P) / U(P^)) + log(slack), the one with the highest total log
    probability, which punishes outputs that are too long.
    """
    _require(outputs)
    scores = [_two_step_score(output) for output in outputs]
    best = min(range(len(outputs)), key=lambda i: scores[i])
    if math.isinf(scores[best]):
        return best
    near = [i for i, score in enumerate(scores) if score < scores[best] + math.log(slack)]
    return max(near, key=lambda i: outputs[i].log10_probability)


def choose_by_total_over_usage(outputs: Sequence[OutputStatistics]) -> int:
    """REBORN's checkpoint rule (Tseng et al. 2024): highest total log10 probability / usage."""
    _require(outputs)
    return max(
        range(len(outputs)),
        key=lambda i: (
            outputs[i].log10_probability / outputs[i].usage
            if outputs[i].num_distinct
            else -math.inf
        ),
    )


RULES: dict[str, Callable[[Sequence[OutputStatistics]], int]] = {
    "weighted_perplexity": choose_by_weighted_perplexity,
    "two_steps": choose_by_two_steps,
    "total_over_usage": choose_by_total_over_usage,
}


def _two_step_score(output: OutputStatistics) -> float:
    if output.num_distinct == 0:
        return math.inf
    return math.log(output.perplexity) - math.log(output.usage)


def _require(outputs: Sequence[OutputStatistics]) -> None:
    if not outputs:
        raise ValueError("no candidates to choose from; train at least one member")
