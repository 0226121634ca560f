"""Stage `superb`: the supervised baseline by SUPERB's recipe, on all layers that the recipe keeps.

`supervised` is the other one: the network of self-training, trained on references instead. Features
of one layer (MFCC) are a weighted sum of that layer alone.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Sequence

import numpy as np

from unsup_asr.acoustic.linear_head import Layers, mean_norms, recognise, save_recognizer
from unsup_asr.acoustic.superb import PhonemeRecognition, TrainedRecognizer
from unsup_asr.engine.config import instantiate
from unsup_asr.engine.stages import StageContext
from unsup_asr.formats.hypotheses import write_hypotheses
from unsup_asr.formats.phone_text import read_inventory
from unsup_asr.progress import progress_bar
from unsup_asr.report.tables import LayerWeights
from unsup_asr.steps.inputs import open_split
from unsup_asr.steps.references import read_references, training_targets
from unsup_asr.steps.representations import open_layers
from unsup_asr.types import Hypothesis

log = logging.getLogger(__name__)


def run_superb(context: StageContext) -> None:
    """Write the recognizer, `superb.json` (dev PER by step, layer weights), hypotheses."""
    training: PhonemeRecognition = instantiate(context.config.superb.training)
    inventory = read_inventory(context.input("text").file("inventory.json"))
    dev_layers = _layers(context, "dev")
    with progress_bar(training.steps, f"{context.stage} CTC") as tick:
        trained = training.train(
            _layers(context, "train"),
            training_targets(context, inventory),
            dev_layers,
            {r.utterance_id: r.phones for r in read_references(context, "dev")},
            inventory,
            progress=tick,
        )
    log.info("kept the state of step %d, dev PER %.2f", trained.best.step, trained.best.per)
    save_recognizer(trained.recognizer, context.out)
    weights = _layer_weights(trained, dev_layers, normalise=training.normalise_layers)
    description = {
        "evaluate_every": training.evaluate_every,
        "steps": [score.step for score in trained.history],
        "dev_per": [score.per for score in trained.history],
        "loss": [score.loss for score in trained.history],
        "best_step": trained.best.step,
        "layer_weights": weights.to_json(),
    }
    (context.out / "superb.json").write_text(json.dumps(description, indent=1), "utf-8")
    (context.out / "hypotheses").mkdir(exist_ok=True)
    for split in ("dev", "test"):
        _write(context, split, trained, inventory)


def _write(
    context: StageContext, split: str, trained: TrainedRecognizer, inventory: Sequence[str]
) -> None:
    found = recognise(trained.recognizer, _layers(context, split), inventory)
    write_hypotheses(
        context.out / "hypotheses" / f"{split}.tsv",
        (Hypothesis(utterance_id, phones) for utterance_id, phones in found.items()),
    )


def _layers(context: StageContext, split: str) -> Layers:
    """All extracted layers of the upstream, whole utterances as in SUPERB; of features that have no
    layers (MFCC), the frames that every stage reads as the one layer.
    """
    if "representations" in context.artifacts:
        return open_layers(context, split)
    return {0: open_split(context, "features", "acoustic", split)}


def _layer_weights(trained: TrainedRecognizer, layers: Layers, *, normalise: bool) -> LayerWeights:
    weights_L = trained.recognizer.weighted_sum.weights_L.detach().cpu().numpy()
    norms = mean_norms(layers, normalise=normalise)
    return LayerWeights(tuple(layers), tuple(np.asarray(weights_L, float).tolist()), norms)
