"""What s3prl's PASE+ expert has to be told: which of the network's outputs are its states.

Each skip connection, the projection and the output, at the output's frame rate, as in SUPERB. The
network itself comes from the package `pase`, which is on no package index
(docs/add-an-upstream.md says where it is).
"""

# Axes: B batch, D dims, T frames at the output's rate, F frames at a layer's own rate.

from __future__ import annotations

from pathlib import Path
from typing import Any

from torch import Tensor

from unsup_asr.formats.checked import read_json


def pase_options(model_config: Path) -> dict[str, Any]:
    """Options of the expert for a network of this config (JSON)."""
    try:
        config = read_json(model_config, "kwidths")
        num_skips = len(config["kwidths"]) - 1 if config.get("denseskips") else 0
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise ValueError(
            f"{model_config} is not a config of PASE+ ({error!r}); expected its JSON file "
            "PASE+.cfg, with kwidths and denseskips"
        ) from error
    modules = [f"self.model.denseskips[{i}]" for i in range(num_skips)]
    hooks = [(name, _output) for name in (*modules, "self.model.W", "self.model")]
    return {"model_config": str(model_config), "hooks": hooks, "hook_postprocess": at_one_rate}


def at_one_rate(states: list[tuple[str, Tensor]]) -> list[tuple[str, Tensor]]:
    """States (B, D, F) of layers of several frame rates, as (B, T, D) of the last one's."""
    num_frames = states[-1][1].shape[2]
    pooled = []
    for name, state_BDF in states:
        rate = max(1, state_BDF.shape[2] // num_frames)
        whole_BDF = state_BDF[:, :, : num_frames * rate]
        pooled.append((name, whole_BDF.unflatten(2, (num_frames, rate)).mean(3).transpose(1, 2)))
    return pooled


def _output(inputs: object, output: Tensor) -> Tensor:
    del inputs
    return output
