"""Frames made of the TRUE alignments of a corpus: how like published features, and who wins there.

    python -m benchmarks.surrogate exp/demo/latest            # its figures beside those aimed at
    python -m benchmarks.surrogate exp/demo/latest --play w2vu --members 4 --updates 10000 \
        --set discriminator_hidden=128 --set-features noise=0.4

Of a finished run the corpus, its references and the text are read, no features. A game starts from
random weights; its checkpoint is the one of the best weighted perplexity, no labels; PER is of the
dev voices and only measured. Nothing here is a result of recognition.
"""

from __future__ import annotations

import argparse
import json
import tempfile
import time
from binascii import crc32
from dataclasses import asdict, replace
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import torch
from omegaconf import OmegaConf
from torch.nn import functional as F
from torch.nn.utils.rnn import pad_sequence

from benchmarks.true_label_control import error_rate, with_options
from gan.diagnose import Diagnosis
from gan.trainer import AdversarialTrainer, play
from lm.ngram import NgramEstimator
from lm.perplexity import PerplexityScorer
from lm.silence import SILENCE
from segmentation.kmeans import KMeans
from segmentation.pca import PCA
from segmentation.pooling import AdjacentPairs, mean_pool
from unsup_asr.corpora.surrogate import FRAME_S, SurrogateFeatures
from unsup_asr.engine.config import instantiate
from unsup_asr.engine.recipe_files import GROUPS
from unsup_asr.formats.hypotheses import read_transcripts
from unsup_asr.formats.manifest import read_manifest
from unsup_asr.formats.phone_text import (
    flat_phones,
    phone_ids,
    read_inventory,
    read_phone_sentences,
)
from unsup_asr.formats.ragged import RaggedArray
from unsup_asr.scoring.criterion import weighted_perplexity
from unsup_asr.speech.runs import merge_repeats
from unsup_asr.types import Float32Array, Int32Array, Transcript

# What the defaults aim at. Runs: wav2vec-U's 128 clusters have 28.5 a second on LibriSpeech, 14.3
# in pairs (REBORN, table 7). Purity and probe: round numbers; of this layer none are known to be
# published (wav2vec 2.0 Base, layer 6, 256 clusters: .646).
AIMS = {"purity": 0.66, "runs_per_s": 28.0, "probe_per": 10.0}
NUM_CLUSTERS = 128


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("run", type=Path)
    parser.add_argument("--play", choices=("w2vu", "w2vu2", "w2vu_cpu"))
    parser.add_argument("--oracle", action="store_true", help="pool true phones, not cluster runs")
    parser.add_argument("--components", type=int, default=512, help="of the PCA of w2vu")
    parser.add_argument("--utterances", type=int, help="of train, instead of all")
    parser.add_argument("--sentences", type=int, help="of text, instead of all")
    parser.add_argument("--silences", action="store_true", help="at both ends of speech and text")
    parser.add_argument("--members", type=int, default=1)
    parser.add_argument("--updates", type=int)
    parser.add_argument("--set", nargs="*", default=[], metavar="OPTION=VALUE")
    parser.add_argument("--set-features", nargs="*", default=[], metavar="OPTION=VALUE")
    parser.add_argument("--no-probe", action="store_true")
    parser.add_argument("--json", type=Path, help="a line is added to it for each member")
    arguments = parser.parse_args()
    features = with_options(SurrogateFeatures(), arguments.set_features)
    data = Surrogate(
        arguments.run,
        features,
        arguments.utterances,
        arguments.sentences,
        silences=arguments.silences,
    )
    figures = data.figures(probe=not arguments.no_probe)
    print("features made of the true alignments; aim: like wav2vec 2.0 Large, layer 15")
    for name, value in figures.items():
        print(f"  {name:<17} {value:8.3f}   aim {AIMS.get(name, 'none')}", flush=True)
    if arguments.play is None:
        return
    loaded = OmegaConf.load(GROUPS / "gan" / f"{arguments.play}.yaml")
    options: Any = OmegaConf.merge({"seed": 0}, loaded)
    trainer = with_options(instantiate(options.trainer), arguments.set)
    if arguments.updates:
        trainer = replace(trainer, updates=arguments.updates)
    inputs = data.inputs(arguments.play, arguments.components, oracle=arguments.oracle)
    for seed in range(trainer.seed, trainer.seed + arguments.members):
        result = data.play(replace(trainer, seed=seed), inputs, options.get("decode_stride"))
        print(
            f"{arguments.play} seed {seed}: PER {result['per']:.1f}, weighted perplexity "
            f"{result['weighted_lm_perplexity']:.1f} at update {result['chosen_update']} of "
            f"{trainer.updates}; diagnosis {result['findings'] or 'nothing'}; "
            f"{result['cpu_s']:.0f} CPU s",
            flush=True,
        )
        if arguments.json:
            row = {"system": arguments.play, "seed": seed, "updates": trainer.updates} | result
            row |= {"features": asdict(features), "figures": figures, "set": arguments.set}
            row |= {"oracle": arguments.oracle}
            row |= {"hours": data.hours, "sentences": len(data.text)}
            with arguments.json.open("a", encoding="utf-8") as out:
                out.write(json.dumps(row) + "\n")


class Surrogate:
    """Frames, clusters, text and references of one run's corpus."""

    def __init__(
        self,
        run: Path,
        features: SurrogateFeatures,
        num_utterances: int | None = None,
        num_sentences: int | None = None,
        *,
        silences: bool = False,
    ) -> None:
        self.inventory = read_inventory(run / "text" / "inventory.json")
        self.inventory += [SILENCE] * silences
        ids = {phone: i for i, phone in enumerate(self.inventory)}
        sentences = map(
            flat_phones, read_phone_sentences(run / "text" / "phones.txt")[:num_sentences]
        )
        if silences:
            sentences = ((SILENCE, *phones, SILENCE) for phones in sentences)
        self.text = [phone_ids(phones, self.inventory) for phones in sentences]
        self.frames: dict[str, list[Float32Array]] = {}
        self.phones: dict[str, list[Int32Array]] = {}  # of each frame
        self.said: dict[str, list[Int32Array]] = {}
        self.edges: dict[str, list[Int32Array]] = {}  # true ones, in frames
        self.spoken: dict[str, list[tuple[Transcript, str]]] = {}  # and by whom
        for split in ("train", "dev"):
            speakers = {u.id: u.speaker for u in read_manifest(run / "corpus" / f"{split}.jsonl")}
            read = read_transcripts(run / "corpus" / "references" / f"{split}.tsv")
            read = [t for t in read if set(t.phones) <= ids.keys()]
            if split == "train":
                read = read[:num_utterances]
            if silences:
                read = [_between_silences(t) for t in read]
            self.spoken[split] = [(t, speakers[t.utterance_id] or "") for t in read]
            made = [features.frames(t, speaker=speaker) for t, speaker in self.spoken[split]]
            said = [np.array([ids[p] for p in t.phones], dtype=np.int32) for t in read]
            self.frames[split] = [frames for frames, _ in made]
            self.said[split] = [merge_repeats(s) for s in said]
            self.phones[split] = [s[of] for s, (_, of) in zip(said, made, strict=True)]
            self.edges[split] = [_edges_of_runs(of) for _, of in made]
        self.hours = sum(map(len, self.frames["train"])) * FRAME_S / 3600
        kmeans = KMeans(num_clusters=NUM_CLUSTERS, niter=20, nredo=1, max_points_per_centroid=256)
        kmeans.fit(np.concatenate(self.frames["train"]))
        self.clusters = {s: [kmeans.assign(f) for f in self.frames[s]] for s in self.frames}

    def figures(self, *, probe: bool = True) -> dict[str, float]:
        """What can be compared with published features, of the dev voices."""
        clusters = np.concatenate(self.clusters["dev"])
        counts_KV = np.zeros((NUM_CLUSTERS, len(self.inventory)))
        np.add.at(counts_KV, (clusters, np.concatenate(self.phones["dev"])), 1)
        runs = [_edges_of_runs(c) for c in self.clusters["dev"]]
        seconds = len(clusters) * FRAME_S
        cut = [AdjacentPairs().boundaries(r) for r in runs]
        num_phones = sum(map(len, self.said["dev"]))
        figures = {
            "purity": float(counts_KV.max(1).sum() / counts_KV.sum()),
            "runs_per_s": sum(len(r) - 1 for r in runs) / seconds,
            "phones_per_s": num_phones / seconds,
            "pairs_per_phone": sum(len(c) - 1 for c in cut) / num_phones,
            "pairs_boundary_f1": _boundary_f1(cut, self.edges["dev"]),
        }
        if probe:
            figures["probe_per"] = self._probe()
        return figures

    def _probe(self, *, updates: int = 600, batch_size: int = 64) -> float:
        """PER in percent of a linear layer trained with CTC on the true phones of train."""
        torch.manual_seed(0)
        layer = torch.nn.Linear(self.frames["train"][0].shape[1], len(self.inventory) + 1)
        optimizer = torch.optim.Adam(layer.parameters(), lr=1e-2)
        schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, updates)
        rng = np.random.default_rng(0)
        blank = len(self.inventory)
        for _ in range(updates):
            drawn = rng.choice(len(self.said["train"]), batch_size)
            frames = [torch.from_numpy(self.frames["train"][i]) for i in drawn]
            said = [torch.from_numpy(self.said["train"][i]).long() for i in drawn]
            loss = F.ctc_loss(
                layer(pad_sequence(frames)).log_softmax(-1),
                torch.cat(said),
                torch.tensor([len(f) for f in frames]),
                torch.tensor([len(s) for s in said]),
                blank=blank,
                zero_infinity=True,
            )
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            schedule.step()
        with torch.no_grad():
            best = [layer(torch.from_numpy(f)).argmax(1).numpy() for f in self.frames["dev"]]
        found = [merge_repeats(b.astype(np.int32)) for b in best]
        return error_rate([f[f != blank] for f in found], self.said["dev"])

    def inputs(
        self, system: str, components: int, *, oracle: bool = False
    ) -> dict[str, RaggedArray]:
        """What the generator reads: PCA, means of runs, pairs of them; or, of 2.0, frames.

        `oracle`: means of the true phones instead, which says whether it is the cuts that fail.
        "auxiliary" holds 64 clusters of the frames of train, in place of MFCC's.
        """
        if system == "w2vu2":
            kmeans = KMeans(num_clusters=64, niter=20, nredo=1, max_points_per_centroid=256)
            kmeans.fit(np.concatenate(self.frames["train"]))
            made = {s: _ragged(f) for s, f in self.frames.items()}
            return made | {"auxiliary": _ragged([kmeans.assign(f) for f in self.frames["train"]])}
        pca = PCA(num_components=min(components, self.frames["train"][0].shape[1]))
        pca.fit(np.concatenate(self.frames["train"]))

        labels = self.phones if oracle else self.clusters

        def pooled(frames: Float32Array, labels: Int32Array) -> Float32Array:
            rows = mean_pool(pca.apply(frames), _edges_of_runs(labels))
            return rows if oracle else AdjacentPairs().pool(rows)

        return {
            s: _ragged([pooled(f, c) for f, c in zip(frames, labels[s], strict=True)])
            for s, frames in self.frames.items()
        }

    def true_map(self, rows: RaggedArray) -> Float32Array:
        """The linear map (dim, phones) from pairs of runs of train to the phone most of each is.

        Logistic regression on the true phones: where a game may be started, to see if it stays.
        """
        wanted = [
            np.bincount(phones[first:stop]).argmax()
            for clusters, phones in zip(self.clusters["train"], self.phones["train"], strict=True)
            for first, stop in pairwise(AdjacentPairs().boundaries(_edges_of_runs(clusters)))
        ]
        inputs, targets = torch.from_numpy(rows.values_array), torch.from_numpy(np.array(wanted))
        layer = torch.nn.Linear(inputs.shape[1], len(self.inventory), bias=False)
        optimizer = torch.optim.Adam(layer.parameters(), lr=0.05)
        for _ in range(150):
            optimizer.zero_grad()
            F.cross_entropy(layer(inputs), targets).backward()
            optimizer.step()
        return layer.weight.detach().numpy().T.copy()

    def play(
        self, trainer: AdversarialTrainer, inputs: dict[str, RaggedArray], stride: int | None
    ) -> dict[str, Any]:
        """One member from random weights: its PER, its unsupervised choice, what is diagnosed."""
        start = time.process_time()
        num_phones = len(self.inventory)
        with tempfile.TemporaryDirectory() as folder:
            arpa = Path(folder) / "phones.arpa"
            NgramEstimator(order=4).estimate_to(arpa, ([str(p) for p in s] for s in self.text))
            rates: list[float] = []

            def validate(found: list[Int32Array]) -> dict[str, float]:
                named = [[str(p) for p in transcript] for transcript in found if len(transcript)]
                perplexity = PerplexityScorer().perplexity(arpa, named)
                weighted = weighted_perplexity(perplexity, named, num_phones=num_phones)
                rates.append(error_rate(found, self.said["dev"]))  # measured, not returned
                seconds = time.process_time() - start
                print(
                    f"    {seconds:6.0f} CPU s  PER {rates[-1]:5.1f}  {weighted:8.1f}", flush=True
                )
                return {"weighted_lm_perplexity": weighted}

            (member,) = play(
                [trainer],
                inputs["train"],
                self.text,
                num_phones=num_phones,
                validate=validate,
                checkpoint_dir=Path(folder) / "checkpoint",
                validation_segments=inputs["dev"],
                auxiliary_classes=inputs.get("auxiliary") if trainer.auxiliary else None,
            )
        heard = member.at_stride(stride) if stride else member
        found = heard.transcribe(inputs["dev"])
        findings = Diagnosis().findings(found, self.text, member.history, num_phones=num_phones)
        return {
            "per": error_rate(found, self.said["dev"]),
            "weighted_lm_perplexity": min(r["weighted_lm_perplexity"] for r in member.history),
            "chosen_update": member.chosen_update,
            "findings": [finding.kind for finding in findings],
            "per_of_validations": rates,
            "cpu_s": time.process_time() - start,
        }


def _between_silences(transcript: Transcript) -> Transcript:
    """With a silence of 80 to 250 ms before its first phone and behind its last one."""
    rng = np.random.default_rng(crc32(transcript.utterance_id.encode()))
    before_s, after_s = rng.uniform(0.08, 0.25, 2)
    first_s, last_s = transcript.starts_s[0], transcript.ends_s[-1]
    return replace(
        transcript,
        phones=(SILENCE, *transcript.phones, SILENCE),
        starts_s=(first_s - before_s, *transcript.starts_s, last_s),
        ends_s=(first_s, *transcript.ends_s, last_s + after_s),
    )


def _edges_of_runs(labels: Int32Array) -> Int32Array:
    """Where runs of equal labels begin, and the end."""
    changes = np.flatnonzero(np.diff(labels)) + 1
    return np.array([0, *changes, len(labels)], dtype=np.int32)


def _ragged(rows: list[Any]) -> RaggedArray:
    return RaggedArray.from_arrays({f"{i:06d}": r for i, r in enumerate(rows)})


def _boundary_f1(found: list[Int32Array], true: list[Int32Array]) -> float:
    """Of boundaries within a frame (20 ms), each counted for one true one at most."""
    hits = num_found = num_true = 0
    for cuts, wanted in zip(found, true, strict=True):
        left = list(wanted[1:-1])
        for cut in cuts[1:-1]:
            near = [w for w in left if abs(int(w) - int(cut)) <= 1]
            if near:
                left.remove(min(near, key=lambda w: abs(int(w) - int(cut))))
                hits += 1
        num_found += len(cuts) - 2
        num_true += len(wanted) - 2
    return 2 * hits / (num_found + num_true)


if __name__ == "__main__":
    main()
