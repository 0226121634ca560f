"""Kernels of an update at the published sizes, and bytes that they read and write: no GPU needed.

Updates are played on torch's meta device, whose tensors have shapes and no values, as they would be
on a GPU whose host knows nothing of the batch. Each operation that is no view counts as one kernel
that reads its inputs and writes its outputs once; views that read a part count that part. Random
draws, the gathering of the batch, gradients, clipping and the optimiser are in it.

    python -m benchmarks.gpu.traffic                 # a line for each kind of update
    python -m benchmarks.gpu.traffic --top 15        # also the operations that move most bytes
"""

from __future__ import annotations

import argparse
import sys
from collections import Counter
from dataclasses import replace

import numpy as np
import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves
from torch.utils.flop_counter import FlopCounterMode

from benchmarks.gpu.parts import FRAMES, PHONES, POOLED, W2VU, W2VU_2, Sizes, made_up
from gan.options import AdversarialOptions, game_rules, new_member
from gan.packing import Packing, rounded_up
from gan.resident import GRANULE, Choice, ResidentData
from gan.steps import train_discriminators, train_generators
from unsup_asr import compute

META = torch.device("meta")
KINDS = {"w2vu": (W2VU, POOLED), "w2vu2": (W2VU_2, FRAMES)}


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--top", type=int, default=0, help="operations to list of each update")
    parser.add_argument("--precision", nargs="*", default=["float32", "bfloat16"])
    arguments = parser.parse_args()
    print("| system | precision | update | kernels | GB | TFLOP |\n|---|---|---|---|---|---|")
    for name, (options, sizes) in KINDS.items():
        for precision in arguments.precision:
            for step in (train_generators, train_discriminators):
                seen, flops = traffic(options, sizes, precision, step)
                turn, moved = step.__name__.removeprefix("train_"), seen.moved.total() / 1e9
                print(
                    f"| {name} | {precision} | {turn} | {seen.kernels.total()} | {moved:.2f} | "
                    f"{flops / 1e12:.2f} |"
                )
                for operation, moved in seen.moved.most_common(arguments.top):
                    print(f"    {moved / 1e9:7.3f} GB {seen.kernels[operation]:4d} x {operation}")
    return 0


class Seen(TorchDispatchMode):
    """Counts operations on meta tensors, by name, and the bytes that they read and write."""

    def __init__(self) -> None:
        super().__init__()
        self.kernels: Counter[str] = Counter()
        self.moved: Counter[str] = Counter()

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        out = func(*args, **(kwargs or {}))
        read = [x for x in tree_leaves((args, kwargs)) if isinstance(x, Tensor) and x.is_meta]
        written = [x for x in tree_leaves(out) if isinstance(x, Tensor) and x.is_meta]
        name = str(func).removeprefix("aten.")
        if written and not func.is_view and not name.startswith(_NO_KERNEL):
            self.kernels[name] += 1
            # an operation in place has its result among its inputs too, and reads and writes it
            self.moved[name] += sum(map(_bytes, [*read, *written]))
            if name.startswith(_GATHERS):  # reads of its table what it writes, no more
                self.moved[name] -= _bytes(read[0]) - min(_bytes(read[0]), *map(_bytes, written))
        return out


class MetaDraws:
    """Draws of one member that have shapes alone."""

    def dropped(self, values_MNC: Tensor, packing: Packing, probability: float) -> Tensor:
        """True where dropout zeroes an entry."""
        drop = torch.empty(values_MNC.shape, dtype=torch.bool, device=META)
        return drop.bernoulli_(probability)

    def uniform_rows(self, packing: Packing) -> Tensor:
        """One a row."""
        return torch.empty(packing.sequence_MN.shape, device=META).uniform_()

    def uniform(self, packing: Packing) -> Tensor:
        """One a sequence."""
        return torch.empty(1, packing.num_sequences, device=META).uniform_()

    def whole(self, below: int, packing: Packing) -> Tensor:
        """One a row."""
        return self.uniform_rows(packing).long()


class _NoOptimiser:
    """Steps nothing: the optimiser's fused kernels are left out."""

    def __init__(self, module: torch.nn.Module) -> None:
        self._module = module

    def zero_grad(self, *, set_to_none: bool) -> None:
        self._module.zero_grad(set_to_none=set_to_none)

    def step(self) -> None:
        pass


def traffic(options: AdversarialOptions, sizes: Sizes, precision: str, step) -> tuple[Seen, int]:
    """What one update of one member starts and moves, and its floating-point operations."""
    with compute.using("cpu", precision):
        member = new_member(options, input_dim=sizes.dim, num_phones=PHONES, device=META)
        member.generator_optimizer = _NoOptimiser(member.generator)  # pyright: ignore
        member.discriminator_optimizer = _NoOptimiser(member.discriminator)  # pyright: ignore
        rules = replace(game_rules(options), fixed_rows=True)
        data = _resident(options, sizes)
        rows, phones = (sum(bounds) // 2 for bounds in (sizes.rows, sizes.phones))
        choice = Choice(
            torch.empty(4, 1, sizes.batch, dtype=torch.int64, device=META),
            rounded_up(rows * sizes.batch, GRANULE),
            rounded_up(phones * sizes.batch, GRANULE),
            MetaDraws(),  # pyright: ignore
        )
        if step is train_generators:
            choice = choice.without_text()
        with FlopCounterMode(display=False) as flops, Seen() as seen:
            step([member], data.gather(choice), rules)
        return seen, flops.get_total_flops()


def _resident(options: AdversarialOptions, sizes: Sizes) -> ResidentData:
    """As of 1000 utterances, without values."""
    few = ResidentData.of(
        made_up(sizes.shrunk(), classes=options.num_auxiliary_classes), torch.device("cpu")
    )
    assert few.segments is not None
    rows = 500 * sum(sizes.rows)
    return replace(
        few,
        segments=replace(
            few.segments,
            values=torch.empty(rows, sizes.dim, dtype=compute.precision(), device=META),
        ),
        text=replace(few.text, values=few.text.values.to(META)),
        auxiliary_classes=few.auxiliary_classes
        and replace(
            few.auxiliary_classes, values=torch.empty(rows, dtype=torch.int64, device=META)
        ),
    )


_NO_KERNEL = ("empty", "new_empty", "_unsafe_view", "detach", "lift_fresh")
_GATHERS = ("index_select", "gather", "embedding")


def _bytes(tensor: Tensor) -> int:
    """Of the entries, each once where strides repeat them."""
    sizes = zip(tensor.shape, tensor.stride(), strict=True)
    return tensor.element_size() * int(np.prod([size for size, stride in sizes if stride]))


if __name__ == "__main__":
    sys.exit(main())
