"""Where the adversarial game comes to rest, by the quality and the amount of what it is given.

    python -m benchmarks.phase_diagram make RUN points.npz        # frames of true alignments; faiss
    python -m benchmarks.phase_diagram play points.npz rests.jsonl --updates 6000 --device cuda
    python -m benchmarks.phase_diagram draw rests.jsonl phase-diagram.png

Each point plays the published game (gan=w2vu) on a surrogate of its own (benchmarks.surrogate), all
points at once as members of one population. They start from the TRUE map of the segments, so that a
rest says what the game can hold, not what it finds; `--start random` asks the second.

Axes: M members, B sequences.
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from gan.batches import UnpairedData, utterances_at
from gan.checkpoint import Progress
from gan.infer import transcribe_all
from gan.options import AdversarialOptions, new_member
from gan.turns import Turns
from unsup_asr import compute
from unsup_asr.formats.ragged import RaggedArray
from unsup_asr.types import Float32Array, Int32Array, Int64Array

UTTERANCES = 1000  # of train, 0.8 hours
COMPONENTS = 40  # all that such frames have
DEV_UTTERANCES = 25
# name: options of SurrogateFeatures, utterances, sentences
POINTS: dict[str, tuple[dict[str, float], int, int]] = {
    "base": ({}, UTTERANCES, 20_000),
    "noise 0.2": ({"noise": 0.2}, UTTERANCES, 20_000),
    "noise 0.4": ({"noise": 0.4}, UTTERANCES, 20_000),
    "noise 0.8": ({"noise": 0.8}, UTTERANCES, 20_000),
    "noise 1.0": ({"noise": 1.0}, UTTERANCES, 20_000),
    "nuisance 0.5": ({"nuisance": 0.5}, UTTERANCES, 20_000),
    "nuisance 2.6": ({"nuisance": 2.6}, UTTERANCES, 20_000),
    "edges 30 ms": ({"edge_s": 0.03}, UTTERANCES, 20_000),
    "carry 0.5": ({"carry": 0.5}, UTTERANCES, 20_000),
    "utterances 500": ({}, 500, 20_000),
    "utterances 250": ({}, 250, 20_000),
    "utterances 125": ({}, 125, 20_000),
    "sentences 4000": ({}, UTTERANCES, 4000),
    "sentences 1000": ({}, UTTERANCES, 1000),
    "sentences 250": ({}, UTTERANCES, 250),
    "noise 0.4 nuisance 0.5": ({"noise": 0.4, "nuisance": 0.5}, UTTERANCES, 20_000),
}


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    verbs = parser.add_subparsers(dest="verb", required=True)
    made = verbs.add_parser("make")
    made.add_argument("run", type=Path, help="a finished English recipes/synthetic")
    made.add_argument("points", type=Path)
    made.add_argument("--only", nargs="*", choices=list(POINTS), default=list(POINTS))
    played = verbs.add_parser("play")
    played.add_argument("points", type=Path)
    played.add_argument("rests", type=Path)
    played.add_argument("--updates", type=int, default=6000)
    played.add_argument("--validate-every", type=int, default=1000)
    played.add_argument("--batch-size", type=int, default=160)
    played.add_argument("--start", choices=("true", "random"), default="true")
    played.add_argument("--device", default="auto")
    drawn = verbs.add_parser("draw")
    drawn.add_argument("rests", type=Path)
    drawn.add_argument("picture", type=Path)
    arguments = parser.parse_args()
    if arguments.verb == "make":
        make(arguments.run, arguments.points, arguments.only)
    elif arguments.verb == "play":
        compute.use(arguments.device, "auto", replays=arguments.device.startswith("cuda"))
        options = AdversarialOptions(batch_size=arguments.batch_size)
        with arguments.rests.open("w", encoding="utf-8") as out:
            for row in play(
                arguments.points,
                options,
                updates=arguments.updates,
                validate_every=arguments.validate_every,
                is_true_start=arguments.start == "true",
            ):
                out.write(json.dumps(row) + "\n")
                out.flush()
    else:
        draw(arguments.rests, arguments.picture)


def make(run: Path, points: Path, names: Sequence[str]) -> None:
    """Segments, text, true maps and figures of the points, in one file that `play` reads."""
    from benchmarks.surrogate import Surrogate
    from unsup_asr.corpora.surrogate import SurrogateFeatures

    arrays: dict[str, np.ndarray] = {}
    made: dict[str, str] = {}  # the point that holds the frames of these options
    for name in names:
        options, _, _ = POINTS[name]
        key = json.dumps(options, sort_keys=True)
        if key not in made:
            made[key] = name
            features = replace(SurrogateFeatures(dim=48), **options)
            data = Surrogate(run, features, UTTERANCES, silences=True)
            rows = data.inputs("w2vu", COMPONENTS)
            for split, few in (("train", None), ("dev", DEV_UTTERANCES)):
                lengths = rows[split].lengths[:few]
                arrays[f"{name}/{split}"] = rows[split].values_array[: lengths.sum()].astype("f2")
                arrays[f"{name}/{split}_lengths"] = lengths
            arrays[f"{name}/map"] = data.true_map(rows["train"])
            arrays[f"{name}/figures"] = np.array(json.dumps(data.figures(probe=False)))
            for what, sequences in (
                ("said", data.said["dev"][:DEV_UTTERANCES]),
                ("text", data.text),
            ):
                arrays |= flat(what, sequences)
        arrays[f"{name}/frames_of"] = np.array(made[key])
        print(name, arrays[f"{made[key]}/figures"], flush=True)
    np.savez(points, allow_pickle=False, **arrays)


@dataclass(frozen=True)
class PartOfData(UnpairedData):
    """Members draw from the utterances and sentences of their own point, by their seeds."""

    parts: tuple[tuple[int, int, int], ...] = ()  # first utterance, how many, how many sentences

    def choose(
        self, step: int, *, seeds: Sequence[int], batch_size: int
    ) -> tuple[Int64Array, Int64Array, list[np.random.Generator]]:
        """As of `UnpairedData`, within the part of each seed."""
        rngs = [np.random.default_rng([seed, 1, step]) for seed in seeds]
        parts = [self.parts[seed] for seed in seeds]
        utterances = [
            first + utterances_at(step, seed, batch_size, count)
            for seed, (first, count, _) in zip(seeds, parts, strict=True)
        ]
        sentences = [
            rng.integers(count, size=batch_size)
            for rng, (_, _, count) in zip(rngs, parts, strict=True)
        ]
        return np.stack(utterances), np.stack(sentences), rngs


def play(
    points: Path,
    options: AdversarialOptions,
    *,
    updates: int,
    validate_every: int,
    is_true_start: bool,
) -> Iterator[dict[str, object]]:
    """A row a point and validation: its figures and the PER of development utterances."""
    arrays = np.load(points)
    names = [name.removesuffix("/frames_of") for name in arrays if name.endswith("/frames_of")]
    frames_of = [str(arrays[f"{name}/frames_of"]) for name in names]
    held = sorted(set(frames_of))
    train, dev = (_joined(arrays, held, split) for split in ("train", "dev"))
    first = np.cumsum([0, *(len(arrays[f"{name}/train_lengths"]) for name in held)])
    text, said = (in_sequences(arrays[n], arrays[f"{n}_lengths"]) for n in ("text", "said"))
    num_phones = arrays[f"{held[0]}/map"].shape[1]
    checked = UnpairedData.check(train, text, num_phones=num_phones)
    parts = tuple(
        (int(first[held.index(of)]), *POINTS[name][1:])
        for name, of in zip(names, frames_of, strict=True)
    )
    data = PartOfData(
        checked.segments, checked.text_values, checked.text_offsets, num_phones, parts=parts
    )
    games = [
        _game(
            replace(options, seed=seed),
            arrays[f"{of}/map"] if is_true_start else None,
            train.values_array.shape[1],
            num_phones,
        )
        for seed, of in enumerate(frames_of)
    ]
    turns = Turns.of(data, options)
    start = time.monotonic()
    with ThreadPoolExecutor(max_workers=1) as pool:
        for update in range(0, updates + 1, validate_every):
            if update:
                turns.play(games, range(update - validate_every, update), pool, lambda: None)
            rates = []
            for name, of, part, game in zip(names, frames_of, parts, games, strict=True):
                found = transcribe_all(game.member.generator, dev)
                number = held.index(of) * DEV_UTTERANCES
                found = found[number : number + DEV_UTTERANCES]
                rates.append(error_rate(found, said))
                figures = json.loads(str(arrays[f"{of}/figures"]))
                yield {
                    "point": name,
                    "update": update,
                    "start": "true" if is_true_start else "random",
                    "per": rates[-1],
                    "emitted": sum(map(len, found)) / sum(map(len, said)),
                    "utterances": part[1],
                    "sentences": part[2],
                    **figures,
                }
            seconds = time.monotonic() - start
            print(f"{update} {seconds:.0f} s", [round(rate, 1) for rate in rates], flush=True)


def _game(
    options: AdversarialOptions, true_map: Float32Array | None, dim: int, num_phones: int
) -> Progress:
    member = new_member(options, input_dim=dim, num_phones=num_phones, generator_init=true_map)
    return Progress(member, {})


def _joined(arrays: np.lib.npyio.NpzFile, held: Sequence[str], split: str) -> RaggedArray:
    lengths = np.concatenate([arrays[f"{name}/{split}_lengths"] for name in held])
    rows = np.concatenate([arrays[f"{name}/{split}"] for name in held]).astype(np.float32)
    return ragged(rows, lengths)


def flat(name: str, sequences: Sequence[NDArray]) -> dict[str, NDArray]:
    """Phones of sentences as arrays of a file: all in a row, and how many each has."""
    lengths = np.array([len(sequence) for sequence in sequences])
    return {name: np.concatenate(sequences).astype(np.int16), f"{name}_lengths": lengths}


def in_sequences(values: NDArray, lengths: NDArray) -> list[NDArray]:
    """What lies in a row as one array each; times in float64, all else as int32."""
    kind = np.float64 if values.dtype.kind == "f" else np.int32
    return [part.astype(kind) for part in np.split(values, np.cumsum(lengths)[:-1])]


def ragged(values: NDArray, lengths: NDArray) -> RaggedArray:
    """Rows of utterances that are called by their numbers."""
    ids = [f"{number:06d}" for number in range(len(lengths))]
    return RaggedArray(values, ids, np.concatenate([[0], np.cumsum(lengths)]))


def error_rate(found: Sequence[Int32Array], said: Sequence[Int32Array]) -> float:
    """PER in percent; without rapidfuzz, which a machine with a GPU may lack."""
    errors = sum(_distance(f, s) for f, s in zip(found, said, strict=True))
    return 100 * errors / sum(map(len, said))


def _distance(found: Int32Array, said: Int32Array) -> int:
    """Levenshtein's, a row of the table at a time."""
    places = np.arange(len(said) + 1)
    row = places.copy()
    for phone in found:
        best = np.minimum(row[:-1] + (said != phone), row[1:] + 1)
        row = np.minimum.accumulate(np.append(row[0] + 1, best) - places) + places
    return int(row[-1])


def draw(rests: Path, picture: Path) -> None:
    """Four panels: PER at rest by purity, by segments a phone, by hours, by sentences."""
    import matplotlib.pyplot as plt

    rows = [json.loads(line) for line in rests.read_text("utf-8").splitlines()]
    last = max(row["update"] for row in rows)
    at_rest = {row["point"]: row for row in rows if row["update"] == last}
    begun = {row["point"]: row for row in rows if row["update"] == 0}
    panels = {
        "purity of 128 clusters of frames": ("purity", ("noise", "nuisance", "edges", "carry")),
        "segments a phone": ("pairs_per_phone", ("noise", "nuisance", "edges", "carry")),
        "utterances of audio": ("utterances", ("utterances",)),
        "sentences of text": ("sentences", ("sentences",)),
    }
    figure, axes = plt.subplots(1, 4, figsize=(13, 3.4), sharey=True)
    for axis, (label, (key, kinds)) in zip(axes, panels.items(), strict=True):
        names = [n for n in at_rest if n == "base" or n.startswith(kinds)]
        names.sort(key=lambda name: at_rest[name][key])
        x = [at_rest[name][key] for name in names]
        axis.plot(x, [begun[n]["per"] for n in names], "o", mfc="none", color="gray", label="start")
        axis.plot(x, [at_rest[n]["per"] for n in names], "o", color="C0", label="at rest")
        axis.set_xlabel(label)
        axis.set_ylim(0, 100)
        if key in ("utterances", "sentences"):
            axis.set_xscale("log")
            axis.set_xticks(x, [str(value) for value in x])
            axis.minorticks_off()
    axes[0].set_ylabel("PER, percent")
    axes[0].legend()
    figure.tight_layout()
    figure.savefig(picture, dpi=110)


if __name__ == "__main__":
    main()
