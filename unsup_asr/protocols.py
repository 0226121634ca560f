"""The plug-in contracts. A recipe names a class by `_target_`; these say what it must offer."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol, runtime_checkable

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from unsup_asr.types import Float32Array, FrameTiming, Int32Array, Seconds


@dataclass(frozen=True)
class UpstreamOutput:
    """B batch, T frames, D dims. `layers_BTD` has one tensor a layer, `lengths_B` in frames."""

    layers_BTD: list[Tensor]
    lengths_B: Tensor


@runtime_checkable
class Upstream(Protocol):
    """Waveforms to frame-level representations."""

    @property
    def sample_rate(self) -> int:
        """Samples a second that `encode` expects."""
        ...

    @property
    def frame_shift_samples(self) -> int:
        """Samples from the centre of a frame to the next one's."""
        ...

    @property
    def first_centre_s(self) -> Seconds:
        """Time of the middle of the first frame's window, from the start of the audio."""
        ...

    @property
    def num_layers(self) -> int:
        """How many representations `encode` gives, the lowest first."""
        ...

    @property
    def dim(self) -> int:
        """Dimensions of a frame, the same in all layers."""
        ...

    def encode(self, waves_BN: Tensor, lengths_B: Tensor) -> UpstreamOutput:
        """Representations of padded float32 waveforms in [-1, 1]; lengths in samples.

        Computed on the device of the waveforms, as if each were alone: padding changes nothing.
        ValueError for a waveform shorter than one frame.
        """
        ...

    def fingerprint(self) -> str:
        """A digest of all that decides the output (weights, options): enters the stage key."""
        ...


@dataclass(frozen=True)
class Augmentation:
    """What is masked and dropped of this process's rows of a pass, while a network is fine-tuned.

    They are `first_row`, first_row + `row_step`, ... of `num_rows`; masks are (own rows, frames)
    and (own rows, dims), on the device. All that is drawn besides comes from `seed`.
    """

    is_masked_BT: Tensor
    is_masked_BD: Tensor
    seed: int
    num_rows: int
    first_row: int
    row_step: int


@runtime_checkable
class FineTunable(Protocol):
    """An upstream whose network can be trained further, below a CTC head."""

    @property
    def sample_rate(self) -> int:
        """Samples a second."""
        ...

    @property
    def dim(self) -> int:
        """Dimensions of a frame."""
        ...

    def num_frames(self, num_samples: int) -> int:
        """Frames of a waveform of so many samples."""
        ...

    def with_ctc_head(
        self, num_outputs: int, *, layer_drop: float, activation_dropout: float, seed: int
    ) -> Any:
        """A new `upstreams.ctc_network.CTCNetwork`."""
        ...

    def fingerprint(self) -> str:
        """Of the weights."""
        ...


class UtteranceFrames(Protocol):
    """Frames (T, D) of utterances by id, memory-mapped as a rule: `formats.ragged.RaggedArray`."""

    @property
    def ids(self) -> list[str]:
        """Ids in the order of the rows."""
        ...

    @property
    def values_array(self) -> NDArray:
        """The frames of all utterances, one after the other."""
        ...

    def __getitem__(self, key: str, /) -> NDArray:
        """Those of one utterance."""
        ...

    def __len__(self) -> int:
        """Number of utterances."""
        ...


@runtime_checkable
class Segmenter(Protocol):
    """Frames to boundaries. `fit` sees unlabelled training features only.

    One that can be asked for a rate has `segments_per_second`, None until it is set.
    """

    def fit(self, features: UtteranceFrames, timing: FrameTiming) -> None:
        """Learn from normalised training features, each (num_frames, dim)."""
        ...

    def boundaries(self, features_TD: Float32Array) -> Int32Array:
        """Strictly increasing frame indices from 0 to T: num_segments + 1 of them."""
        ...

    def save(self, folder: Path) -> None:
        """Write what `fit` learned (safetensors, npy, json; no pickle)."""
        ...

    def load(self, folder: Path) -> None:
        """Restore what `save` wrote."""
        ...


class Launcher(Protocol):
    """Where the workers of an extraction run."""

    def run(self, job: Path, num_shards: int, *, poll: Callable[[], None]) -> None:
        """Run `unsup_asr.extraction.worker` on all shards of the job; return when all have ended.

        A worker that dies is no error: what it left is found and tried again. `poll` is called now
        and then, to show progress.
        """
        ...


@runtime_checkable
class Silence(Protocol):
    """Which frames are long silence, to be cut."""

    def speech_frames(
        self, samples_N: Float32Array, *, frame_samples: int, shift_samples: int
    ) -> Int32Array:
        """Original index of each frame that stays, increasing."""
        ...


class Projection(Protocol):
    """Frames to fewer dims."""

    def fit_blocks(self, blocks_ND: Iterable[NDArray[np.floating]]) -> None:
        """Learn from a stream of training rows, which is read once."""
        ...

    def apply(self, rows_ND: NDArray[np.floating]) -> Float32Array:
        """Projected rows, (N, P)."""
        ...

    def save(self, folder: Path) -> None:
        """Write what `fit_blocks` learned."""
        ...


class Pooling(Protocol):
    """Frames of each segment to one vector."""

    def pool(self, features_TD: Float32Array, boundaries: Int32Array) -> Float32Array:
        """One row a segment, (S, D)."""
        ...


class AdjacentPooling(Protocol):
    """Neighbouring segments joined into one."""

    def boundaries(self, boundaries: Int32Array) -> Int32Array:
        """Those of the joined segments."""
        ...

    def pool(self, rows_SD: Float32Array) -> Float32Array:
        """One row a joined segment."""
        ...


class Clusterer(Protocol):
    """Vectors to cluster ids."""

    def fit(self, rows_ND: NDArray[np.floating]) -> None:
        """Learn from training rows, which may be a memory map larger than the memory."""
        ...

    def assign(self, rows_ND: Float32Array) -> Int32Array:
        """Cluster id of each row, (N,)."""
        ...

    def fitted_centroids(self) -> Float32Array:
        """(K, D)."""
        ...

    def save(self, folder: Path) -> None:
        """Write what `fit` learned."""
        ...


class MatchingResult(Protocol):
    """A cluster-to-phone table and what the other restarts reached."""

    table_KV: Float32Array
    losses_R: list[float]
    chosen: int
    curves_RI: list[list[float]]


class Matcher(Protocol):
    """Cluster sequences and phone text to a table, without labels."""

    @property
    def num_steps(self) -> int:
        """How often `match` calls `progress`."""
        ...

    def match(
        self,
        clusters: Sequence[Int32Array],
        centroids_KD: Float32Array,
        text: Sequence[Int32Array],
        *,
        num_phones: int,
        device: str = "cpu",
        progress: Callable[[], None] = ...,
    ) -> MatchingResult:
        """Find the table; `text` are phone ids of sentences."""
        ...


class EvidenceMatcher(Protocol):
    """As `Matcher`, from what a network hears in each segment."""

    @property
    def num_steps(self) -> int:
        """How often `match` calls `progress`."""
        ...

    def match(
        self,
        clusters: Sequence[Int32Array],
        evidence: Sequence[Float32Array],
        text: Sequence[Int32Array],
        *,
        num_clusters: int,
        num_phones: int,
        progress: Callable[[], None] = ...,
    ) -> MatchingResult:
        """Find the table; `evidence` (S, V) of the segments of each utterance."""
        ...


class TextChannel(Protocol):
    """Text as a segmenter cuts it."""

    def cut(
        self,
        text: Sequence[Int32Array],
        spoken: Sequence[Int32Array],
        num_segments: Sequence[Int32Array],
    ) -> list[Int32Array]:
        """Sentences with each phone as often as it might be cut, by what was seen of `spoken`."""
        ...


class FrameAlignment(Protocol):
    """One phone a frame, and the frames where the phones start."""

    @property
    def frame_phones_T(self) -> Int32Array: ...  # noqa: D102

    @property
    def starts(self) -> Int32Array: ...  # noqa: D102

    @property
    def phones(self) -> Int32Array: ...  # noqa: D102


class Digests(Protocol):
    """What the contents of a user's files are known by, kept from run to run."""

    def digest_all(self, files: Sequence[Path]) -> str:
        """One digest of the contents of files, in their order, whatever they are called."""
        ...

    def remembered(self, of: Sequence[str], make: Callable[[], str]) -> str:
        """What `make` gives for things with the digests `of`; made once."""
        ...


class Aligner(Protocol):
    """Frame scores to the best phone sequence that text allows, with its alignment."""

    def tree(self, sentences: Iterable[Sequence[tuple[int, ...]]], num_phones: int) -> Any:
        """What `decode` searches, out of phonemized sentences of words."""
        ...

    def decode(
        self,
        tree: Any,
        scores: Mapping[str, Float32Array],
        *,
        num_threads: int = ...,
        progress: Callable[[], None] = ...,
    ) -> Mapping[str, FrameAlignment]:
        """The best alignment of each utterance; `scores` (T, V) are scaled log likelihoods.

        The number of threads changes no result. `progress` is called once an utterance.
        """
        ...


class LanguageModelScorer(Protocol):
    """Perplexity under an ARPA file."""

    def perplexity(self, arpa: Path, sequences: Sequence[Sequence[str]]) -> float:
        """Per-token perplexity, ends of sentences included."""
        ...


class DecodedPhones(Protocol):
    """Phones of one hypothesis and the frame where each starts."""

    @property
    def phones(self) -> tuple[str, ...]: ...  # noqa: D102

    @property
    def start_frames(self) -> tuple[int, ...]: ...  # noqa: D102


@runtime_checkable
class PhoneDecoder(Protocol):
    """Log posteriors to phones with a language model of phones or of words."""

    def decode_batch(
        self, log_posteriors: Sequence[Float32Array], phones: Sequence[str]
    ) -> Sequence[Sequence[DecodedPhones]]:
        """For each utterance its hypotheses, best first."""
        ...


class TextFrontEnd(Protocol):
    """Unpaired text to phones, and references to the same ones."""

    def prepare(self, text: Path, out: Path) -> None:
        """Write `phones.txt`, `words.txt`, `written.txt`, `inventory.json` (see
        `unsup_asr.formats.phone_text`), `lexicon.tsv` and `counts.json`; ValueError when no
        sentence is left.
        """
        ...

    def normalize_words(self, words: Sequence[str]) -> tuple[str, ...]:
        """Words as `words.txt` has them."""
        ...

    def phonemize_references(
        self, words: Mapping[str, Sequence[str]]
    ) -> dict[str, tuple[str, ...]]:
        """Phones of each utterance's words; ValueError where they are of another language."""
        ...

    def fold_phones(self, phones: Sequence[str]) -> tuple[str, ...]:
        """Phones of a reference with the fold of the text; rare ones are left as they are."""
        ...


class DecodedWord(Protocol):
    """A word, the phones it was said with, and the frame where each phone starts."""

    @property
    def word(self) -> str: ...  # noqa: D102

    @property
    def start_frames(self) -> tuple[int, ...]: ...  # noqa: D102


class DecodedWords(DecodedPhones, Protocol):
    """As `DecodedPhones`, and the words that the phones belong to."""

    @property
    def words(self) -> Sequence[DecodedWord]: ...  # noqa: D102


@runtime_checkable
class WordDecoder(Protocol):
    """Log posteriors to words of a lexicon with a language model of words."""

    def decode_batch(
        self, log_posteriors: Sequence[Float32Array], phones: Sequence[str]
    ) -> Sequence[Sequence[DecodedWords]]:
        """For each utterance its sentences, best first."""
        ...


class WordCandidate(Protocol):
    """Options of a word decoder, their label-free criterion (lower is better), what they gave."""

    @property
    def lm_weight(self) -> float: ...  # noqa: D102

    @property
    def word_score(self) -> float: ...  # noqa: D102

    @property
    def criterion(self) -> float: ...  # noqa: D102

    @property
    def sentences(self) -> Sequence[tuple[str, ...]]: ...  # noqa: D102


class WordTuning(Protocol):
    """Weights of a word decoder, chosen without labels."""

    num_utterances: int

    def candidates(
        self,
        decoder: WordDecoder,
        log_posteriors: Sequence[Float32Array],
        phones: Sequence[str],
        *,
        phones_a_word: float,
    ) -> Sequence[WordCandidate]:
        """All candidates, the best first; `phones_a_word` is the mean in the text."""
        ...
