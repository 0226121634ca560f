"""Cost of one adversarial update at the published sizes (wav2vec-U 1.0).

Batch 160, 512 dims, 44 phones + 4 specials, 50 to 150 segments, 40 to 120 text phones. Prints ms of
the generator step, the discriminator step and the pair, in float32 and with a bfloat16
discriminator; multiply-adds, share of the machine's matmul rate, share of padding that packing
avoids; the same for the plain padded autograd version; validation; and S members against one.

    OMP_NUM_THREADS=2 python benchmarks/gan_step.py
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable
from dataclasses import replace

import numpy as np
import torch
from torch.nn.utils.rnn import pad_sequence

from gan.batches import Batch, UnpairedData
from gan.generator import generate
from gan.infer import transcribe_all
from gan.join import join_random
from gan.losses import diversity_penalty, smoothness_penalty
from gan.options import AdversarialOptions, game_options, new_players
from gan.steps import Member, Rules, train_discriminators, train_generators
from unsup_asr.ragged import RaggedArray

DIM, PHONES, BATCH = 512, 48, 160
OPTIONS = AdversarialOptions()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--members", type=int, nargs="*", default=[4, 16])
    arguments = parser.parse_args()
    data = random_data()
    rate = matmul_rate()
    print(f"{torch.get_num_threads()} threads, float32 matmul {rate / 1e9:.0f} GFLOP/s")
    lengths = data.segments.lengths
    print(f"padding of a padded batch: {100 * (1 - lengths.mean() / lengths.max()):.0f} %")
    drawn = data.draw(0, seeds=[0], batch_size=BATCH, device="cpu")
    plain = plain_times(drawn, arguments.repeats)
    report("plain autograd, padded", plain)
    alone: dict[str, float] = {}
    for name in ("float32", "bfloat16"):
        rules = rules_of(name)
        times = packed_times([new_member(0)], drawn, rules, arguments.repeats)
        report(f"packed, {name} discriminator", times)
        alone[name] = sum(times)
        print(f"    1/{sum(plain) / sum(times):.1f} of the plain version")
        if name == "float32":
            flops = pair_flops(drawn)
            share = flops / (sum(times) * rate)
            print(
                f"    about {flops / 1e9:.0f} GFLOP a pair, {100 * share:.0f} % of the matmul rate"
            )
    for count in arguments.members:
        members = [new_member(seed) for seed in range(count)]
        batch = data.draw(0, seeds=list(range(count)), batch_size=BATCH, device="cpu")
        for name, one in alone.items():
            times = packed_times(members, batch, rules_of(name), max(1, arguments.repeats // 2))
            report(f"{count} members, {name}", times)
            print(f"    {sum(times) / one:.2f} x one member, {sum(times) / one / count:.2f} each")
    seconds = timed(
        lambda: data.draw(1, seeds=[0], batch_size=BATCH, device="cpu"), arguments.repeats
    )
    print(f"drawing a batch: {1e3 * seconds:.1f} ms")
    generator = new_member(0).generator
    subset = RaggedArray(
        data.segments.values_array[: data.segments.offsets[BATCH]],
        data.segments.ids[:BATCH],
        data.segments.offsets[: BATCH + 1],
    )
    seconds = timed(lambda: transcribe_all(generator, subset), arguments.repeats)
    print(f"validating {BATCH} utterances: {1e3 * seconds:.1f} ms")


def random_data() -> UnpairedData:
    rng = np.random.default_rng(0)
    segments = {
        str(i): rng.standard_normal((rng.integers(50, 151), DIM), dtype=np.float32)
        for i in range(2 * BATCH)
    }
    text = [
        rng.integers(4, PHONES, size=rng.integers(40, 121)).astype(np.int32) for _ in range(2000)
    ]
    return UnpairedData.check(RaggedArray.from_arrays(segments), text, num_phones=PHONES)


def new_member(seed: int) -> Member:
    options = replace(OPTIONS, seed=seed)
    generator, discriminator = new_players(options, input_dim=DIM, num_phones=PHONES)
    return Member(game_options(options), generator, discriminator)


def rules_of(dtype: str) -> Rules:
    return Rules(dropout=0.1, joint_penalty=False, discriminator_dtype=getattr(torch, dtype))


def packed_times(
    members: list[Member], batch: Batch, rules: Rules, repeats: int
) -> tuple[float, float]:
    """Seconds of a generator step and of a discriminator step."""
    return (
        timed(lambda: train_generators(members, batch, rules), repeats),
        timed(lambda: train_discriminators(members, batch, rules), repeats),
    )


def plain_times(batch: Batch, repeats: int) -> tuple[float, float]:
    """The same steps with padded batches, three convolutions and double backward."""
    member = new_member(0)

    def fakes(grad: bool) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        with torch.set_grad_enabled(grad):
            rows = generate(
                [member.generator], batch.features_MND, batch.speech, dropout=0.1, rngs=batch.rngs
            )
            logits, joined = join_random(
                rows.logits_MNV, rows.packing, torch.rand(rows.packing.sequence_MN.shape)
            )
            lengths = joined.lengths_MB[0]
            real = logits[0, : int(lengths.sum())]
            padded = pad_sequence(
                list(torch.softmax(real, -1).split(lengths.tolist())), batch_first=True
            )
            extra = diversity_penalty(torch.softmax(logits, -1), joined)[0] * OPTIONS.diversity
            return (
                padded,
                lengths,
                extra + OPTIONS.smoothness * smoothness_penalty(logits, joined)[0],
            )

    lengths = batch.text.lengths_MB[0]
    text = pad_sequence(list(batch.text_MNV[0].split(lengths.tolist())), batch_first=True)

    def train_discriminator() -> None:
        fake, fake_lengths, _ = fakes(False)
        discriminator = member.discriminator
        member.discriminator_optimizer.zero_grad()
        loss = torch.nn.functional.softplus(-discriminator(fake, fake_lengths)).mean()
        loss = loss + torch.nn.functional.softplus(discriminator(text, lengths)).mean()
        steps = min(fake.shape[1], text.shape[1])
        mix = torch.rand(BATCH, 1, 1)
        between = (mix * text[:, :steps] + (1 - mix) * fake[:, :steps]).requires_grad_()
        score = discriminator(between, torch.full((BATCH,), steps))
        (gradient,) = torch.autograd.grad(score.sum(), between, create_graph=True)
        penalty = (gradient.norm(dim=1) - 1).square().sum(1).mean()
        (loss + OPTIONS.gradient_penalty * penalty).backward()
        member.discriminator_optimizer.step()

    def train_generator() -> None:
        fake, fake_lengths, extra = fakes(True)
        member.generator_optimizer.zero_grad()
        score = member.discriminator(fake, fake_lengths)
        (torch.nn.functional.softplus(score).mean() + extra).backward()
        member.generator_optimizer.step()

    return timed(train_generator, repeats), timed(train_discriminator, repeats)


def pair_flops(batch: Batch) -> float:
    """Multiply-adds x 2 of the matrix products of one generator and one discriminator step."""
    segments, text = float(batch.speech.lengths_MB.sum()), float(batch.text.lengths_MB.sum())
    hidden = OPTIONS.discriminator_hidden
    generator = 2 * segments * DIM * OPTIONS.generator_kernel * PHONES
    row = 2 * (2 * OPTIONS.discriminator_kernel - 1) * (PHONES + 1) * hidden
    pairs = min(segments, text)
    discriminator_step = generator + row * (2 * (segments + text) + 3 * pairs)
    return generator * 2 + row * 2 * segments + discriminator_step


def matmul_rate() -> float:
    left, right = torch.randn(8192, 544), torch.randn(544, 384)
    return 2 * 8192 * 544 * 384 / timed(lambda: left @ right, 20)


def timed(call: Callable[[], object], repeats: int) -> float:
    """Median seconds, after one call to warm up."""
    call()
    seconds = []
    for _ in range(repeats):
        start = time.perf_counter()
        call()
        seconds.append(time.perf_counter() - start)
    return float(np.median(seconds))


def report(name: str, times: tuple[float, float]) -> None:
    generator, discriminator = (1e3 * seconds for seconds in times)
    print(
        f"{name}: generator {generator:.0f} ms, discriminator {discriminator:.0f} ms, "
        f"pair {generator + discriminator:.0f} ms"
    )


if __name__ == "__main__":
    main()
