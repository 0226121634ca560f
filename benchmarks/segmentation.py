"""Boundary quality and cost of every segmenter on a corpus's dev split.

    python -m benchmarks.segmentation CORPUS_FOLDER [--methods NAME ...]

CORPUS_FOLDER is what SyntheticCorpus.build wrote. Segmenters are fitted on `train` without
references; references of `dev` are read here only, to score. Times are for one thread.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import soundfile
import torch
from torchaudio.compliance import kaldi

from segmentation.boundaries import ClusterRuns, SwitchPenaltyViterbi
from segmentation.change_peaks import MultiScalePeaks, SpectralPeaks
from segmentation.contrastive import ContrastivePeaks
from segmentation.kmeans import KMeans
from unsup_asr.formats.hypotheses import read_transcripts
from unsup_asr.formats.manifest import read_manifest
from unsup_asr.formats.ragged import RaggedArray
from unsup_asr.protocols import Segmenter
from unsup_asr.scoring.boundaries import boundary_scores, phone_boundaries
from unsup_asr.types import Float32Array, FrameTiming, Utterance

SHIFT_S = 0.01
WINDOW_S = 0.025
EDGE_OFFSET_S = WINDOW_S / 2 - SHIFT_S / 2  # the edge before frame t lies at t * SHIFT_S + this


def mel(samples_N: Float32Array) -> Float32Array:
    wave = torch.from_numpy(samples_N)[None] * 32768
    return kaldi.fbank(wave, num_mel_bins=40, dither=0.0).numpy()


def mfcc(samples_N: Float32Array) -> Float32Array:
    wave = torch.from_numpy(samples_N)[None] * 32768
    return kaldi.mfcc(wave, dither=0.0).numpy()


def features(
    corpus: Path,
    utterances: Sequence[Utterance],
    extract: Callable[[Float32Array], Float32Array],
) -> RaggedArray:
    """Frames of each utterance, with zero mean and unit variance per speaker."""
    raw = {}
    for utterance in utterances:
        samples, _ = soundfile.read(corpus / utterance.audio, dtype="float32")
        raw[utterance.id] = extract(samples)
    normalised = {}
    for speaker in sorted({u.speaker for u in utterances}):
        ids = [u.id for u in utterances if u.speaker == speaker]
        frames = np.concatenate([raw[i] for i in ids])
        mean, deviation = frames.mean(axis=0), frames.std(axis=0)
        normalised |= {i: (raw[i] - mean) / deviation for i in ids}
    return RaggedArray.from_arrays({u.id: normalised[u.id] for u in utterances})


def methods(rate: float) -> dict[str, tuple[str, Segmenter]]:
    table: dict[str, tuple[str, Segmenter]] = {
        "k-means runs, K=128": ("mfcc", ClusterRuns(KMeans(nredo=1, niter=20))),
        "switch-penalty Viterbi, K=64": (
            "mfcc",
            SwitchPenaltyViterbi(KMeans(64, nredo=1, niter=20)),
        ),
        "contrastive": ("mel", ContrastivePeaks(segments_per_second=rate)),
        "multi-scale peaks": ("mel", MultiScalePeaks(segments_per_second=rate)),
    }
    for window in (1, 2, 3, 4):
        table[f"spectral peaks, mfcc, window {window}"] = (
            "mfcc",
            SpectralPeaks(window_frames=window, segments_per_second=rate),
        )
    for window in (1, 2):
        table[f"spectral peaks, mel, window {window}"] = (
            "mel",
            SpectralPeaks(window_frames=window, num_static_dims=0, segments_per_second=rate),
        )
    return table


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("corpus", type=Path)
    parser.add_argument("--methods", nargs="*", help="parts of method names; all if none")
    parser.add_argument("--rate", type=float, help="segments per second; 1.05 x phones if none")
    options = parser.parse_args()
    torch.set_num_threads(1)
    splits = {
        name: list(read_manifest(options.corpus / f"{name}.jsonl")) for name in ("train", "dev")
    }
    transcripts = {
        t.utterance_id: t for t in read_transcripts(options.corpus / "references" / "dev.tsv")
    }
    references = {i: phone_boundaries(t.starts_s, t.ends_s) for i, t in transcripts.items()}
    num_phones = sum(len(t.phones) for t in transcripts.values())
    dev_s = sum(u.duration_s for u in splits["dev"])
    rate = options.rate or 1.05 * num_phones / dev_s
    train_h = sum(u.duration_s for u in splits["train"]) / 3600
    print(f"train {train_h:.2f} h, dev {dev_s / 60:.1f} min, {num_phones / dev_s:.2f} phones/s")
    data = {
        (name, split): features(options.corpus, utterances, extract)
        for name, extract in (("mfcc", mfcc), ("mel", mel))
        for split, utterances in splits.items()
    }
    print(f"{'method':32}   F1 20ms  P     R     R-value  F1 40ms  seg/phone  fit s/h  segment s/h")
    for label, (kind, segmenter) in methods(rate).items():
        if options.methods and not any(part in label for part in options.methods):
            continue
        start = time.perf_counter()
        segmenter.fit(data[kind, "train"], FrameTiming(0.01, 0.0125))
        fit_s = time.perf_counter() - start
        start = time.perf_counter()
        found = {i: segmenter.boundaries(x) for i, x in data[kind, "dev"].items()}
        segment_s = time.perf_counter() - start
        pairs = [
            (references[i], (b[1:-1] * SHIFT_S + EDGE_OFFSET_S).tolist()) for i, b in found.items()
        ]
        scores, loose = boundary_scores(pairs), boundary_scores(pairs, tolerance_s=0.04)
        ratio = sum(len(b) - 1 for b in found.values()) / num_phones
        print(
            f"{label:32}   {scores.f1:.3f}    {scores.precision:.3f} {scores.recall:.3f} "
            f"{scores.r_value:.3f}    {loose.f1:.3f}    {ratio:.2f}       {fit_s / train_h:6.2f}  "
            f"{segment_s / dev_s * 3600:6.2f}",
            flush=True,
        )


if __name__ == "__main__":
    main()
