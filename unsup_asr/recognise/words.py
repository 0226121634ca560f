"""Posteriors to words and their phones, with times in the original audio."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from omegaconf import DictConfig, OmegaConf

from unsup_asr.protocols import WordDecoder
from unsup_asr.recognise.description import made
from unsup_asr.recognise.timing import timed
from unsup_asr.types import Float32Array, FrameTiming, Hypothesis, Int32Array, WordHypothesis

WORDS_FOLDER = "words"
DECODER = "decoder.json"
WORD_MODEL = "words.arpa"


def recognise_words(
    decoder: WordDecoder,
    posteriors: Mapping[str, Float32Array],
    symbols: Sequence[str],
    *,
    stack: int,
    kept: Mapping[str, Int32Array],
    timing: FrameTiming,
) -> list[tuple[WordHypothesis, Hypothesis]]:
    """Words, and all phones, of each utterance.

    A phone lasts until the next begins, or a pause that was cut; a word until its last phone ends.
    The confidence of a phone is its highest posterior, that of a word the mean of its phones'.
    """
    column = {symbol: i for i, symbol in enumerate(symbols)}
    decoded = decoder.decode_batch(list(posteriors.values()), symbols)
    found: list[tuple[WordHypothesis, Hypothesis]] = []
    for (utterance_id, scores_TV), candidates in zip(posteriors.items(), decoded, strict=True):
        best = candidates[0]
        edges = np.array([*best.start_frames, len(scores_TV)])
        confidences = [
            float(np.exp(scores_TV[a : max(b, a + 1), column[phone]].max()))
            for phone, a, b in zip(best.phones, edges[:-1], edges[1:], strict=True)
        ]
        frames_K = kept[utterance_id]
        phones = timed(utterance_id, best.phones, edges * stack, frames_K, timing, confidences)
        position = {frame: i for i, frame in enumerate(best.start_frames)}
        spans = [[position[frame] for frame in word.start_frames] for word in best.words]
        words = WordHypothesis(
            utterance_id,
            tuple(word.word for word in best.words),
            tuple(phones.starts_s[span[0]] for span in spans),
            tuple(phones.ends_s[span[-1]] for span in spans),
            tuple(float(np.mean([confidences[i] for i in span])) for span in spans),
        )
        found.append((words, phones))
    return found


def word_decoder(options: Mapping[str, Any] | DictConfig, folder: Path) -> WordDecoder:
    """The decoder with these options; `folder` holds the files that they name."""
    described = OmegaConf.create({"decoder": dict(options)})
    return made(described, "decoder", WordDecoder, folder / DECODER, files_in=folder)
