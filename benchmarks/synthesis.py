"""Times real time of speech synthesis (resampled, written as flac) and of MFCC extraction.

python benchmarks/synthesis.py [--utterances 300] [--seed 0]
"""

import argparse
import tempfile
import time
from pathlib import Path

import torch

from unsup_asr.corpora.synthetic import SyntheticCorpus
from unsup_asr.formats.manifest import read_manifest
from unsup_asr.speech.audio import read_audio
from unsup_asr.upstreams.kaldi_features import KaldiMFCC


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--utterances", type=int, default=300)
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    torch.set_num_threads(1)
    corpus = SyntheticCorpus(
        num_train_utterances=options.utterances,
        num_dev_utterances=1,
        num_test_utterances=1,
        seed=options.seed,
    )
    with tempfile.TemporaryDirectory() as folder:
        start = time.perf_counter()
        corpus.build(Path(folder))
        synthesis_s = time.perf_counter() - start
        utterances = read_manifest(Path(folder) / "train.jsonl")
        audio_s = sum(utterance.duration_s for utterance in utterances)
        upstream = KaldiMFCC()
        start = time.perf_counter()
        waves = [torch.from_numpy(read_audio(utterance.audio)) for utterance in utterances]
        reading_s = time.perf_counter() - start
        start = time.perf_counter()
        for wave in waves:
            upstream.encode(wave[None], torch.tensor([len(wave)]))
        mfcc_s = time.perf_counter() - start
    print(f"{len(utterances)} utterances, {audio_s:.0f} s of audio, 1 thread")
    for name, seconds in (("synthesis", synthesis_s), ("reading", reading_s), ("MFCC", mfcc_s)):
        per_hour = 3600 * seconds / audio_s
        print(
            f"{name:10} {audio_s / seconds:6.0f} x real time  {per_hour:6.1f} s per hour of audio"
        )


if __name__ == "__main__":
    main()
