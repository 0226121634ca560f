"""The game on the features of a finished run: which objective finds phones, from what start.

    python -m benchmarks.game_on_features exp/demo/latest --segments oracle --systems matching w2vu

Segments are the run's own, or cut at the true boundaries (`oracle`); clusters are made anew.
Systems: matching; any preset of conf/gan (one that starts from nothing and reads no frames reads
one-hot clusters here). Each member's generator is the one of its best unsupervised criterion; PER
of the dev voices beside it.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from omegaconf import OmegaConf
from rapidfuzz.distance import Levenshtein

from benchmarks.true_label_control import with_options
from gan.frames import SplicedFrames
from gan.matching import SkipBigramMatching
from gan.population import Population
from gan.start import MatchedStart, OneHotClusters
from gan.trainer import AdversarialTrainer, play
from lm.perplexity import PerplexityScorer
from segmentation.kmeans import KMeans
from segmentation.pooling import MiddlePooling
from unsup_asr.engine.config import instantiate
from unsup_asr.engine.recipe_files import GROUPS
from unsup_asr.formats.hypotheses import read_transcripts
from unsup_asr.formats.phone_text import (
    flat_phones,
    phone_ids,
    read_inventory,
    read_phone_sentences,
)
from unsup_asr.formats.ragged import RaggedArray
from unsup_asr.scoring.criterion import weighted_perplexity
from unsup_asr.speech.runs import merge_repeats
from unsup_asr.speech.timing import read_timing
from unsup_asr.steps.matching import duplicate_phones
from unsup_asr.types import Float32Array, Int32Array


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("run", type=Path)
    parser.add_argument("--segments", choices=("oracle", "automatic"), default="automatic")
    parser.add_argument("--systems", nargs="+", default=["matching"])
    parser.add_argument("--seeds", type=int, help="how many, instead of the preset's")
    parser.add_argument("--clusters", type=int, default=384)
    parser.add_argument("--set", nargs="*", default=[], metavar="OPTION=VALUE")
    arguments = parser.parse_args()
    data = Corpus(arguments.run, oracle=arguments.segments == "oracle", clusters=arguments.clusters)
    print(f"{arguments.segments} segments: {data.segments_per_phone:.2f} a phone of the dev voices")
    for system in arguments.systems:
        start = time.process_time()
        if system == "matching":
            rate = data.error_rate([data.table_KV[c].argmax(1) for c in data.clusters["dev"]])
            print(f"matching: PER {rate:.1f}", flush=True)
            continue
        trainer, population, inputs, first_map = data.game(system)
        trainer = with_options(trainer, arguments.set)
        if arguments.seeds:
            population = replace(population, num_seeds=arguments.seeds)
        with tempfile.TemporaryDirectory() as folder:
            trained = play(
                population.members(trainer),
                inputs["train"],
                data.text,
                num_phones=len(data.inventory),
                validate=data.criterion,
                checkpoint_dir=Path(folder),
                validation_segments=inputs.get("validation"),
                generator_init=first_map,
                give_up=population.give_up,
            )
        for options, member in zip(population.differences(trainer), trained, strict=True):
            rate = data.error_rate(member.transcribe(inputs["dev"]))
            best = min(row["weighted_lm_perplexity"] for row in member.history)
            print(
                f"{system} {options}: PER {rate:.1f}, weighted perplexity {best:.1f} at update "
                f"{member.chosen_update} of {trainer.updates}",
                flush=True,
            )
        print(f"  {time.process_time() - start:.0f} CPU s", flush=True)


class Corpus:
    """Segments, clusters, text and references of one run."""

    def __init__(self, run: Path, *, oracle: bool, clusters: int) -> None:
        self.run = run
        self.inventory = read_inventory(run / "text" / "inventory.json")
        sentences = read_phone_sentences(run / "text" / "phones.txt")
        self.text = [phone_ids(flat_phones(s), self.inventory) for s in sentences]
        self.references = {
            t.utterance_id: t.phones
            for t in read_transcripts(run / "references" / "references" / "dev.tsv")
        }
        edges = {s: self._edges(s, oracle=oracle) for s in ("train", "dev")}
        frames = {s: RaggedArray.open(run / "features" / "cluster" / s) for s in edges}
        pooling = MiddlePooling(share=0.5)
        self.pooled = {
            s: RaggedArray.from_arrays(
                {i: pooling.pool(np.array(frames[s][i]), e) for i, e in edges[s].items()}
            )
            for s in edges
        }
        self._boundaries = edges
        kmeans = KMeans(num_clusters=clusters, niter=30, nredo=1)
        kmeans.fit(self.pooled["train"].values_array)
        self.clusters = {
            s: [kmeans.assign(rows[i]) for i in rows] for s, rows in self.pooled.items()
        }
        rate = np.mean([len(merge_repeats(c)) for c in self.clusters["train"]])
        merged = [merge_repeats(sentence) for sentence in self.text]
        rate = rate / np.mean([len(sentence) for sentence in merged])
        rng = np.random.default_rng(0)
        doubled = [duplicate_phones(s, max(0.0, float(rate) - 1), rng) for s in merged]
        self.table_KV = (
            SkipBigramMatching()
            .match(
                [merge_repeats(c) for c in self.clusters["train"]],
                kmeans.fitted_centroids(),
                doubled,
                num_phones=len(self.inventory),
            )
            .table_KV
        )
        num_phones = sum(len(self.references[i]) for i in self.pooled["dev"])
        self.segments_per_phone = len(self.pooled["dev"].values_array) / num_phones

    def _edges(self, split: str, *, oracle: bool) -> dict[str, Int32Array]:
        found = RaggedArray.open(self.run / "segments" / "boundaries" / split)
        if not oracle:
            return {i: np.array(found[i]) for i in found}
        timing = read_timing(self.run / "features" / "timing.json")
        kept = RaggedArray.open(self.run / "features" / "kept" / split)
        out = {}
        for reference in read_transcripts(self.run / "references" / "references" / f"{split}.tsv"):
            if reference.utterance_id not in kept:
                continue
            frames = np.array(kept[reference.utterance_id])
            times = [timing.boundary_s(int(frame)) for frame in [*frames, frames[-1] + 1]]
            cuts = np.searchsorted(times, [*reference.starts_s[1:]])
            edges = np.unique([0, *np.clip(cuts, 0, len(frames)), len(frames)])
            out[reference.utterance_id] = edges.astype(np.int32)
        return out

    def game(
        self, system: str
    ) -> tuple[AdversarialTrainer, Population, dict[str, RaggedArray], Float32Array | None]:
        """Trainer, members, inputs and first map of one system."""
        loaded = OmegaConf.load(GROUPS / "gan" / f"{system}.yaml")
        options: Any = OmegaConf.merge({"seed": 0}, loaded)
        trainer, population = instantiate(options.trainer), instantiate(options.population)
        if options.get("frames") is not None:
            inputs = self._frames(instantiate(options.frames), trainer.frames_per_segment)
            return trainer, population, inputs, None
        start = OneHotClusters() if options.start is None else instantiate(options.start)
        assert isinstance(start, (OneHotClusters, MatchedStart))
        layout = start.fit(self.pooled["train"].values_array, self.table_KV)
        inputs = {
            split: RaggedArray.from_arrays(
                {
                    i: layout.rows(rows[i], c)
                    for i, c in zip(rows, self.clusters[split], strict=True)
                }
            )
            for split, rows in self.pooled.items()
        }
        return trainer, population, inputs, layout.first_map

    def _frames(self, layout: SplicedFrames, count: int) -> dict[str, RaggedArray]:
        """`count` frames of a training segment; one to validate and to hear the dev voices."""

        def spliced(split: str, count: int) -> RaggedArray:
            features = RaggedArray.open(self.run / "features" / "acoustic" / split)
            edges = self._boundaries[split]
            return RaggedArray.from_arrays(
                {i: layout.rows(np.array(features[i]), e, count=count) for i, e in edges.items()}
            )

        return {
            "train": spliced("train", count),
            "validation": spliced("train", 1),
            "dev": spliced("dev", 1),
        }

    def criterion(self, transcripts: Sequence[Int32Array]) -> dict[str, float]:
        """Weighted perplexity under the run's language model."""
        named = [[self.inventory[p] for p in t] for t in transcripts if len(t)]
        arpa = self.run / "language_model" / "phones.arpa"
        perplexity = PerplexityScorer().perplexity(arpa, named)
        weighted = weighted_perplexity(perplexity, named, num_phones=len(self.inventory))
        return {"weighted_lm_perplexity": weighted}

    def error_rate(self, found: Sequence[Int32Array]) -> float:
        """PER in percent on the dev voices."""
        errors = length = 0
        for utterance_id, ids in zip(self.pooled["dev"], found, strict=True):
            said = self.references[utterance_id]
            heard = tuple(str(self.inventory[p]) for p in merge_repeats(ids))
            errors += Levenshtein.distance(heard, said)
            length += len(said)
        return 100 * errors / length


if __name__ == "__main__":
    main()
