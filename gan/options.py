"""What a recipe may set of the adversarial game, and the players that it makes."""

from __future__ import annotations

from copy import deepcopy
from dataclasses import dataclass

import numpy as np
import torch

from gan.discriminator import Discriminator, DiscriminatorShape
from gan.generator import Generator, GeneratorShape
from gan.losses import NON_SATURATING, OBJECTIVES
from gan.penalty import NUM_SPECIALS
from gan.steps import GameOptions, Member, Rules
from unsup_asr import compute
from unsup_asr.ranges import NonNegative, NonNegativeInt, Positive, PositiveInt, Probability, Seed
from unsup_asr.types import Float32Array

RUNTIME = "runtime"
DISCRIMINATOR_DTYPES = {"float32": torch.float32, "bfloat16": torch.bfloat16}
NGRAMS = "ngrams"
PADDINGS = ("masked", "reference")
MIN_SEGMENTS = 3  # of an utterance; fairseq drops shorter ones, and so does padding "reference"
OWN_OPTIONS = (  # a member's own; all others must be equal in one population
    "seed",
    "generator_init_scale",
    "generator_learning_rate",
    "discriminator_learning_rate",
    "discriminator_weight_decay",
    "beta1",
    "beta2",
    "clip_norm",
    "gradient_penalty",
    "diversity",
    "smoothness",
    "anchor",
    "auxiliary",
)


@dataclass(frozen=True, kw_only=True)
class AdversarialOptions:
    """Options of the game; the defaults are wav2vec-U 1.0 (Baevski et al. 2021; fairseq w2vu.yaml).

    An update trains either the discriminator or the generator: of every `discriminator_steps` + 1
    updates the last is the generator's, or the first with `padding` "reference", which follows
    fairseq in all that its code does otherwise than the paper says. `warm_up_updates` first updates
    are all the discriminator's: it must know good from bad before a generator that starts well is
    moved.
    """

    updates: PositiveInt = 150_000
    batch_size: PositiveInt = 160
    discriminator_steps: PositiveInt = 1
    warm_up_updates: NonNegativeInt = 0
    generator_kernel: PositiveInt = 4
    generator_hidden: NonNegativeInt = 0  # units of a ReLU layer before the convolution; 0: none
    generator_stride: PositiveInt = 1
    generator_dropout: Probability = 0.1
    generator_batch_norm: NonNegative = 0.0  # first weight of a batch norm before all else; 0: none
    generator_residual: bool = False
    # Of random first weights; a started generator ignores it.
    generator_init_scale: NonNegative = 1.0
    join: bool = True  # neighbouring segments of one best phone become one
    discriminator_hidden: PositiveInt = 384
    discriminator_kernel: PositiveInt = 6
    discriminator_dtype: str = RUNTIME  # as runtime.precision says; or float32, or bfloat16
    generator_learning_rate: NonNegative = 4e-4
    discriminator_learning_rate: NonNegative = 5e-4
    discriminator_weight_decay: NonNegative = 1e-4
    beta1: Probability = 0.5
    beta2: Probability = 0.98
    clip_norm: Positive = 5.0
    objective: str = "non_saturating"  # or wasserstein, or ngrams: no discriminator
    ngram_order: PositiveInt = 5
    num_ngrams: PositiveInt = 10_000  # the most frequent of the text
    # Of objective ngrams: segments hold as many frames in a row.
    frames_per_segment: PositiveInt = 1
    padding: str = "masked"  # or reference: padded batches, turns and ends as in fairseq
    gradient_penalty: NonNegative = 1.5
    hard_samples: bool = False  # the discriminator reads drawn phones, not posteriors
    joint_gradient_penalty: bool = False  # one norm a sequence instead of one a phone channel
    diversity: NonNegative = 4.0  # fairseq: code_penalty
    smoothness: NonNegative = 0.5
    # Of predicting each segment's auxiliary class; fairseq: mmi_weight.
    auxiliary: NonNegative = 0.0
    num_auxiliary_classes: NonNegativeInt = 0
    anchor: NonNegative = 0.0  # KL to the map the generator started from
    join_text: bool = False  # JOIN leaves no repeats in the output; drop them from the text too
    validate_every: PositiveInt = 1000
    criterion: str = "weighted_lm_perplexity"  # the entry of `validate`'s answer to minimise
    seed: Seed = 0

    def __post_init__(self) -> None:
        choices = {
            "discriminator_dtype": [RUNTIME, *sorted(DISCRIMINATOR_DTYPES)],
            "objective": [*sorted(OBJECTIVES), NGRAMS],
            "padding": list(PADDINGS),
        }
        for name, allowed in choices.items():
            if getattr(self, name) not in allowed:
                raise ValueError(f"{name} is {getattr(self, name)!r}; expected one of {allowed}")
        for name in (
            "updates",
            "batch_size",
            "validate_every",
            "discriminator_steps",
            "ngram_order",
            "frames_per_segment",
        ):
            if getattr(self, name) < 1:
                raise ValueError(f"{name} is {getattr(self, name)}; expected at least 1")
        if self.auxiliary > 0 and not (self.generator_residual and self.num_auxiliary_classes):
            raise ValueError(
                f"auxiliary is {self.auxiliary} without generator_residual and "
                "num_auxiliary_classes: the residual layer is what predicts the classes; set both, "
                "or auxiliary to 0"
            )

    def plays_generator(self, update: int) -> bool:
        """Whose turn update number `update` (from 0) is."""
        if self.objective == NGRAMS:
            return True
        played = update - self.warm_up_updates
        turn = 0 if self.padding == "reference" else self.discriminator_steps
        return played >= 0 and played % (self.discriminator_steps + 1) == turn


def new_players(
    options: AdversarialOptions,
    *,
    input_dim: int,
    num_phones: int,
    generator_init: Float32Array | None = None,
) -> tuple[Generator, Discriminator]:
    """A generator and a discriminator with the first weights that the options' seed gives."""
    outputs = num_phones + num_specials(options)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(options.seed)
        generator = Generator(
            GeneratorShape(
                input_dim=input_dim,
                num_phones=outputs,
                kernel=options.generator_kernel,
                stride=options.generator_stride,
                hidden=options.generator_hidden,
                batch_norm_weight=options.generator_batch_norm,
                residual=options.generator_residual,
                num_auxiliary_classes=options.num_auxiliary_classes,
                overhang=options.padding == "reference",
            )
        )
        discriminator = Discriminator(
            DiscriminatorShape(
                num_phones=outputs,
                hidden=options.discriminator_hidden,
                kernel=options.discriminator_kernel,
            )
        )
    if generator_init is None:
        with torch.no_grad():
            generator.conv.weight.mul_(options.generator_init_scale)
    else:
        specials = np.zeros((len(generator_init), num_specials(options)), dtype=np.float32)
        generator.start_from_map(np.concatenate([generator_init, specials], axis=1))
    return generator, discriminator


def new_member(
    options: AdversarialOptions,
    *,
    input_dim: int,
    num_phones: int,
    generator_init: Float32Array | None = None,
    device: torch.device | None = None,
) -> Member:
    """`new_players` as one who plays, on a device: that of the process if none is named.

    With a map to start from and `anchor`, that start is kept beside the generator.
    """
    generator, discriminator = new_players(
        options, input_dim=input_dim, num_phones=num_phones, generator_init=generator_init
    )
    where = compute.device() if device is None else device
    member = Member(game_options(options), generator.to(where), discriminator.to(where))
    if generator_init is not None and options.anchor > 0:
        member.start = deepcopy(member.generator).requires_grad_(False).eval()
    return member


def game_options(options: AdversarialOptions) -> GameOptions:
    """The part of the options that one member plays by."""
    names = GameOptions.__dataclass_fields__
    return GameOptions(**{name: getattr(options, name) for name in names})


def game_rules(options: AdversarialOptions) -> Rules:
    """The part of the options that all members share."""
    return Rules(
        dropout=options.generator_dropout,
        joint_penalty=options.joint_gradient_penalty,
        hard_samples=options.hard_samples,
        join=options.join,
        objective=OBJECTIVES.get(options.objective, NON_SATURATING),
        frames_per_segment=options.frames_per_segment,
        padding=options.padding,
        discriminator_dtype=DISCRIMINATOR_DTYPES.get(
            options.discriminator_dtype, compute.precision()
        ),
        generator_dtype=compute.precision(),
    )


def num_specials(options: AdversarialOptions) -> int:
    """fairseq's vocabulary counts `<s> <pad> </s> <unk>` too; padding reads as the second."""
    return NUM_SPECIALS if options.padding == "reference" else 0
