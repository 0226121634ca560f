"""The parts of `benchmarks.gpu.run`: each yields rows of plain values as it finds them."""

from __future__ import annotations

import itertools
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from statistics import median

import numpy as np
import torch

from benchmarks.fairseq_model import FairseqGame, PaddedBatch
from benchmarks.gpu.finetuning import FINETUNING_PARTS
from benchmarks.gpu.measure import Part, Row, Setting, memory, milliseconds, stopwatch, wait
from benchmarks.gpu.speech import SPEECH_PARTS
from benchmarks.gpu.surrogate import SURROGATE_PARTS, W2VU_2
from benchmarks.lexicon_search import (
    FRAMES_A_SECOND,
    NUM_PHONES,
    made_up_words,
    noisy_scores,
    sentences,
)
from gan.batches import Batch, UnpairedData
from gan.infer import transcribe_all
from gan.matching import SkipBigramMatching
from gan.options import AdversarialOptions, game_rules, new_member
from gan.replay import CudaRecorder, Replays
from gan.resident import Choice, ResidentData
from gan.steps import Member, Rules, train_discriminators, train_generators
from gan.trainer import AdversarialTrainer, play
from lm.lexicon_viterbi import LexiconViterbi
from unsup_asr import compute
from unsup_asr.formats.ragged import RaggedArray

PHONES = 48

W2VU = AdversarialOptions()


@dataclass(frozen=True)
class Sizes:
    """Of the data that is made up: rows of an utterance, phones of a sentence."""

    dim: int
    rows: tuple[int, int]
    phones: tuple[int, int] = (40, 120)
    utterances: int = 640
    batch: int = 160

    def shrunk(self) -> Sizes:
        """For a rehearsal."""
        return Sizes(16, (6, 12), (5, 9), utterances=12, batch=4)


POOLED = Sizes(512, (50, 150))  # w2vu: 14 segments a second, 4 to 11 s
FRAMES = Sizes(1024, (200, 800))  # w2vu2: 50 frames a second, 4 to 16 s


def card(setting: Setting) -> Iterator[Row]:
    """What computes."""
    compute.use(setting.device)
    yield {"device": compute.described(), "driver": compute.driver_version()}
    yield {"torch": torch.__version__, "cuda": torch.version.cuda}


def steps(setting: Setting) -> Iterator[Row]:
    """Loss terms of every kind of step there and on the CPU, with equal batches and draws."""
    kinds = {
        "w2vu": W2VU,
        "w2vu as fairseq": replace(W2VU, padding="reference"),
        "w2vu2": W2VU_2,
        "hard samples": replace(W2VU, hard_samples=True),
    }
    for name, step in itertools.product(kinds, (train_generators, train_discriminators)):
        options = replace(kinds[name], discriminator_dtype="float32")
        data = made_up(POOLED.shrunk(), classes=options.num_auxiliary_classes)
        found: dict[str, dict[str, float]] = {}
        for device in ("cpu", setting.device):
            with compute.using(device), compute.exact_products():
                there = compute.device()
                batch = data.draw(1, seeds=[0, 1], batch_size=4, device=there)
                rules = replace(game_rules(options), fixed_rows=device != "cpu")
                terms = step(members(options, 2, POOLED.shrunk().dim), batch, rules)
                found[device] = {term: float(value.sum()) for term, value in terms.items()}
        worst = max(
            abs(found[setting.device][term] - value) / max(abs(value), 1e-3)
            for term, value in found["cpu"].items()
        )
        yield {"step": f"{step.__name__}, {name}", "largest_relative_difference": f"{worst:.1e}"}


def matching(setting: Setting) -> Iterator[Row]:
    """The table of 384 clusters, there and on the CPU, and its time at the usual size."""
    rng = np.random.default_rng(0)
    num_clusters = 12 if setting.is_tiny else 384
    clusters = [rng.integers(num_clusters, size=60).astype(np.int32) for _ in range(200)]
    centroids = rng.standard_normal((num_clusters, 39)).astype(np.float32)
    text = [rng.integers(40, size=50).astype(np.int32) for _ in range(200)]
    short = SkipBigramMatching(restarts=2, finalists=1, iterations=3, final_iterations=2)
    tables = []
    for device in ("cpu", setting.device):
        with compute.using(device):
            tables.append(short.match(clusters, centroids, text, num_phones=40).table_KV)
    yield {"largest_difference": f"{np.abs(tables[0] - tables[1]).max():.1e}"}
    usual = SkipBigramMatching() if not setting.is_tiny else short
    with compute.using(setting.device):
        seconds = stopwatch(lambda: usual.match(clusters, centroids, text, num_phones=40))
    yield {"seconds": round(seconds, 2)}


def w2vu(setting: Setting) -> Iterator[Row]:
    """ms of the pair of updates at the published sizes of 1.0; fairseq's beside it."""
    yield from _pairs(setting, W2VU, POOLED)
    if setting.fairseq is not None:
        yield from _fairseq_pair(setting)


def w2vu_2(setting: Setting) -> Iterator[Row]:
    """ms of the pair of updates at the published sizes of 2.0."""
    yield from _pairs(setting, W2VU_2, FRAMES)


def sixteen(setting: Setting) -> Iterator[Row]:
    """16 members in one set of tensors against one, played and, on a GPU, replayed."""
    sizes = POOLED.shrunk() if setting.is_tiny else POOLED
    compute.use(setting.device, "auto")
    resident = _resident(made_up(sizes))
    times: dict[str, dict[int, float]] = {"played": {}, "replayed": {}}
    for count in (1, 16):
        playing, seeds = members(W2VU, count, sizes.dim), list(range(count))
        batch = resident.draw(0, seeds=seeds, batch_size=sizes.batch)
        times["played"][count] = sum(_times(playing, batch, _rules(W2VU), repeats=5))
        if compute.device().type == "cuda":
            replays = Replays(playing, _rules(W2VU), resident, CudaRecorder())
            choice = resident.choose(0, seeds=seeds, batch_size=sizes.batch)
            times["replayed"][count] = _replayed_pair(replays, choice)
        for how, of_count in times.items():
            if count in of_count:
                pair = milliseconds(of_count[count])
                yield {"members": count, "how": how, "pair_ms": pair, **memory()}
    for how, of_count in times.items():
        if of_count:
            yield {"how": how, "16_to_1": round(of_count[16] / of_count[1], 2)}


def replayed(setting: Setting) -> Iterator[Row]:
    """Updates replayed as CUDA graphs: the same numbers as played ones, and their time."""
    if torch.device(setting.device).type != "cuda":
        yield {"not_run": "CUDA graphs need a GPU"}
        return
    for name, options, sizes in (("w2vu", W2VU, POOLED), ("w2vu2", W2VU_2, FRAMES)):
        sizes = sizes.shrunk() if setting.is_tiny else sizes
        compute.use(setting.device, "auto")
        data = made_up(sizes, classes=options.num_auxiliary_classes)
        resident = _resident(data)
        rules = _rules(options)
        playing, playing_too = (members(options, 1, sizes.dim) for _ in range(2))
        replays = Replays(playing_too, rules, resident, CudaRecorder())
        steps = (train_discriminators, train_generators)
        worst = 0.0
        for update in range(16):
            step = steps[update % 2]
            batch = resident.draw(update, seeds=[0], batch_size=sizes.batch)
            expected = step(playing, batch, rules)
            choice = resident.choose(update, seeds=[0], batch_size=sizes.batch)
            found = replays.play(step, choice)
            for term, value in expected.items():
                difference = abs(float(found[term]) - float(value))
                worst = max(worst, difference / max(abs(float(value)), 1e-3))
        yield {"what": name, "largest_relative_difference": f"{worst:.1e}"}
        choice = resident.choose(0, seeds=[0], batch_size=sizes.batch)
        batch = resident.draw(0, seeds=[0], batch_size=sizes.batch)
        played = sum(_times(playing, batch, rules, repeats=10))
        yield {"what": name, "played_pair_ms": milliseconds(played)}
        seconds = _replayed_pair(replays, choice)
        yield {"what": name, "replayed_pair_ms": milliseconds(seconds), **memory()}


def whole_game(setting: Setting) -> Iterator[Row]:
    """ms of an update from end to end, batches and all, without and with CUDA graphs."""
    sizes = POOLED.shrunk() if setting.is_tiny else POOLED
    for replays, updates in ((False, 300), (True, 3000)):
        updates = 6 if setting.is_tiny else updates
        compute.use(setting.device, "auto", replays=replays)
        data = made_up(sizes)
        text = np.split(data.text_values, data.text_offsets[1:-1])
        trainer = replace(AdversarialTrainer(), updates=updates, validate_every=updates)
        trainer = replace(trainer, batch_size=sizes.batch)
        stamps: list[float] = []
        with tempfile.TemporaryDirectory() as folder:
            play(
                [trainer],
                data.segments,
                text,
                num_phones=PHONES,
                validate=lambda _: {"weighted_lm_perplexity": 1.0},
                checkpoint_dir=Path(folder),
                progress=lambda: stamps.append(time.perf_counter()),  # noqa: B023
            )
            wait()
            stamps.append(time.perf_counter())
        late = stamps[len(stamps) // 3 :]
        update_ms = 1e3 * (late[-1] - late[0]) / (len(late) - 1)
        yield {
            "cuda_graphs": replays,
            "update_ms": round(update_ms, 3),
            "minutes_for_150000_updates": round(150 * update_ms / 60, 1),
        }


def validation(setting: Setting) -> Iterator[Row]:
    """Transcribing utterances, in ms per 1000."""
    sizes = POOLED.shrunk() if setting.is_tiny else POOLED
    compute.use(setting.device, "auto")
    data = made_up(sizes)
    generator = members(W2VU, 1, sizes.dim)[0].generator
    seconds = median(stopwatch(lambda: transcribe_all(generator, data.segments)) for _ in range(3))
    yield {"ms_per_1000_utterances": milliseconds(1000 * seconds / len(data.segments))}


def lexicon(setting: Setting) -> Iterator[Row]:
    """The lexicon search of realignment: the same words as on the CPU, and its time."""
    generator = np.random.default_rng(0)
    words = made_up_words(300 if setting.is_tiny else 120_000, generator)
    viterbi = LexiconViterbi()
    tree = viterbi.tree(sentences(words), NUM_PHONES)
    lengths = generator.integers(*((30, 60) if setting.is_tiny else (250, 750)), 300)
    scores = {str(i): noisy_scores(words, int(n), generator) for i, n in enumerate(lengths)}
    few = {i: scores[i][:30] for i in list(scores)[:8]}
    found = []
    for device in ("cpu", setting.device):
        with compute.using(device):
            found.append(viterbi.decode(tree, few))
    yield {
        "utterances": len(few),
        "equal_to_cpu": sum(
            np.array_equal(found[0][i].frame_phones_T, found[1][i].frame_phones_T) for i in few
        ),
    }
    compute.use(setting.device)
    seconds = stopwatch(lambda: viterbi.decode(tree, scores))
    hours = int(lengths.sum()) / FRAMES_A_SECOND / 3600
    yield {"nodes": len(tree.phone_N), "seconds_an_hour": round(seconds / hours, 2), **memory()}


PARTS: dict[str, Part] = {
    "card": Part(card, 20),
    "steps": Part(steps, 40),
    "matching": Part(matching, 35),
    "w2vu": Part(w2vu, 40),
    "w2vu2": Part(w2vu_2, 45),
    "sixteen": Part(sixteen, 35),
    "replayed": Part(replayed, 45),
    "whole game": Part(whole_game, 45),
    "validation": Part(validation, 15),
    "lexicon": Part(lexicon, 40),
    **SPEECH_PARTS,
}


# On demand, as another call: whole games, and what needs packages that may be missing.
MORE_PARTS: dict[str, Part] = {**FINETUNING_PARTS, **SURROGATE_PARTS}


def made_up(sizes: Sizes, *, classes: int = 0) -> UnpairedData:
    """Random rows, phones and auxiliary classes of these sizes."""
    rng = np.random.default_rng(0)
    lengths = rng.integers(sizes.rows[0], sizes.rows[1] + 1, size=sizes.utterances)
    offsets = np.concatenate([[0], np.cumsum(lengths)])
    ids = [str(i) for i in range(sizes.utterances)]
    values = rng.standard_normal((int(offsets[-1]), sizes.dim), dtype=np.float32)
    text = [
        rng.integers(4, PHONES, size=rng.integers(sizes.phones[0], sizes.phones[1] + 1))
        for _ in range(2000)
    ]
    drawn = rng.integers(max(classes, 1), size=int(offsets[-1])).astype(np.int32)
    return UnpairedData.check(
        RaggedArray(values, ids, offsets),
        [sentence.astype(np.int32) for sentence in text],
        num_phones=PHONES,
        auxiliary_classes=RaggedArray(drawn, ids, offsets) if classes else None,
    )


def members(options: AdversarialOptions, count: int, dim: int) -> list[Member]:
    """Players with first weights of seeds 0, 1, ..., where this process computes."""
    return [
        new_member(replace(options, seed=seed), input_dim=dim, num_phones=PHONES)
        for seed in range(count)
    ]


def _resident(data: UnpairedData) -> ResidentData:
    """Held in the precision that is computed in, as the trainer holds it."""
    is_short = compute.precision() is torch.bfloat16
    return ResidentData.of(data, compute.device(), dtype=torch.bfloat16 if is_short else None)


def _rules(options: AdversarialOptions) -> Rules:
    return replace(game_rules(options), fixed_rows=compute.device().type != "cpu")


def _times(
    playing: list[Member], batch: Batch, rules: Rules, *, repeats: int
) -> tuple[float, float]:
    """Median seconds of the generators' and the discriminators' update, after two to warm up."""
    turns = (train_generators, train_discriminators)
    seconds = [
        [stopwatch(lambda: turn(playing, batch, rules)) for turn in turns]  # noqa: B023
        for _ in range(repeats + 2)
    ]
    generator, discriminator = (median(column[-repeats:]) for column in zip(*seconds, strict=True))
    return generator, discriminator


def _replayed_pair(replays: Replays, choice: Choice) -> float:
    """Median seconds of a replayed update of each kind, together, once they are recorded."""
    steps = (train_discriminators, train_generators)
    for step in steps * 4:
        replays.play(step, choice)
    return median(
        sum(stopwatch(lambda: replays.play(step, choice)) for step in steps)  # noqa: B023
        for _ in range(20)
    )


def _pairs(setting: Setting, options: AdversarialOptions, sizes: Sizes) -> Iterator[Row]:
    sizes = sizes.shrunk() if setting.is_tiny else sizes
    for precision in ("float32", "bfloat16"):
        compute.use(setting.device, precision)
        data = made_up(sizes, classes=options.num_auxiliary_classes)
        resident = _resident(data)
        playing = members(options, 1, sizes.dim)
        batch = resident.draw(0, seeds=[0], batch_size=sizes.batch)
        drawing = median(
            stopwatch(lambda: resident.draw(1, seeds=[0], batch_size=sizes.batch))  # noqa: B023
            for _ in range(5)
        )
        generator, discriminator = _times(
            playing, batch, _rules(options), repeats=1 if setting.is_tiny else 10
        )
        yield {
            "precision": precision,
            "generator_ms": milliseconds(generator),
            "discriminator_ms": milliseconds(discriminator),
            "pair_ms": milliseconds(generator + discriminator),
            "drawing_ms": milliseconds(drawing),
            "minutes_for_150000_updates": round(
                150_000 * ((generator + discriminator) / 2 + drawing) / 60, 1
            ),
            **memory(),
        }


def _fairseq_pair(setting: Setting) -> Iterator[Row]:
    assert setting.fairseq is not None
    sizes = POOLED.shrunk() if setting.is_tiny else POOLED
    compute.use(setting.device, "float32")
    batch = made_up(sizes).draw(0, seeds=[0], batch_size=sizes.batch, device="cpu")
    game = FairseqGame(setting.fairseq, W2VU, dim=sizes.dim, phones=PHONES)
    padded = PaddedBatch.of(batch)
    seconds = [
        (
            stopwatch(lambda: game.train_generator(padded)),
            stopwatch(lambda: game.train_discriminator(padded)),
        )
        for _ in range(6)
    ]
    generator, discriminator = (median(column[1:]) for column in zip(*seconds, strict=True))
    yield {
        "fairseq_generator_ms": milliseconds(generator),
        "fairseq_discriminator_ms": milliseconds(discriminator),
    }
    yield {"fairseq_pair_ms": milliseconds(generator + discriminator)}
