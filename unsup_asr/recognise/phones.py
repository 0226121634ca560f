"""Posteriors to phones, with times in the original audio."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import numpy as np
from omegaconf import DictConfig, OmegaConf

from unsup_asr.protocols import PhoneDecoder
from unsup_asr.recognise.timing import timed
from unsup_asr.types import Float32Array, FrameTiming, Hypothesis, Int32Array

BLANK = "<blank>"


def decode_utterances(
    decoder: PhoneDecoder,
    posteriors: Mapping[str, Float32Array],
    inventory: Sequence[str],
    *,
    stack: int,
    kept: Mapping[str, Int32Array],
    timing: FrameTiming,
) -> list[Hypothesis]:
    """Hypotheses with times in the original audio, and the posterior of each phone."""
    symbols = [BLANK, *inventory]
    column = {symbol: i for i, symbol in enumerate(symbols)}
    decoded = decoder.decode_batch(list(posteriors.values()), symbols)
    hypotheses: list[Hypothesis] = []
    for (utterance_id, scores_TV), candidates in zip(posteriors.items(), decoded, strict=True):
        best = candidates[0]
        edges = np.array([*best.start_frames, len(scores_TV)])
        confidences = tuple(
            float(np.exp(scores_TV[a : max(b, a + 1), column[phone]].max()))
            for phone, a, b in zip(best.phones, edges[:-1], edges[1:], strict=True)
        )
        frames_K = kept[utterance_id]
        hypotheses.append(
            timed(utterance_id, best.phones, edges * stack, frames_K, timing, confidences)
        )
    return hypotheses


def decoder_files(node: DictConfig) -> list[str]:
    """Names of the files that the recipe's decoder reads: its options `..._path`."""
    return [str(value) for key, value in node.items() if str(key).endswith("_path")]


def with_files(node: DictConfig, locate: Callable[[str], Path]) -> DictConfig:
    """The decoder's node with its files' names made paths, and the blank."""
    options = {
        key: str(locate(str(value))) if str(key).endswith("_path") else value
        for key, value in node.items()
    }
    return OmegaConf.create({**options, "blank": BLANK})
