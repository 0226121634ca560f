"""Cost of one adversarial update at the published sizes (wav2vec-U 1.0).

Batch 160, 512 dims, 44 phones + 4 specials, 50 to 150 segments, 40 to 120 text phones. Prints ms of
the generator step, the discriminator step and the pair, and the pair as a fraction of others',
for

- fairseq's model, if `--fairseq` names a checkout or an unpacked source distribution;
- plain autograd on padded batches (benchmarks/plain_game.py);
- ours on sequences all as long as the longest, which costs what padding would;
- ours packed; each in float32 and in bfloat16.

Contenders take turns, round after round, and medians are printed: other work on the machine slows
all alike. Then multiply-adds, share of the machine's matmul rate, share of padding, drawing a
batch, validation, and S members against one.

    OMP_NUM_THREADS=2 python -m benchmarks.gan_step --fairseq ~/fairseq-0.12.2
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch

from benchmarks.fairseq_model import FairseqGame, PaddedBatch
from benchmarks.plain_game import PlainGame
from gan.batches import Batch, UnpairedData
from gan.infer import transcribe_all
from gan.options import AdversarialOptions, new_member
from gan.steps import Member, Rules, train_discriminators, train_generators
from unsup_asr.formats.ragged import RaggedArray

DIM, PHONES, BATCH = 512, 48, 160
SEGMENTS, TEXT_PHONES = (50, 150), (40, 120)
OPTIONS = AdversarialOptions()
Turns = tuple[Callable[[], object], Callable[[], object]]  # the generator's, the discriminator's


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--fairseq", type=Path, help="checkout or unpacked source distribution")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--members", type=int, nargs="*", default=[4, 16])
    arguments = parser.parse_args()
    data = random_data(ragged=True)
    batch = data.draw(0, seeds=[0], batch_size=BATCH, device="cpu")
    contenders = {}
    if arguments.fairseq is not None:
        try:
            contenders["fairseq"] = fairseq_turns(arguments.fairseq, batch)
        except ValueError as error:
            print(f"gan_step: {error}", file=sys.stderr)
            return 2
    rates = {dtype: matmul_rate(dtype) for dtype in (torch.float32, torch.bfloat16)}
    print(
        f"{torch.get_num_threads()} threads; matmul GFLOP/s: float32 "
        f"{rates[torch.float32] / 1e9:.0f}, bfloat16 {rates[torch.bfloat16] / 1e9:.0f}"
    )
    dtypes = ["float32", "bfloat16"]
    if rates[torch.bfloat16] < rates[torch.float32]:
        print("bfloat16 is slower than float32 on this CPU and is not timed")
        dtypes = ["float32"]
    plain = PlainGame(member(0), batch, OPTIONS)
    contenders["plain autograd, padded"] = (plain.train_generator, plain.train_discriminator)
    longest = random_data(ragged=False).draw(0, seeds=[0], batch_size=BATCH, device="cpu")
    for name, read in (("padded", longest), ("packed", batch)):
        for dtype in dtypes:
            contenders[f"{name}, {dtype}"] = our_turns([member(0)], read, rules_of(dtype))
    times = interleaved(contenders, arguments.rounds)
    report(times)
    flops = pair_flops(batch)
    share = flops / (sum(times["packed, float32"]) * rates[torch.float32])
    print(f"about {flops / 1e9:.0f} GFLOP a packed pair, {100 * share:.0f} % of the matmul rate")
    lengths = data.segments.lengths
    print(f"padding of a padded batch: {100 * (1 - lengths.mean() / lengths.max()):.0f} %")
    time_members(data, arguments.members, dtypes, arguments.rounds)
    time_the_rest(data, arguments.rounds)
    return 0


def interleaved(contenders: dict[str, Turns], rounds: int) -> dict[str, tuple[float, float]]:
    """Median seconds of each contender's two turns, after one round to warm up."""
    seconds: dict[str, list[tuple[float, float]]] = {name: [] for name in contenders}
    for _ in range(rounds + 1):
        for name, (generator, discriminator) in contenders.items():
            seconds[name].append((stopwatch(generator), stopwatch(discriminator)))
    medians = {name: np.median(pairs[1:], axis=0) for name, pairs in seconds.items()}
    return {name: (float(pair[0]), float(pair[1])) for name, pair in medians.items()}


def report(times: dict[str, tuple[float, float]]) -> None:
    others = [name for name in ("fairseq", "plain autograd, padded") if name in times]
    print(f"{'ms':<26}{'generator':>10}{'discriminator':>15}{'pair':>8}", end="")
    print("".join(f"   of {name}" for name in others))
    for name, pair in times.items():
        generator, discriminator = (1e3 * seconds for seconds in pair)
        print(f"{name:<26}{generator:>10.0f}{discriminator:>15.0f}{sum(pair) * 1e3:>8.0f}", end="")
        for other in others:
            ratio = f"1/{sum(times[other]) / sum(pair):.1f}"
            print(f"{ratio:>{len(other) + 6}}", end="")
        print()


def time_members(
    data: UnpairedData, counts: Sequence[int], dtypes: Sequence[str], rounds: int
) -> None:
    one = data.draw(0, seeds=[0], batch_size=BATCH, device="cpu")
    for count in counts:
        batch = data.draw(0, seeds=list(range(count)), batch_size=BATCH, device="cpu")
        for dtype in dtypes:
            rules = rules_of(dtype)
            times = interleaved(
                {
                    "one": our_turns([member(0)], one, rules),
                    "all": our_turns([member(seed) for seed in range(count)], batch, rules),
                },
                max(1, rounds // 2),
            )
            ratio = sum(times["all"]) / sum(times["one"])
            print(f"{count} members, {dtype}: {ratio:.1f} x one, {ratio / count:.2f} each")


def time_the_rest(data: UnpairedData, rounds: int) -> None:
    drawing = [
        stopwatch(lambda: data.draw(1, seeds=[0], batch_size=BATCH, device="cpu"))
        for _ in range(rounds + 1)
    ]
    print(f"drawing a batch: {1e3 * np.median(drawing[1:]):.1f} ms")
    generator = member(0).generator
    subset = RaggedArray(
        data.segments.values_array[: data.segments.offsets[BATCH]],
        data.segments.ids[:BATCH],
        data.segments.offsets[: BATCH + 1],
    )
    validating = [stopwatch(lambda: transcribe_all(generator, subset)) for _ in range(rounds + 1)]
    print(f"validating {BATCH} utterances: {1e3 * np.median(validating[1:]):.1f} ms")


def random_data(*, ragged: bool) -> UnpairedData:
    """Random segments and phones; if not `ragged`, all sequences are as long as the longest."""
    rng = np.random.default_rng(0)

    def length(bounds: tuple[int, int]) -> int:
        return int(rng.integers(bounds[0], bounds[1] + 1)) if ragged else bounds[1]

    segments = {
        str(i): rng.standard_normal((length(SEGMENTS), DIM), dtype=np.float32)
        for i in range(2 * BATCH)
    }
    text = [rng.integers(4, PHONES, size=length(TEXT_PHONES)).astype(np.int32) for _ in range(2000)]
    return UnpairedData.check(RaggedArray.from_arrays(segments), text, num_phones=PHONES)


def member(seed: int) -> Member:
    return new_member(replace(OPTIONS, seed=seed), input_dim=DIM, num_phones=PHONES)


def rules_of(dtype: str) -> Rules:
    """Both players in this precision, as `runtime.precision` sets them."""
    asked = getattr(torch, dtype)
    return Rules(dropout=0.1, discriminator_dtype=asked, generator_dtype=asked)


def our_turns(members: list[Member], batch: Batch, rules: Rules) -> Turns:
    return (
        lambda: train_generators(members, batch, rules),
        lambda: train_discriminators(members, batch, rules),
    )


def fairseq_turns(path: Path, batch: Batch) -> Turns:
    game = FairseqGame(path, OPTIONS, dim=DIM, phones=PHONES)
    padded = PaddedBatch.of(batch)
    return lambda: game.train_generator(padded), lambda: game.train_discriminator(padded)


def pair_flops(batch: Batch) -> float:
    """Multiply-adds x 2 of the matrix products of one generator and one discriminator step."""
    segments, text = float(batch.speech.lengths_MB.sum()), float(batch.text.lengths_MB.sum())
    hidden = OPTIONS.discriminator_hidden
    generator = 2 * segments * DIM * OPTIONS.generator_kernel * PHONES
    row = 2 * (2 * OPTIONS.discriminator_kernel - 1) * PHONES * hidden
    discriminator_step = generator + row * (2 * segments + 3 * min(segments, text))
    return generator * 2 + row * 2 * segments + discriminator_step


def matmul_rate(dtype: torch.dtype) -> float:
    left, right = torch.randn(2048, 528).to(dtype), torch.randn(528, 384).to(dtype)
    seconds = [stopwatch(lambda: left @ right) for _ in range(8)]
    return 2 * 2048 * 528 * 384 / float(np.median(seconds[1:]))


def stopwatch(call: Callable[[], object]) -> float:
    """Seconds that one call takes."""
    start = time.perf_counter()
    call()
    return time.perf_counter() - start


if __name__ == "__main__":
    sys.exit(main())
