"""Which stages asked for the device is recorded and announced, and of each stage by itself."""

from __future__ import annotations

import json
from pathlib import Path

import torch
from omegaconf import OmegaConf

from unsup_asr import compute
from unsup_asr.engine.stages import Stage, StageContext, run_stages


def test_only_a_stage_that_asks_for_the_device_ran_there(
    tmp_path: Path,
) -> None:
    def counts(context: StageContext) -> None:
        (context.out / "count").touch()

    def multiplies(context: StageContext) -> None:
        (context.out / "device").write_text(str(compute.device()))

    config = OmegaConf.create({"seed": 0, "runtime": {"num_threads": 1}})
    said: list[str] = []
    stages = [Stage("gan", multiplies), Stage("text", counts)]
    with compute.using(torch.device("meta")):
        folders = run_stages(stages, config, tmp_path, announce=said.append)
    places = {
        name: json.loads((folder / "stage.json").read_text())["ran_on"]
        for name, folder in folders.items()
    }
    assert places == {"gan": "meta", "text": "cpu"}
    assert said[0].endswith(" s on meta")
    assert said[1].endswith(" s")
