"""Stage `representations`: every layer that the recipe asks for, of all audio, in one pass.

Layer 0 of a transformer is what its first block reads, layer k what its k-th block gives: the
output of the 15th block, which wav2vec-U reads (`layer=14` there, from 0), is layer 15 here.
"""

from __future__ import annotations

import json
import logging
from typing import Any

from omegaconf import OmegaConf

from unsup_asr.engine.config import instantiate
from unsup_asr.engine.stages import StageContext
from unsup_asr.extraction.plan import Extraction, extract, plan_shards
from unsup_asr.extraction.worker import KEPT, chosen_layers
from unsup_asr.formats.checked import read_json_value
from unsup_asr.formats.manifest import read_manifest
from unsup_asr.formats.sharded import ShardedArray, read_index, write_index
from unsup_asr.protocols import Launcher, Upstream
from unsup_asr.types import SPLITS

log = logging.getLogger(__name__)

_WORK = "work"  # below the stage's folder while it runs


def run_representations(context: StageContext) -> None:
    """Extract what is missing; write the index of each split and `representations.json`."""
    options = context.config.features
    upstream: Upstream = instantiate(options.upstream)
    layers = chosen_layers(_plain(options.layers), upstream.num_layers)
    utterances = {
        split: read_manifest(context.input("corpus").file(f"{split}.jsonl")) for split in SPLITS
    }
    shard_seconds = 60 * options.runtime.shard_minutes
    shards = {
        split: plan_shards(found, split=split, shard_seconds=shard_seconds)
        for split, found in utterances.items()
    }
    extraction = Extraction(
        upstream=_plain(options.upstream),
        layers=layers,
        silence=_plain(options.silence) if options.get("cut_from") == "audio" else None,
        device=context.config.runtime.device,
        batch_seconds=options.runtime.batch_seconds,
        out=str(context.out.resolve()),
        work=str(context.out.resolve() / _WORK),
        shards=tuple(shard for of_split in shards.values() for shard in of_split),
    )
    launcher: Launcher = instantiate(options.runtime.launcher)
    extract(extraction, launcher, attempts=options.runtime.attempts)
    for split, of_split in shards.items():
        folder, ids = context.out / split, [u.id for u in utterances[split]]
        write_index(folder, [s.name for s in of_split], _name(layers[0]), ids)
        if num_short := len(ids) - len(read_index(folder)):
            log.warning(
                "%s: %d of %d utterances are shorter than one frame of the upstream, and are left "
                "out. If they are many, look at how the recordings were cut",
                *(split, num_short, len(ids)),
            )
    description = {
        "layers": layers,
        "dim": upstream.dim,
        "upstream": upstream.fingerprint(),
    }
    (context.out / "representations.json").write_text(json.dumps(description, indent=1), "utf-8")


def open_layers(context: StageContext, split: str) -> dict[int, ShardedArray]:
    """Of each extracted layer the frames (T, D) by utterance id, in the order of the manifest.

    Float16, memory-mapped when asked for, long silences included. Utterances that are too short
    for features are left out.
    """
    artifact = context.input("representations")
    described = read_json_value(artifact.file("representations.json"))
    return {k: ShardedArray.open(artifact.file(split), _name(k)) for k in described["layers"]}


def open_kept(context: StageContext, split: str) -> ShardedArray:
    """Where silence was cut out of the audio, the frames of the whole audio that are left."""
    return ShardedArray.open(context.input("representations").file(split), KEPT)


def _name(layer: int) -> str:
    return f"layer_{layer}"


def _plain(node: Any) -> Any:
    return OmegaConf.to_container(node, resolve=True) if OmegaConf.is_config(node) else node
