"""A folder of speech by voices cut from human recordings, for `unsup-asr run folder`.

Debian's flite (`apt-get install flite`) joins pieces that people spoke, so its sounds are human
where espeak-ng's are computed. Each voice at each pace counts as one speaker. Words are drawn by
their frequency, of one vocabulary in speech and text.

python -m benchmarks.human_voices OUT [--utterances 1080] [--sentences 12000] [--seed 0]

Writes OUT/audio/<voice>-<pace>/*.wav, OUT/text.txt and OUT/references.tsv (words), and says how to
run it.
"""

import argparse
import itertools
import shutil
import subprocess
from pathlib import Path

import numpy as np

from unsup_asr.corpora.sentences import frequent_words, sample_sentences

VOICES = ("slt", "rms", "awb", "kal16")
PACES = (0.9, 1.0, 1.15)  # factors on durations


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("out", type=Path)
    parser.add_argument("--utterances", type=int, default=1080)
    parser.add_argument("--sentences", type=int, default=12_000)
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    if shutil.which("flite") is None:
        parser.error("no program flite; install it (Debian: apt-get install flite)")
    words, probabilities = frequent_words("en-us", 5000)
    sentences = sample_sentences(
        words,
        probabilities,
        num_sentences=options.utterances + options.sentences,
        min_words=6,
        max_words=12,
        generator=np.random.default_rng(options.seed),
    )
    spoken, text = sentences[: options.utterances], sentences[options.utterances :]
    speakers = itertools.cycle(itertools.product(VOICES, PACES))
    rows = []
    for i, (sentence, (voice, pace)) in enumerate(zip(spoken, speakers, strict=False)):
        audio = options.out / "audio" / f"{voice}-{pace}" / f"{voice}-{pace}-{i:05d}.wav"
        audio.parent.mkdir(parents=True, exist_ok=True)
        subprocess.run(
            ["flite", "-voice", voice, "--setf", f"duration_stretch={pace}", "-t", sentence, audio],
            check=True,
        )
        rows.append(f"{audio.stem}\t{sentence}\n")
    (options.out / "text.txt").write_text("".join(f"{x}\n" for x in text), "utf-8")
    references = options.out / "references.tsv"
    references.write_text("utterance_id\twords\n" + "".join(rows), "utf-8")
    print(
        f"unsup-asr run folder corpus.audio={options.out}/audio corpus.text={options.out}/text.txt "
        f"corpus.references={references}"
    )


if __name__ == "__main__":
    main()
