"""`import`: a generator that others have published, as a model folder."""

from __future__ import annotations

import argparse
import json
import shutil
from pathlib import Path

from omegaconf import OmegaConf

from unsup_asr.commands import UsageError
from unsup_asr.engine.config import instantiate
from unsup_asr.formats.digests import digest_file
from unsup_asr.recognise.acoustic_models import PUBLISHED, neutral_statistics
from unsup_asr.recognise.description import DIGESTS
from unsup_asr.recognise.features import STATISTICS
from unsup_asr.upstreams.normalise import write_statistics

_SILENCE = {"_target_": "segmentation.silence.EnergySilence", "max_run_frames": 6, "keep_frames": 2}


def import_published(arguments: argparse.Namespace) -> int:
    """Write a folder that `transcribe` reads, whole or not at all."""
    out = Path(arguments.out)
    if out.exists():
        raise UsageError(f"{out}: there already; name a folder that is not, or remove it")
    key = "checkpoint" if Path(arguments.upstream).exists() else "model"
    kind = "fairseq_file.FairseqUpstream" if arguments.upstream.endswith(".pt") else ""
    target = f"unsup_asr.upstreams.{kind or 'transformers_hub.TransformersUpstream'}"
    described = {"_target_": target, key: arguments.upstream}
    upstream = instantiate(OmegaConf.create(described))
    if not 0 <= arguments.layer < upstream.num_layers:
        raise ValueError(
            f"--layer is {arguments.layer}; expected 0 to {upstream.num_layers - 1}: fairseq "
            "counts blocks from 0, so its layer 14 is 15 here"
        )
    published = {"_target_": "gan.published.PublishedFile", "source": arguments.source}
    given = {"phones": arguments.phones, "prepared": arguments.prepared}
    reader = instantiate(OmegaConf.create({**published, **given}))
    scratch = out.with_name(f"{out.name}.partial")
    shutil.rmtree(scratch, ignore_errors=True)
    scratch.mkdir(parents=True)
    try:
        phones = reader.write(scratch / PUBLISHED)
        network = {"_target_": "gan.published.PublishedGenerator", "weights_path": PUBLISHED}
        whole = {**network, "weights_path": str(scratch / PUBLISHED)}
        reads = instantiate(OmegaConf.create(whole)).input_dim
        if reads != upstream.dim:
            raise ValueError(
                f"{arguments.source}: the generator reads frames of {reads} dims, those of "
                f"{arguments.upstream} have {upstream.dim}; name the upstream that it was trained "
                "on (--upstream)"
            )
        (scratch / "inventory.json").write_text(json.dumps({"phones": phones}), "utf-8")
        write_statistics(scratch / STATISTICS, neutral_statistics(upstream.dim))
        names = (PUBLISHED, "inventory.json", STATISTICS)
        features = {"upstream": described, "layer": arguments.layer, "silence": _SILENCE}
        options = {
            "features": {**features, "cut_from": "audio"},
            "upstream": upstream.fingerprint(),
            "network": network,
            "decoder": {"_target_": "lm.greedy.GreedyDecoder"},
            DIGESTS: {name: digest_file(scratch / name) for name in names},
        }
        (scratch / "model.json").write_text(json.dumps(options, indent=1), "utf-8")
        scratch.rename(out)
    finally:
        shutil.rmtree(scratch, ignore_errors=True)
    print(f"{out}: {len(phones)} phones; `unsup-asr transcribe {out} AUDIO`")
    return 0
