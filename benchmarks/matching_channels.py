"""What matching makes of text as it is, and of text as the segmenter cuts it, beside the ceiling.

    unsup-asr run synthetic language=cmn matching=spoken_channel --until matching
    python -m benchmarks.matching_channels exp/synthetic_cmn/latest ... [--channels plain spoken]
        [--set place_weight=0 search_place_weight=0]

One line of a table for each run of a synthetic corpus: PER on the development voices of the
majority map of its clusters, which no table can be far below, and of matching against each text:

plain   as `matching=skip_bigrams` has it
spoken  as `matching=spoken_channel` has it
own     through the channel of the recordings themselves, from the times of their phones; matched as
        `spoken` is

The references of training speech are read for the majority map and for `own`, those of development
speech to score.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from rapidfuzz.distance import Levenshtein

from gan.segmentation_channel import SegmentationChannel
from unsup_asr.engine.config import instantiate
from unsup_asr.engine.recipe import load_recipe
from unsup_asr.formats.hypotheses import read_transcripts
from unsup_asr.formats.phone_text import (
    flat_phones,
    phone_ids,
    read_inventory,
    read_phone_sentences,
)
from unsup_asr.formats.ragged import RaggedArray
from unsup_asr.protocols import Matcher
from unsup_asr.speech.runs import merge_repeats, run_starts
from unsup_asr.speech.timing import read_timing
from unsup_asr.steps.matching import duplicate_phones
from unsup_asr.steps.spoken_segments import phone_of_frames, segments_of_phones
from unsup_asr.types import Float32Array, Int32Array

CHANNELS = ("plain", "spoken", "own")


class Units:
    """Clusters of a run, and the phones that its references say they are of."""

    def __init__(self, run: Path) -> None:
        self.run = run
        self.inventory = read_inventory(run / "text" / "inventory.json")
        sentences = read_phone_sentences(run / "text" / "phones.txt")
        ids = [phone_ids(flat_phones(s), self.inventory) for s in sentences]
        self.text = [merge_repeats(x) for x in ids]
        self.centroids_KD = np.load(run / "units" / "centroids.npy")
        opened = RaggedArray.open(run / "units" / "clusters" / "train")
        self.clusters = [np.array(opened[i]) for i in opened]
        self.phones, self.num_segments, self.counts_KV = self._aligned()

    def _aligned(self) -> tuple[list[Int32Array], list[Int32Array], np.ndarray]:
        """Phones and their segments in training speech; counts of clusters and phones."""
        ids = {phone: i for i, phone in enumerate(self.inventory)}
        counts_KV = np.zeros((len(self.centroids_KD), len(ids) + 1))
        timing = read_timing(self.run / "features" / "timing.json")
        clusters, boundaries, kept = (
            RaggedArray.open(self.run / path / "train")
            for path in ("units/clusters", "segments/boundaries", "features/kept")
        )
        spoken, numbers = [], []
        for reference in read_transcripts(self.run / "corpus" / "references" / "train.tsv"):
            i = reference.utterance_id
            if i not in clusters.ids:
                continue
            phones = np.array([ids.get(p, len(ids)) for p in reference.phones], dtype=np.int32)
            centres_T = np.array(kept[i]) * timing.shift_s + timing.first_centre_s
            phone_T = phone_of_frames(centres_T, np.array(reference.starts_s))
            edges = np.array(boundaries[i])
            starts = run_starts(phones)
            count = segments_of_phones(edges, phone_T, num_phones=len(phones))
            spoken.append(phones[starts])
            numbers.append(np.add.reduceat(count, starts).astype(np.int32))
            np.add.at(
                counts_KV,
                (np.array(clusters[i]), phones[np.repeat(np.arange(len(phones)), count)]),
                1,
            )
        return spoken, numbers, counts_KV[:, :-1]

    def per(self, table_KV: np.ndarray) -> float:
        """PER of development speech, each segment the likeliest phone of its cluster."""
        clusters = RaggedArray.open(self.run / "units" / "clusters" / "dev")
        errors = total = 0
        for reference in read_transcripts(self.run / "corpus" / "references" / "dev.tsv"):
            found = merge_repeats(
                table_KV.argmax(axis=1)[np.array(clusters[reference.utterance_id])]
            )
            errors += Levenshtein.distance([self.inventory[v] for v in found], reference.phones)
            total += len(reference.phones)
        return 100 * errors / total

    def matched(
        self, channel: str, seed: int, changed: Sequence[str]
    ) -> tuple[Float32Array, float]:
        """Table and loss of matching against one of the texts, options of the matcher changed."""
        group = "skip_bigrams" if channel == "plain" else "spoken_channel"
        options = [f"matching.matcher.{option}" for option in changed]
        recipe = load_recipe("demo", [f"matching={group}", f"seed={seed}", *options])
        matcher: Matcher = instantiate(recipe.matching.matcher)
        if channel == "plain":
            cut = [merge_repeats(c) for c in self.clusters]
            rate = np.mean([len(c) for c in cut]) / np.mean([len(x) for x in self.text])
            rng = np.random.default_rng(seed)
            text = [duplicate_phones(x, max(0.0, float(rate) - 1.0), rng) for x in self.text]
        else:
            cut = self.clusters
            spoken, numbers = self.phones, self.num_segments
            if channel == "spoken":
                opened = [
                    RaggedArray.open(self.run / "spoken_segments" / name / "train")
                    for name in ("phones", "num_segments")
                ]
                spoken, numbers = ([np.array(x[i]) for i in x] for x in opened)
            text = SegmentationChannel(seed=seed).cut(self.text, spoken, numbers)
        found = matcher.match(cut, self.centroids_KD, text, num_phones=len(self.inventory))
        return found.table_KV, min(found.losses_R)


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("runs", type=Path, nargs="+")
    parser.add_argument("--channels", nargs="+", choices=CHANNELS, default=["plain", "spoken"])
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--set", nargs="+", default=[], metavar="OPTION=VALUE")
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    print("| run | majority map |" + "".join(f" {c} (loss) |" for c in arguments.channels))
    print("|---|---|" + "---|" * len(arguments.channels), flush=True)
    for run in arguments.runs:
        units = Units(run)
        line = f"| {run.parent.name} | {units.per(units.counts_KV):.1f} |"
        for channel in arguments.channels:
            table_KV, loss = units.matched(channel, arguments.seed, arguments.set)
            line += f" {units.per(table_KV):.1f} ({loss:.2f}) |"
        print(line, flush=True)


if __name__ == "__main__":
    main()
