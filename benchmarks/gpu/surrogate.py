"""Parts of `benchmarks.gpu.run` that play whole games on a surrogate of published features.

    python -m benchmarks.gpu.surrogate exp/synthetic/latest surrogate.npz    # here, with faiss
    python -m benchmarks.gpu.run --more --surrogate surrogate.npz            # there

The file holds the TRUE alignments of a finished run of synthetic speech, its text, and what faiss
makes of the frames; frames themselves are made again there (unsup_asr.corpora.surrogate). PER is
of the development voices and only measured: nothing is chosen by it. Played are wav2vec-U 2.0 from
random weights, and `gan=w2vu_from_matching` from the table that matching finds: the usual road.

Axes: S segments of an utterance, K clusters, V phones.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from benchmarks.gpu.measure import Part, Row, Setting, memory, stopwatch
from benchmarks.phase_diagram import error_rate, flat, in_sequences, ragged
from gan.batches import UnpairedData
from gan.checkpoint import Progress
from gan.infer import transcribe_all
from gan.matching import SkipBigramMatching
from gan.options import AdversarialOptions, new_member
from gan.start import MatchedStart
from gan.turns import Turns
from unsup_asr import compute
from unsup_asr.corpora.surrogate import SurrogateFeatures
from unsup_asr.formats.ragged import RaggedArray
from unsup_asr.speech.runs import merge_repeats
from unsup_asr.types import Float32Array, Int32Array, Seconds, Transcript

COMPONENTS, CLUSTERS = 40, 384
DEV_UTTERANCES = 25
W2VU_2 = AdversarialOptions(  # conf/gan/w2vu2.yaml
    generator_kernel=9,
    generator_stride=3,
    generator_batch_norm=30.0,
    generator_residual=True,
    discriminator_kernel=8,
    generator_learning_rate=5e-5,
    discriminator_learning_rate=3e-4,
    gradient_penalty=1.0,
    diversity=3.0,
    smoothness=1.5,
    auxiliary=0.5,
    num_auxiliary_classes=64,
)
FROM_MATCHING = AdversarialOptions(  # conf/gan/w2vu_from_matching.yaml
    join_text=True,
    warm_up_updates=300,
    discriminator_steps=3,
    batch_size=64,
    discriminator_hidden=128,
    discriminator_kernel=4,
    generator_learning_rate=1e-3,
    discriminator_learning_rate=3e-3,
    diversity=2.0,
    smoothness=0.0,
    anchor=1.0,
)


def w2vu_2(setting: Setting) -> Iterator[Row]:
    """wav2vec-U 2.0 from random weights on frames; rows come until the part's time is over."""
    if setting.surrogate is None:
        yield {"not_run": "no --surrogate FILE, which benchmarks.gpu.surrogate makes"}
        return
    given = Given.read(setting.surrogate)
    options = replace(W2VU_2, num_auxiliary_classes=int(given.arrays["num_classes"]))
    train, dev = given.frames("train"), given.frames("dev")
    classes = RaggedArray(given.arrays["classes"].astype(np.int32), train.ids, train.offsets)
    data = UnpairedData.check(
        train, given.text, num_phones=given.num_phones, auxiliary_classes=classes
    )
    yield from _played(setting, options, data, dev, given, at_most_s=200)


def from_matching(setting: Setting) -> Iterator[Row]:
    """The game from what matching finds of the clusters of pooled segments, and anchored to it."""
    if setting.surrogate is None:
        yield {"not_run": "no --surrogate FILE, which benchmarks.gpu.surrogate makes"}
        return
    given = Given.read(setting.surrogate)
    text = [merge_repeats(sentence) for sentence in given.text]
    pooled, clusters = (
        {split: given.ragged(f"{split}_{what}") for split in ("train", "dev")}
        for what in ("pooled", "clusters")
    )
    matcher = SkipBigramMatching()
    if setting.is_tiny:
        matcher = replace(matcher, restarts=2, finalists=1, iterations=3, final_iterations=3)
    compute.use(setting.device)
    heard = [merge_repeats(np.array(clusters["train"][i])) for i in clusters["train"]]
    found = []
    seconds = stopwatch(
        lambda: found.append(
            matcher.match(heard, given.arrays["centroids"], text, num_phones=given.num_phones)
        )
    )
    table_KV = found[0].table_KV
    start = MatchedStart().fit(pooled["train"].values_array, table_KV)
    rows = {
        split: RaggedArray(
            start.rows(pooled[split].values_array, clusters[split].values_array),
            pooled[split].ids,
            pooled[split].offsets,
        )
        for split in pooled
    }
    read = [
        merge_repeats(table_KV[np.array(clusters["dev"][i])].argmax(1).astype(np.int32))
        for i in clusters["dev"]
    ]
    yield {
        "matching_s": round(seconds, 1),
        "matching_per": round(error_rate(read[:DEV_UTTERANCES], given.said), 1),
    }
    data = UnpairedData.check(rows["train"], text, num_phones=given.num_phones)
    first = start.first_map
    yield from _played(
        setting, FROM_MATCHING, data, rows["dev"], given, at_most_s=60, generator_init=first
    )


SURROGATE_PARTS: dict[str, Part] = {
    "surrogate 2.0": Part(w2vu_2, 240),
    "surrogate from matching": Part(from_matching, 90),
}


@dataclass(frozen=True)
class Given:
    """What the file holds."""

    arrays: dict[str, NDArray]
    text: list[Int32Array]
    said: list[Int32Array]  # of the development utterances that are scored

    @classmethod
    def read(cls, path: Path) -> Given:
        """Everything; ValueError where it is another file."""
        with np.load(path, allow_pickle=False) as file:
            arrays = {name: file[name] for name in file.files}
        if "inventory" not in arrays:
            raise ValueError(f"{path}: expected what benchmarks.gpu.surrogate has written")
        sequences = [
            in_sequences(arrays[name], arrays[f"{name}_lengths"]) for name in ("text", "dev_said")
        ]
        return cls(arrays, sequences[0], sequences[1][:DEV_UTTERANCES])

    @property
    def num_phones(self) -> int:
        """Silence is one of them."""
        return len(self.arrays["inventory"])

    def ragged(self, name: str) -> RaggedArray:
        """Rows of utterances, in float32 or as integers."""
        values, lengths = self.arrays[name], self.arrays[f"{name}_lengths"]
        kind = np.float32 if values.dtype.kind == "f" else np.int32
        return ragged(values.astype(kind), lengths)

    def frames(self, split: str) -> RaggedArray:
        """Frames, made as they were when the file was."""
        features = SurrogateFeatures(dim=int(self.arrays["dim"]))
        inventory = self.arrays["inventory"]
        lengths = self.arrays[f"{split}_phones_lengths"]
        phones, starts, ends = (
            in_sequences(self.arrays[f"{split}_{name}"], lengths)
            for name in ("phones", "starts", "ends")
        )
        made = []
        for number, name in enumerate(self.arrays[f"{split}_ids"]):
            said = tuple(str(inventory[i]) for i in phones[number])
            times = (tuple(map(float, of[number])) for of in (starts, ends))
            speaker = str(self.arrays[f"{split}_speakers"][number])
            transcript = Transcript(str(name), said, *times)
            made.append(features.frames(transcript, speaker=speaker)[0].astype(np.float16))
        return ragged(np.concatenate(made), np.array([len(x) for x in made]))


def _played(
    setting: Setting,
    options: AdversarialOptions,
    data: UnpairedData,
    dev: RaggedArray,
    given: Given,
    *,
    at_most_s: Seconds,
    generator_init: Float32Array | None = None,
) -> Iterator[Row]:
    """PER of dev before the first update and every so often, until the time is over; of one member,
    seed 0.
    """
    compute.use(setting.device, "auto", replays=True)
    every, updates = (2, 4) if setting.is_tiny else (1000, 150_000)
    if setting.is_tiny:
        options = replace(options, batch_size=4, discriminator_hidden=8, warm_up_updates=0)
    dim = data.segments.values_array.shape[1]
    init = generator_init
    member = new_member(options, input_dim=dim, num_phones=data.num_phones, generator_init=init)
    turns = Turns.of(data, options)
    scored = RaggedArray.from_arrays({i: np.array(dev[i]) for i in dev.ids[:DEV_UTTERANCES]})
    played_s = 0.0
    with ThreadPoolExecutor(max_workers=1) as pool:
        for update in range(0, updates + 1, every):
            if update:
                stretch = range(update - every, update)
                played_s += stopwatch(
                    lambda: turns.play([Progress(member, {})], stretch, pool, lambda: None)  # noqa: B023
                )
            found = transcribe_all(member.generator, scored)
            yield {
                "update": update,
                "per": round(error_rate(found, given.said), 1),
                "played_s": round(played_s, 1),
                **memory(),
            }
            if played_s > at_most_s:
                return


def make(run: Path, out: Path, *, utterances: int, sentences: int, dim: int) -> None:
    """Write the file, of a finished run of synthetic speech."""
    from benchmarks.surrogate import Surrogate
    from segmentation.kmeans import KMeans

    data = Surrogate(run, SurrogateFeatures(dim=dim), utterances, sentences, silences=True)
    clusters = data.inputs("w2vu2", COMPONENTS)["auxiliary"]
    arrays: dict[str, NDArray] = {
        "dim": np.array(dim),
        "inventory": np.array(data.inventory),
        "classes": clusters.values_array.astype(np.uint8),
        "num_classes": np.array(64),
        **flat("text", data.text),
        **flat("dev_said", data.said["dev"]),
    }
    pooled = data.inputs("w2vu", COMPONENTS)
    kmeans = KMeans(num_clusters=min(CLUSTERS, len(pooled["train"].values_array) // 10), nredo=1)
    kmeans.fit(pooled["train"].values_array)
    arrays["centroids"] = kmeans.fitted_centroids()
    for split, rows in pooled.items():
        spoken = data.spoken[split]
        ids = {phone: i for i, phone in enumerate(data.inventory)}
        arrays[f"{split}_ids"] = np.array([t.utterance_id for t, _ in spoken])
        arrays[f"{split}_speakers"] = np.array([speaker for _, speaker in spoken])
        phones = [np.array([ids[p] for p in t.phones], dtype=np.int16) for t, _ in spoken]
        arrays |= flat(f"{split}_phones", phones)
        arrays[f"{split}_starts"] = np.concatenate([t.starts_s for t, _ in spoken])
        arrays[f"{split}_ends"] = np.concatenate([t.ends_s for t, _ in spoken])
        arrays[f"{split}_pooled"] = rows.values_array.astype(np.float16)
        assigned = kmeans.assign(arrays[f"{split}_pooled"].astype(np.float32))
        arrays[f"{split}_clusters"] = assigned.astype(np.int16)
        for what in ("pooled", "clusters"):
            arrays[f"{split}_{what}_lengths"] = rows.lengths
    np.savez_compressed(out, allow_pickle=False, **arrays)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("run", type=Path, help="a finished run, such as exp/synthetic/latest")
    parser.add_argument("out", type=Path)
    parser.add_argument("--utterances", type=int, default=1000)
    parser.add_argument("--sentences", type=int, default=20_000)
    parser.add_argument("--dim", type=int, default=1024)
    given = parser.parse_args()
    make(
        given.run,
        given.out,
        utterances=given.utterances,
        sentences=given.sentences,
        dim=given.dim,
    )
    print(f"{given.out}: {given.out.stat().st_size / 1e6:.1f} MB")


if __name__ == "__main__":
    main()
