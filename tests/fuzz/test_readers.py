"""Random bytes and random edits into everything that reads a file: each ends in a clear error that
names the file, or in something that was read. Seeded, and of bounded time.
"""

from __future__ import annotations

import hashlib
import json
import zlib
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
import soundfile
import torch

from gan.generator import Generator, GeneratorShape
from gan.infer import TrainedGenerator
from lm.arpa import read_arpa
from lm.front_end import EspeakFrontEnd
from lm.inventory import PhoneInventory, choose_inventory
from lm.lexicon import Lexicon
from lm.ngram import NgramEstimator
from lm.phone_front_end import PhoneFrontEnd
from lm.score import load as load_arpa
from lm.token_lines import read_token_lines
from segmentation.kmeans import KMeans
from segmentation.pca import PCA
from tests.unsup_asr.test_transcribe_trust import ARPA, MFCC, describe
from unsup_asr.acoustic.network import AcousticNetwork, NetworkShape, load_network, save_network
from unsup_asr.corpora.folder_references import read_references, read_speakers
from unsup_asr.corpora.sentences import read_sentences
from unsup_asr.corpora.text_lines import read_text
from unsup_asr.corpora.timit_files import read_labels
from unsup_asr.engine.recipe import load_recipe
from unsup_asr.engine.runs import read_run
from unsup_asr.extraction.plan import Extraction, plan_shards
from unsup_asr.formats.finished import check_contents, check_written, read_record
from unsup_asr.formats.hypotheses import (
    read_hypotheses,
    read_transcripts,
    read_word_hypotheses,
    read_words,
    write_hypotheses,
    write_transcripts,
    write_word_hypotheses,
    write_words,
)
from unsup_asr.formats.manifest import read_manifest, write_manifest
from unsup_asr.formats.phone_text import (
    read_inventory,
    read_merged_phones,
    read_phone_sentences,
    write_inventory,
)
from unsup_asr.formats.ragged import RaggedArray, RaggedWriter
from unsup_asr.formats.sharded import ShardedArray, write_index
from unsup_asr.report.assets import Assets
from unsup_asr.report.results import Results, row_from_counts
from unsup_asr.scoring.folds import read_fold_table
from unsup_asr.speech.audio import check_audio, read_audio
from unsup_asr.speech.timing import read_timing, write_timing
from unsup_asr.transcribe import load_model
from unsup_asr.types import (
    ErrorCounts,
    FrameTiming,
    Hypothesis,
    Transcript,
    Utterance,
    WordHypothesis,
)
from unsup_asr.upstreams.normalise import SpeakerStatistics, read_statistics, write_statistics

TRIES = 40  # of each file
SLOW = ("model", "recipe", "front end", "k-means")  # a third as many


@dataclass(frozen=True)
class Reader:
    """What makes a folder with whole files, the file that is spoiled, and what reads it."""

    make: Callable[[Path], object]
    file: str
    read: Callable[[Path], object]  # of the folder


def one(write: Callable[[Path], object], read: Callable[[Path], object], name: str = "file.txt"):
    """A reader of a single file."""
    return Reader(lambda folder: write(folder / name), name, lambda folder: read(folder / name))


def text(content: str) -> Callable[[Path], object]:
    return lambda path: path.write_text(content, "utf-8")


def audio(kind: str) -> Reader:
    wave = 0.1 * np.random.default_rng(0).standard_normal(4000)
    return one(
        lambda path: soundfile.write(path, wave, 16000),
        lambda path: (check_audio(path), read_audio(path)),
        f"u.{kind}",
    )


def write_ragged(folder: Path) -> None:
    with RaggedWriter(folder / "array") as writer:
        for name in ("u1", "u2"):
            writer.append(name, np.ones((3, 2), dtype=np.float32))


def write_shards(folder: Path) -> None:
    with RaggedWriter(folder / "00000-a" / "layer") as writer:
        writer.append("u1", np.ones((3, 2), dtype=np.float32))
    write_index(folder, ["00000-a"], "layer", ["u1"])


def write_model(folder: Path) -> None:
    torch.manual_seed(0)
    save_network(AcousticNetwork(NetworkShape(input_dim=39, num_outputs=2)), folder)
    (folder / "inventory.json").write_text(json.dumps({"phones": ["a"]}))
    (folder / "phones.arpa").write_text(ARPA)
    describe(folder, {})


def write_generator(folder: Path) -> None:
    shape = GeneratorShape(input_dim=4, num_phones=3)
    TrainedGenerator(Generator(shape), [{"loss": 1.0}], 1, None).save(folder)


def fitted(component: KMeans | PCA) -> Callable[[Path], object]:
    def make(folder: Path) -> None:
        component.fit(np.random.default_rng(0).standard_normal((64, 4)).astype(np.float32))
        component.save(folder)

    return make


def write_results(path: Path) -> None:
    row = row_from_counts([ErrorCounts(1, 0, 2, 9)], split="test", seed=0, criterion=1.5)
    Results(
        recipe="toy",
        seed=0,
        corpus="toy",
        test_digest="a",
        rows={"self_training": row},
        num_phones=2,
        train_hours=0.1,
        num_train_speakers=1,
        js_divergence={1: 0.5},
        wall_by_stage={"corpus": 1.0},
    ).write(path)


def write_stage(folder: Path) -> None:
    (folder / "payload.txt").write_text("x")
    outputs = {"payload.txt": {"bytes": 1, "sha256": hashlib.sha256(b"x").hexdigest()}}
    (folder / "stage.json").write_text(json.dumps({"outputs": outputs, "key": "abc"}))


def write_recipe(folder: Path) -> None:
    config = (Path(__file__).parents[2] / "recipes" / "toy" / "config.yaml").read_text("utf-8")
    (folder / "config.yaml").write_text(config, "utf-8")


def write_extraction(path: Path) -> None:
    utterances = [Utterance("u1", "a.wav", "s", 1.0)]
    shards = plan_shards(utterances, split="train", shard_seconds=10.0)
    options = {"upstream": MFCC, "layers": [0], "device": "cpu", "batch_seconds": 1.0}
    Extraction(**options, out="o", work="w", shards=tuple(shards)).write(path)


def write_utterances(path: Path) -> None:
    AUDIO["wav"].make(path.parent)
    write_manifest(path, [Utterance("u", str(path.with_name("u.wav")), "s", 0.25)])


AUDIO = {kind: audio(kind) for kind in ("wav", "flac", "ogg", "mp3")}
SPANS = {"starts_s": (0.0, 0.1), "ends_s": (0.1, 0.2)}
HEARD = Hypothesis("u1", ("a", "b"), **SPANS, confidences=(0.5, 1.0))
SAID = Transcript("u1", ("a", "b"), **SPANS)
SPOKEN = WordHypothesis("u1", ("ab", "c"), **SPANS, confidences=(0.5, 1.0))
RUN = '{"command": "c", "commit": "d", "date": "e", "stages": {}}'
STATISTICS = SpeakerStatistics(np.ones(3), np.ones(3))


def write_arpa(path: Path) -> None:
    NgramEstimator(order=2).estimate_to(path, [["a", "b"], ["b"]])


def write_phones(path: Path) -> None:
    write_inventory(path, ["a"], {"b": ["a"]})


READERS = {
    **{f"audio {kind}": reader for kind, reader in AUDIO.items()},
    "text": one(text("one two\nthree\n"), lambda p: list(read_text(p))),
    "sentences": one(
        text("one two\nthree\n"), lambda p: read_sentences(p, generator=np.random.default_rng(0))
    ),
    "tokens": one(text("a b\nc\n"), lambda p: list(read_token_lines(p))),
    "references": one(
        text("utterance_id\twords\nu1\ta b\n"), lambda p: read_references(p, kind="words")
    ),
    "speakers": one(text("utterance_id\tspeaker\nu1\ts\n"), read_speakers),
    "labels of TIMIT": one(text("0 100 h#\n100 250 sh\n"), read_labels),
    "fold": one(text("a\tb\nc\td\n"), lambda p: read_fold_table(str(p))),
    "arpa": one(write_arpa, read_arpa),
    "arpa, by KenLM": one(write_arpa, load_arpa),
    "lexicon": one(Lexicon({"a": {("b", "c"): 2}}).write, Lexicon.read),
    "phone inventory": one(
        choose_inventory({"a": 2}, min_count=1, rare="keep").save, PhoneInventory.load
    ),
    "phone sentences": one(text("a b | c\nd\n"), read_phone_sentences),
    "inventory": one(write_phones, read_inventory),
    "merged phones": one(write_phones, read_merged_phones),
    "transcripts": one(lambda p: write_transcripts(p, [SAID]), read_transcripts),
    "hypotheses": one(lambda p: write_hypotheses(p, [HEARD]), read_hypotheses),
    "word hypotheses": one(lambda p: write_word_hypotheses(p, [SPOKEN]), read_word_hypotheses),
    "words": one(lambda p: write_words(p, {"u1": ("a", "b")}), read_words),
    "manifest": one(write_utterances, read_manifest),
    "timing": one(lambda p: write_timing(p, FrameTiming(0.01, 0.0125)), read_timing),
    "statistics": one(lambda p: write_statistics(p, STATISTICS), read_statistics, "file.npy"),
    "record": Reader(write_stage, "stage.json", read_record),
    "contents": Reader(write_stage, "stage.json", check_contents),
    "written": Reader(write_stage, "stage.json", lambda f: check_written(f / "payload.txt")),
    "run": one(text(RUN), lambda p: read_run(p.parent), "run.json"),
    "results": one(write_results, Results.read),
    "assets": Reader(Assets().write, "assets.json", Assets.read),
    "recipe": Reader(write_recipe, "config.yaml", lambda f: load_recipe(str(f))),
    "extraction": one(write_extraction, Extraction.read),
    "k-means": Reader(fitted(KMeans(num_clusters=2)), "centroids.npy", KMeans(num_clusters=2).load),
    "PCA": Reader(fitted(PCA(num_components=2)), "pca_A.npy", PCA(num_components=2).load),
    "phone front end": one(text("ab\ta b\nc\tc\n"), lambda p: PhoneFrontEnd().prepare(p, p.parent)),
    "front end": one(
        text("one two\nthree\n"),
        lambda p: EspeakFrontEnd(min_phone_count=1).prepare(p, p.parent),
    ),
    "shards": Reader(write_shards, "shards.tsv", lambda f: dict(ShardedArray.open(f, "layer"))),
}
for name in ("values.npy", "index.tsv", "meta.json"):
    READERS[f"ragged {name}"] = Reader(
        write_ragged, f"array/{name}", lambda f: dict(RaggedArray.open(f / "array"))
    )
for name in ("network.json", "network.safetensors"):
    READERS[name] = Reader(write_model, name, load_network)
for name in ("model.json", "inventory.json", "phones.arpa"):
    READERS[f"model {name}"] = Reader(write_model, name, load_model)
for name in ("generator.json", "generator.safetensors"):
    READERS[name] = Reader(write_generator, name, TrainedGenerator.load)


def spoiled(content: bytes, rng: np.random.Generator) -> bytes:
    """A random edit, or random bytes."""
    data = bytearray(content)
    at = int(rng.integers(len(data) + 1))
    chosen = int(rng.integers(10))
    if chosen == 0:
        return rng.bytes(int(rng.integers(200)))
    if chosen == 1:
        return bytes(data[:at])
    if chosen == 2:
        for _ in range(int(rng.integers(1, 4))):
            data[int(rng.integers(len(data)))] ^= 1 << int(rng.integers(8))
        return bytes(data)
    if chosen == 3:
        return bytes(data[:at] + data[at + int(rng.integers(1, 30)) :])
    if chosen == 4:
        lines = content.split(b"\n")
        rng.shuffle(lines)
        return b"\n".join(lines)
    if chosen == 5:
        return content + content
    inserted = (
        *(
            b"\x00",
            b"\xff\xfe",
            b"\xef\xbb\xbf",
            b"\xc3",
            b"\t",
            b"\r\n",
            b"\n\n",
            b'"',
            b"{",
            b"]",
        ),
        *(b"-1", b"1e999", b"NaN", b"null", b"9" * 30, b"\xe2\x80\xa8", b"\x1b[31m", b"../../x"),
        *(b"[[[[" * 50, b"true", b"\\", b"${oc.env:HOME}", b"'", b" "),
    )
    piece = inserted[int(rng.integers(len(inserted)))]
    if chosen < 8:
        return bytes(data[:at] + piece + data[at:])
    words = content.split(b" ")  # a value is replaced
    words[int(rng.integers(len(words)))] = piece
    return b" ".join(words)


@pytest.mark.parametrize("name", READERS)
@pytest.mark.filterwarnings("ignore")  # of numpy, of what is no number
def test_a_spoiled_file_is_named_or_read(name: str, tmp_path: Path) -> None:
    reader = READERS[name]
    reader.make(tmp_path)
    path = tmp_path / reader.file
    reader.read(tmp_path)
    whole = path.read_bytes()
    rng = np.random.default_rng(zlib.crc32(name.encode()))
    for _ in range(TRIES // 3 if name.startswith(SLOW) else TRIES):
        content = spoiled(whole, rng)
        path.write_bytes(content)
        try:
            reader.read(tmp_path)
        except ValueError as error:
            if str(tmp_path) not in str(error):
                raise AssertionError(f"{content[:300]!r}: no file is named") from error
