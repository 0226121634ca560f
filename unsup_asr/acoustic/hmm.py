"""Monophone GMM-HMM: one state a phone, three for silence, trained on labels of frames.

What Chen et al. 2019 do with Kaldi between two games, and wav2vec-U before its self-training: one
state with a self-loop a phone (Baevski et al. 2021, appendix), diagonal Gaussians, Viterbi
training. Features are those of the acoustic networks.

Axes: B batch, T frames, D dims, S states, V phones, N places in the chain of a transcript.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path

import numpy as np
import torch
from safetensors.torch import save_file
from torch import Tensor

from unsup_asr import compute
from unsup_asr.acoustic.mixtures import DiagonalMixtures, LabelledFrames, first_mixtures
from unsup_asr.acoustic.posteriors import id_blocks
from unsup_asr.formats.checked import read_json
from unsup_asr.formats.weights import read_tensors
from unsup_asr.ranges import NonNegativeInt, Positive, PositiveInt
from unsup_asr.speech.runs import merge_repeats, run_edges, run_starts
from unsup_asr.types import Float32Array, Int32Array

log = logging.getLogger(__name__)

_NEVER = -1e30
_SILENCE_STATES = 3
_CELLS = 2**24  # 64 MB of float32 emissions, and as much for the path


@dataclass(frozen=True)
class StateMap:
    """Which states a phone passes through, in order."""

    states_of_phone: tuple[tuple[int, ...], ...]

    @classmethod
    def of(cls, phones: Sequence[str], *, silence: Sequence[str] = ()) -> StateMap:
        """One state a phone, three for those that are silence."""
        states: list[tuple[int, ...]] = []
        for phone in phones:
            first = sum(map(len, states))
            states.append(tuple(range(first, first + (_SILENCE_STATES if phone in silence else 1))))
        return cls(tuple(states))

    @property
    def num_states(self) -> int:
        """Of all phones together."""
        return sum(map(len, self.states_of_phone))

    def chain(self, phone_ids: Sequence[int] | Int32Array) -> tuple[Int32Array, Int32Array]:
        """States of a transcript, and for each the index of its phone in the transcript."""
        pairs = [(s, n) for n, p in enumerate(phone_ids) for s in self.states_of_phone[int(p)]]
        array = np.array(pairs, dtype=np.int32).reshape(-1, 2)
        return array[:, 0], array[:, 1]

    def fits(self, phone_ids: Sequence[int] | Int32Array, num_frames: int) -> bool:
        """Whether each state of a transcript can have a frame; not where it has no phone."""
        num_states = sum(len(self.states_of_phone[int(p)]) for p in phone_ids)
        return 0 < num_states <= num_frames


@dataclass(frozen=True)
class PhoneHMM:
    """A trained model."""

    map: StateMap
    mixtures: DiagonalMixtures
    log_stay_S: Float32Array  # of the self-loop; leaving takes the rest

    def phone_scores(self, features: Mapping[str, Float32Array]) -> dict[str, Float32Array]:
        """log p(frame | phone), (T, V), of the phone's best state."""
        found: dict[str, Float32Array] = {}
        for utterance_id, x_TD in features.items():
            log_TS = self._log_density(x_TD, utterance_id)
            columns = [log_TS[:, list(s)].max(axis=1) for s in self.map.states_of_phone]
            found[utterance_id] = np.stack(columns, axis=1)
        return found

    def align(
        self, features: Mapping[str, Float32Array], transcripts: Mapping[str, Int32Array]
    ) -> dict[str, Int32Array]:
        """First frame of each phone of a transcript: forced alignment by Viterbi.

        ValueError for an utterance with fewer frames than its transcript has states.
        """
        state_paths = self.state_paths(features, transcripts)
        starts: dict[str, Int32Array] = {}
        for utterance_id, path_T in state_paths.items():
            _, phone_N = self.map.chain(transcripts[utterance_id])
            starts[utterance_id] = run_starts(phone_N[path_T]).astype(np.int32)
        return starts

    def state_paths(
        self, features: Mapping[str, Float32Array], transcripts: Mapping[str, Int32Array]
    ) -> dict[str, Int32Array]:
        """Place in the transcript's chain of states at every frame, (T,): the likeliest path."""
        for utterance_id, phones in transcripts.items():
            if not self.map.fits(phones, len(features[utterance_id])):
                raise ValueError(
                    f"utterance {utterance_id!r}: a transcript of {len(phones)} phones, "
                    f"{len(self.map.chain(phones)[0])} states, cannot lie in "
                    f"{len(features[utterance_id])} frames; expected at least one phone and one "
                    "frame a state"
                )
        chain_of = {i: self.map.chain(phones)[0] for i, phones in transcripts.items()}
        sizes = {i: (len(features[i]), len(chain_of[i])) for i in transcripts}
        # All in one array: small ones between a batch's large ones would keep the allocator from
        # giving those back.
        paths_T = np.empty(sum(num_frames for num_frames, _ in sizes.values()), dtype=np.int32)
        found: dict[str, Int32Array] = {}
        start = 0
        for utterance_id, (num_frames, _) in sizes.items():
            found[utterance_id] = paths_T[start : start + num_frames]
            start += num_frames
        for batch in _batches(sizes):
            for i, path_T in zip(batch, self._paths_of(features, chain_of, batch), strict=True):
                found[i][:] = path_T
        return found

    def _paths_of(
        self,
        features: Mapping[str, Float32Array],
        chain_of: Mapping[str, Int32Array],
        batch: Sequence[str],
    ) -> list[Int32Array]:
        scores = [self._log_density(features[i], i) for i in batch]
        return _best_paths(scores, [chain_of[i] for i in batch], self.log_stay_S)

    def save(self, folder: Path) -> None:
        """Write `hmm.safetensors` and `hmm.json`."""
        folder.mkdir(parents=True, exist_ok=True)
        tensors = {
            "weight": self.mixtures.weight_SC.cpu().contiguous(),
            "mean": self.mixtures.mean_SCD.cpu().contiguous(),
            "variance": self.mixtures.variance_SCD.cpu().contiguous(),
            "log_stay": torch.from_numpy(self.log_stay_S),
        }
        save_file(tensors, folder / "hmm.safetensors")
        states = {"states_of_phone": [list(s) for s in self.map.states_of_phone]}
        (folder / "hmm.json").write_text(json.dumps(states), "utf-8")

    @classmethod
    def load(cls, folder: Path) -> PhoneHMM:
        """Read what `save` wrote; ValueError when it is not there."""
        names = ("weight", "mean", "variance", "log_stay")
        tensors = read_tensors(folder / "hmm.safetensors", *names)
        states = read_json(folder / "hmm.json", "states_of_phone")["states_of_phone"]
        return cls(
            StateMap(tuple(tuple(s) for s in states)),
            DiagonalMixtures(tensors["weight"], tensors["mean"], tensors["variance"]),
            tensors["log_stay"].numpy(),
        )

    def _log_density(self, x_TD: Float32Array, utterance_id: str) -> Float32Array:
        frames_TD = torch.from_numpy(np.array(x_TD, dtype=np.float32))
        if not bool(torch.isfinite(frames_TD).all()):
            raise ValueError(
                f"utterance {utterance_id!r}: features are not finite; look at its audio and at "
                "the upstream"
            )
        there = compute.device()
        return self.mixtures.to(there).log_density(frames_TD.to(there)).cpu().numpy()


@dataclass(frozen=True, kw_only=True)
class HMMTraining:
    """Sizes and schedule: components double from one to `num_components`."""

    num_components: PositiveInt = 8
    steps: PositiveInt = 3  # of EM at each size
    # Viterbi alignments of each transcript to the model, at the last size.
    realign_steps: NonNegativeInt = 1
    variance_floor: Positive = 0.01  # of the variance of all frames
    silence: list[str] = field(default_factory=lambda: ["sil", "<SIL>"])

    def __post_init__(self) -> None:
        if self.num_components < 1 or self.num_components & (self.num_components - 1):
            raise ValueError(
                f"num_components is {self.num_components}; expected a power of two, since "
                "components are doubled"
            )

    def train(
        self,
        features: Mapping[str, Float32Array],
        labels: Mapping[str, Int32Array],
        *,
        phones: Sequence[str],
    ) -> tuple[PhoneHMM, list[float]]:
        """A model, and the mean log likelihood of a frame in its state after each step.

        `labels` have one phone id a frame. Phones never seen keep the density of all frames;
        utterances with fewer frames than states keep the labels that they were given. Both are
        counted in the log. ValueError when no utterance has a frame.
        """
        state_map = StateMap.of(phones, silence=self.silence)
        used = [i for i in labels if len(labels[i])]
        if not used:
            raise ValueError(f"none of {len(labels)} utterances has a labelled frame to train on")
        transcripts = {i: merge_repeats(np.asarray(labels[i])) for i in used}
        places = {i: _spread(np.asarray(labels[i]), state_map) for i in used}
        aligned = {i: t for i, t in transcripts.items() if state_map.fits(t, len(labels[i]))}
        if short := len(used) - len(aligned):
            log.warning(
                "%d of %d utterances have fewer frames than states; they keep the labels that they "
                "were given. If they are many, look for too many segments a phone",
                *(short, len(used)),
            )
        missing = set(range(len(phones))) - {int(p) for t in transcripts.values() for p in t}
        if missing:
            log.warning(
                "%d of %d phones have no frame to learn from: %s. If they are many, the labels are "
                "those of a failed start: mend that first",
                len(missing),
                len(phones),
                " ".join(phones[p] for p in sorted(missing)),
            )

        def frames() -> Iterator[LabelledFrames]:
            for ids in id_blocks({i: features[i] for i in used}):
                yield _block(features, ids), _sent(np.concatenate([places[i] for i in ids]))

        mixtures = first_mixtures(frames(), num_states=state_map.num_states)
        floor_D = self.variance_floor * mixtures.variance_SCD[0, 0]
        curve: list[float] = []

        def fit(steps: int) -> None:
            nonlocal mixtures
            for _ in range(steps):
                mixtures = mixtures.fitted(frames(), floor_D=floor_D)
                curve.append(mixtures.log_likelihood(frames()))

        fit(1)
        while mixtures.weight_SC.shape[1] < self.num_components:
            mixtures = mixtures.split()
            fit(self.steps)
        for _ in range(self.realign_steps):
            model = PhoneHMM(state_map, mixtures, _log_stay(places, state_map.num_states))
            paths = model.state_paths(features, aligned)
            places |= {i: state_map.chain(aligned[i])[0][path_T] for i, path_T in paths.items()}
            fit(1)
        return PhoneHMM(state_map, mixtures, _log_stay(places, state_map.num_states)), curve


def _block(features: Mapping[str, Float32Array], ids: Sequence[str]) -> Tensor:
    """Frames of some utterances, one after the other, where this process computes."""
    num_frames, dims = sum(len(features[i]) for i in ids), features[ids[0]].shape[1]
    rows_TD = np.empty((num_frames, dims), dtype=np.float32)
    start = 0
    for utterance_id in ids:
        x_TD = features[utterance_id]
        into_TD = rows_TD[start : start + len(x_TD)]
        into_TD[:] = x_TD
        if not np.isfinite(into_TD).all():
            raise ValueError(
                f"utterance {utterance_id!r}: features are not finite; look at its audio"
            )
        start += len(x_TD)
    return torch.from_numpy(rows_TD).to(compute.device())


def _sent(states_T: Int32Array) -> Tensor:
    return torch.from_numpy(states_T.astype(np.int64)).to(compute.device())


def _spread(labels_T: Int32Array, state_map: StateMap) -> Int32Array:
    """The state at every frame: a run of a phone is shared out evenly among its states."""
    state_T = np.empty(len(labels_T), dtype=np.int32)
    for start, end in pairwise(run_edges(labels_T).tolist()):
        states = state_map.states_of_phone[int(labels_T[start])]
        state_T[start:end] = [states[k * len(states) // (end - start)] for k in range(end - start)]
    return state_T


def _log_stay(states: Mapping[str, Int32Array], num_states: int) -> Float32Array:
    """log of the self-loops: frames of a state that another of it follows, one added to each."""
    stayed_S, all_S = np.ones(num_states), np.full(num_states, 2.0)
    for state_T in states.values():
        np.add.at(all_S, state_T, 1)
        np.add.at(stayed_S, state_T[:-1][state_T[1:] == state_T[:-1]], 1)
    return np.log(stayed_S / all_S).astype(np.float32)


def _batches(sizes: Mapping[str, tuple[int, int]]) -> Iterator[list[str]]:
    """Utterances of similar length, of so many frames and places in their chains: a batch has at
    most `_CELLS` frames x places x utterances, or one utterance.
    """
    batch: list[str] = []
    places = 0
    for utterance_id in sorted(sizes, key=lambda i: sizes[i]):
        frames, own = sizes[utterance_id]
        if batch and frames * max(places, own) * (len(batch) + 1) > _CELLS:
            yield batch
            batch, places = [], 0
        batch.append(utterance_id)
        places = max(places, own)
    if batch:
        yield batch


def _best_paths(
    scores: Sequence[Float32Array], chains: Sequence[Int32Array], log_stay_S: Float32Array
) -> list[Int32Array]:
    """Viterbi through chains of states, every frame one step or none; a batch side by side."""
    lengths = [len(s) for s in scores]
    widths = [len(c) for c in chains]
    frames, places, batch = max(lengths), max(widths), len(scores)
    emission_TBN = np.full((frames, batch, places), _NEVER, dtype=np.float32)
    stay_BN = np.full((batch, places), _NEVER, dtype=np.float32)
    for b, (score_TS, chain) in enumerate(zip(scores, chains, strict=True)):
        emission_TBN[: lengths[b], b, : widths[b]] = score_TS[:, chain]
        stay_BN[b, : widths[b]] = log_stay_S[chain]
    leave_BN = np.log1p(-np.exp(np.minimum(stay_BN, -1e-6)))
    best_BN = np.full((batch, places), _NEVER, dtype=np.float32)
    best_BN[:, 0] = emission_TBN[0, :, 0]
    is_step_TBN = np.zeros((frames, batch, places), dtype=bool)
    for t in range(1, frames):
        stayed_BN = best_BN + stay_BN
        came_BN = np.full_like(best_BN, _NEVER)
        came_BN[:, 1:] = best_BN[:, :-1] + leave_BN[:, :-1]
        is_step_TBN[t] = came_BN > stayed_BN
        best_BN = np.maximum(np.maximum(stayed_BN, came_BN) + emission_TBN[t], _NEVER)
    paths = []
    for b, (length, width) in enumerate(zip(lengths, widths, strict=True)):
        path_T = np.empty(length, dtype=np.int32)
        place = width - 1
        for t in range(length - 1, -1, -1):
            path_T[t] = place
            place -= int(is_step_TBN[t, b, place])
        paths.append(path_T)
    return paths
