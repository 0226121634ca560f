"""Train, dev and test with no speaker in two of them."""

from __future__ import annotations

import logging
from collections.abc import Sequence

import numpy as np

from unsup_asr.types import SPLITS, Utterance

logger = logging.getLogger(__name__)

LEAST_TRAIN_SHARE = 0.5  # of the audio; a split that leaves less says so


def split_by_speaker(
    utterances: Sequence[Utterance],
    *,
    dev_fraction: float,
    test_fraction: float,
    seed: int,
) -> dict[str, list[Utterance]]:
    """Utterances by split. The fractions are of the hours; whole speakers move, at random.

    With fewer than three speakers utterances move one by one, so that dev and test voices are seen
    in training; a warning says so.
    """
    for name, fraction in (("dev_fraction", dev_fraction), ("test_fraction", test_fraction)):
        if not 0 < fraction < 1:
            raise ValueError(f"{name} is {fraction}; expected more than 0 and less than 1")
    if dev_fraction + test_fraction >= 1:
        raise ValueError(
            f"dev_fraction + test_fraction is {dev_fraction + test_fraction}; expected less than 1"
        )
    groups: dict[str, list[Utterance]] = {}
    for utterance in utterances:
        groups.setdefault(utterance.speaker, []).append(utterance)
    if len(groups) < len(SPLITS):
        logger.warning(
            "%d speakers (%s): too few to hold any out, dev and test have voices of train. Error "
            "rates are then of known voices; name speakers (corpus.speakers) if there are more",
            len(groups),
            ", ".join(sorted(groups)),
        )
        groups = {utterance.id: [utterance] for utterance in utterances}
    if len(groups) < len(SPLITS):
        raise ValueError(
            f"{len(utterances)} utterances; train, dev and test need one each at least"
        )
    order = np.random.default_rng(seed).permutation(len(groups))
    queue = [list(groups.values())[i] for i in order]
    splits: dict[str, list[Utterance]] = {name: [] for name in SPLITS}
    total_s = sum(utterance.duration_s for utterance in utterances)
    for name, fraction in (("test", test_fraction), ("dev", dev_fraction)):
        num_reserved = 1 + (name == "test")  # one for train, one for dev
        while len(queue) > num_reserved and (
            not splits[name] or _seconds(splits[name]) < fraction * total_s - 1e-6
        ):
            splits[name].extend(queue.pop())
    taken = {utterance.id for name in ("dev", "test") for utterance in splits[name]}
    for name in ("dev", "test"):
        chosen = {utterance.id for utterance in splits[name]}
        splits[name] = [utterance for utterance in utterances if utterance.id in chosen]
    splits["train"] = [utterance for utterance in utterances if utterance.id not in taken]
    share = _seconds(splits["train"]) / total_s
    if share < LEAST_TRAIN_SHARE:
        logger.warning(
            "only %.0f %% of the audio is left for training (%s): whole speakers are held out. "
            "Lower dev_fraction and test_fraction, or name speakers otherwise",
            100 * share,
            ", ".join(f"{name} {_seconds(of) / 60:.1f} min" for name, of in splits.items()),
        )
    return splits


def _seconds(utterances: Sequence[Utterance]) -> float:
    return sum(utterance.duration_s for utterance in utterances)
