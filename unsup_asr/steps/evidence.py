"""What a network hears in each segment: evidence of its phone.

Axes: T input frames, S segments, V phones.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import numpy as np

from unsup_asr.acoustic.network import load_network
from unsup_asr.acoustic.posteriors import posterior_blocks
from unsup_asr.engine.artifacts import Artifact
from unsup_asr.formats.ragged import RaggedArray, RaggedWriter
from unsup_asr.steps.computed import Computed
from unsup_asr.types import Float32Array, Int32Array


def segment_evidence(
    network_from: Artifact,
    features: Mapping[str, Float32Array],
    boundaries: Mapping[str, Int32Array],
    *,
    num_phones: int,
    out: Path,
) -> RaggedArray:
    """The highest posterior of each phone in each segment (S, V), by utterance; written into the
    folder `out`, so that memory does not grow with the hours.

    Not the mean: CTC is sure of a phone in a frame or two and of the blank, which is dropped, in
    the rest. `boundaries` are in input frames, the first 0 and the last T.
    """
    network = load_network(network_from.file("network.json").parent)
    stack = network.shape.stack
    cut = Computed(list(boundaries), lambda i: features[i])
    with RaggedWriter(out) as writer:
        for block in posterior_blocks(network, cut):
            for utterance_id, log_posteriors_TV in block.items():
                phones_TV = np.exp(log_posteriors_TV[:, -num_phones:])
                edges = np.array(boundaries[utterance_id])
                firsts, lasts = edges[:-1] // stack, -(-edges[1:] // stack)
                evidence_SV = np.stack(
                    [
                        phones_TV[a : max(a + 1, b)].max(axis=0)
                        for a, b in zip(firsts, lasts, strict=True)
                    ]
                )
                writer.append(utterance_id, evidence_SV)
    return RaggedArray.open(out)
