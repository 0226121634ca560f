"""Networks of torchaudio, run batched and layer by layer.

WavLM is run by them wherever its weights come from: torchaudio's computes the same states as that
of transformers in three quarters of the time (docs/results.md).
"""

# Axes: B batch, N samples, T frames, D dims.

from __future__ import annotations

import logging
from typing import Any

from torch import Tensor, nn

from unsup_asr.upstreams.frozen import BEFORE_RESIDUAL, added_by_blocks
from unsup_asr.upstreams.torchaudio_package import torchaudio_part
from unsup_asr.upstreams.wave_batch import each_at_its_length, padding_mask


def from_transformers(network: nn.Module) -> nn.Module:
    """torchaudio's network with the weights of a WavLM of transformers."""
    convert = torchaudio_part("models.wav2vec2.utils").import_huggingface_model
    log = logging.getLogger(convert.__module__)
    was_disabled, log.disabled = log.disabled, True  # it warns that there is no CTC head
    try:
        return convert(network)
    finally:
        log.disabled = was_disabled


def without_blocks_above(network: Any, highest: int | None) -> nn.Module:
    """The network without the blocks that layers up to `highest` do not need."""
    transformer = network.encoder.transformer
    if highest is not None and highest < len(transformer.layers):
        transformer.layers = transformer.layers[:highest]
        if not transformer.layer_norm_first:  # it stands behind the last block, which is not run
            transformer.layer_norm = nn.Identity()
    return network


def states_of(
    network: Any,
    waves_BN: Tensor,
    lengths_B: Tensor,
    frames_B: Tensor,
    *,
    reads_all_time: bool,
    is_wavlm: bool,
    reading: str,
) -> list[Tensor]:
    """What goes into the first block, and what each block gives, (B, T, D), of waveforms with
    `frames_B` frames.

    `reads_all_time`: of a feature extractor that normalises over time, so that padding would leak.
    """
    if reads_all_time:
        front_BTD = each_at_its_length(
            lambda rows_BN: network.feature_extractor(rows_BN, None)[0],
            waves_BN,
            lengths_B,
            output_time_axis=1,
        )
    else:
        front_BTD, _ = network.feature_extractor(waves_BN, None)
    is_padding_BT = padding_mask(frames_B, front_BTD.shape[1])
    x_BTD = network.encoder.feature_projection(front_BTD)
    x_BTD = x_BTD.masked_fill(is_padding_BT[..., None], 0.0)
    transformer = network.encoder.transformer
    with added_by_blocks(transformer.layers, is_wanted=reading == BEFORE_RESIDUAL) as added:
        states = _through(transformer, x_BTD, is_padding_BT, is_wavlm)
    return [states[0], *added] if added else states


def _through(
    transformer: Any, x_BTD: Tensor, is_padding_BT: Tensor, is_wavlm: bool
) -> list[Tensor]:
    """As torchaudio's Transformer runs its blocks, keeping what goes into the first one too."""
    mask: dict[str, Tensor] = {}
    if is_padding_BT.any() and is_wavlm:
        mask = {"key_padding_mask": is_padding_BT}
    elif is_padding_BT.any():
        num_rows, num_frames = is_padding_BT.shape
        attended = ~is_padding_BT[:, None, None, :]
        mask = {"attention_mask": attended.expand(num_rows, 1, num_frames, num_frames)}
    x_BTD = x_BTD + transformer.pos_conv_embed(x_BTD)
    if transformer.layer_norm_first:
        x_BTD = transformer.layer_norm(x_BTD)
    states, position_bias = [x_BTD], None
    for block in transformer.layers:
        x_BTD, position_bias = block(x_BTD, position_bias=position_bias, **mask)
        states.append(x_BTD)
    if not transformer.layer_norm_first:
        states[-1] = transformer.layer_norm(x_BTD)
    return states
