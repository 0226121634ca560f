"""Whatever is in a file, its reader gives a value or a ValueError that names the file.

Random damage, the same in every run, to a whole file of each kind. Any other exception, a
warning of numpy's too, is a finding: mend the reader.
"""

from __future__ import annotations

import gzip
import json
import zlib
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import pytest
import soundfile
import torch
from safetensors.numpy import save_file

from gan.generator import Generator, GeneratorShape
from gan.infer import TrainedGenerator
from lm.arpa import read_arpa, write_arpa
from lm.beam import BeamDecoder
from lm.front_end import EspeakFrontEnd
from lm.inventory import PhoneInventory
from lm.lexicon import Lexicon
from lm.ngram import NgramEstimator
from lm.phone_front_end import PhoneFrontEnd
from lm.pronouncing_dictionary import read_dictionary
from lm.score import load as load_kenlm
from lm.token_lines import read_token_lines
from lm.words import WordDecoder
from segmentation.boundaries import SwitchPenaltyViterbi
from segmentation.change_peaks import SpectralPeaks
from segmentation.kmeans import KMeans
from segmentation.pca import PCA
from segmentation.uniform import UniformSegments
from tests.fuzz.edits import EDITS
from tests.unsup_asr.test_transcribe_trust import ARPA, describe
from unsup_asr.acoustic.checkpoint import Checkpoint, TrainingState
from unsup_asr.acoustic.network import AcousticNetwork, NetworkShape, load_network, save_network
from unsup_asr.corpora.audiofolder import AudiofolderCorpus
from unsup_asr.corpora.folder_references import read_references, read_speakers
from unsup_asr.corpora.kaldi_data import KaldiCorpus
from unsup_asr.corpora.lhotse_manifests import LhotseCorpus
from unsup_asr.corpora.sentences import read_sentences
from unsup_asr.corpora.text_lines import read_text
from unsup_asr.corpora.timit_files import read_labels
from unsup_asr.engine.keys import DigestCache
from unsup_asr.engine.partial import BEGUN, Beginning, begin
from unsup_asr.engine.runs import read_run
from unsup_asr.extraction.plan import Extraction, plan_shards
from unsup_asr.formats.checked import read_array, read_arrays, read_json, read_json_value
from unsup_asr.formats.finished import check_contents, check_written, describe_outputs, read_record
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
from unsup_asr.formats.kaldi_data import write_kaldi
from unsup_asr.formats.lhotse_manifests import write_lhotse
from unsup_asr.formats.lines import read_lines
from unsup_asr.formats.manifest import read_manifest, write_manifest
from unsup_asr.formats.phone_text import (
    read_inventory,
    read_merged_phones,
    read_phone_sentences,
    write_inventory,
    write_phone_sentences,
)
from unsup_asr.formats.ragged import RaggedArray, RaggedWriter
from unsup_asr.formats.sharded import ShardedArray, write_index
from unsup_asr.formats.weights import load_weights, read_tensors
from unsup_asr.recognise.description import read_description
from unsup_asr.report.curves import training_curves
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
from unsup_asr.upstreams.normalise import (
    SpeakerStatistics,
    read_statistics,
    write_statistics,
)

PHONES = ["a", "b", "ts"]


@dataclass(frozen=True)
class Kind:
    """How a whole file, or folder, is made and read; `damaged` is the file to damage in it."""

    make: Callable[[Path], object]
    read: Callable[[Path], object]
    damaged: str


def _text(content: str) -> Callable[[Path], object]:
    return lambda folder: (folder / "file.txt").write_text(content, "utf-8")


def _json(content: object) -> Callable[[Path], object]:
    return lambda folder: (folder / "file.json").write_text(json.dumps(content), "utf-8")


def _ragged(folder: Path) -> None:
    with RaggedWriter(folder) as writer:
        writer.append("u1", np.ones((3, 2)))
        writer.append("u2", np.zeros((2, 2)))


def _sharded(folder: Path) -> None:
    _ragged(folder / "0" / "frames")
    write_index(folder, ["0"], "frames", ["u1", "u2"])


def _audio(name: str, **options: str) -> Kind:
    def make(folder: Path) -> None:
        noise = 0.1 * np.random.default_rng(0).standard_normal(4000)
        soundfile.write(folder / name, noise, 16000, **options)

    return Kind(make, lambda folder: (check_audio(folder / name), read_audio(folder / name)), name)


def _part(folder: Path) -> list[Utterance]:
    soundfile.write(folder / "a.wav", np.zeros(800), 8000)
    return [Utterance("u", str(folder / "a.wav"), "s", 0.05, start_s=0.01)]


def _kaldi(folder: Path) -> None:
    write_kaldi(folder, _part(folder), {})


def _read_kaldi(folder: Path) -> None:
    KaldiCorpus(train="", text="").read(str(folder))


def _lhotse(folder: Path) -> None:
    write_lhotse(folder, _part(folder), {"u": Hypothesis("u", ("a",), (0,), (0.01,), (0.5,))})


def _read_lhotse(folder: Path) -> None:
    files = f"{folder}/recordings.jsonl.gz,{folder}/supervisions.jsonl.gz"
    LhotseCorpus(train="", text="").read(files)


def _read_cuts(folder: Path) -> None:
    LhotseCorpus(train="", text="").read(f"{folder}/cuts.jsonl.gz")


def _read_audiofolder(folder: Path) -> None:
    soundfile.write(folder / "a.wav", np.zeros(800), 8000)
    AudiofolderCorpus(train="", text="").read(str(folder))


def _manifest(folder: Path) -> None:
    (folder / "a.wav").touch()
    utterances = [Utterance(f"u{i}", str(folder / "a.wav"), "s", 1.5) for i in range(3)]
    write_manifest(folder / "m.jsonl", utterances)


def _language_model(folder: Path) -> None:
    sentences = [["a", "b", "ts", "a"], ["b", "a"], ["a", "ts"]]
    write_arpa(folder / "lm.arpa", NgramEstimator(order=3).estimate(sentences))


def _words(folder: Path) -> None:
    sentences = [["ab", "tsa"], ["tsa"], ["ab", "ab"]]
    write_arpa(folder / "lm.arpa", NgramEstimator(order=2).estimate(sentences))
    (folder / "lexicon.tsv").write_text("ab\ta b\t3\ntsa\tts a\t2\n", "utf-8")


POSTERIORS = np.log(np.full((4, 3), 1 / 3, np.float32))


def _decode_phones(folder: Path) -> object:
    return BeamDecoder(lm_path=str(folder / "lm.arpa")).decode(POSTERIORS, PHONES)


def _decode_words(folder: Path) -> object:
    paths = {"lm_path": str(folder / "lm.arpa"), "lexicon_path": str(folder / "lexicon.tsv")}
    return WordDecoder(**paths).decode(POSTERIORS, PHONES)


def _perplexity(folder: Path) -> object:
    return load_kenlm(folder / "lm.arpa").score_corpus([["a", "b"]])


def _network(folder: Path) -> None:
    save_network(AcousticNetwork(NetworkShape(input_dim=2, num_outputs=3, hidden=4)), folder)


def _model(folder: Path) -> None:
    save_network(AcousticNetwork(NetworkShape(input_dim=39, num_outputs=2)), folder)
    (folder / "inventory.json").write_text(json.dumps({"phones": ["a"]}), "utf-8")
    (folder / "phones.arpa").write_text(ARPA, "utf-8")
    describe(folder, {})


def _training_state() -> TrainingState:
    network = torch.nn.Linear(2, 1)
    optimizer = torch.optim.Adam(network.parameters())
    network(torch.ones(1, 2)).sum().backward()
    optimizer.step()
    return TrainingState(
        network, optimizer, np.random.default_rng(0), torch.Generator().manual_seed(0), [0.5]
    )


def _begun_training(folder: Path) -> None:
    Checkpoint(folder / "training.safetensors", "mine").write(_training_state())


def _continued_training(folder: Path) -> None:
    Checkpoint(folder / "training.safetensors", "mine").restore(_training_state())


def _generator(folder: Path) -> None:
    TrainedGenerator(Generator(GeneratorShape(input_dim=2, num_phones=3)), [{"loss": 1.0}]).save(
        folder
    )


def _loaded(make: Callable[[], object], name: str, arrays: dict[str, object] | None = None) -> Kind:
    """A segmenter or clusterer; what it saves when `arrays` are its learned numbers."""

    def write(folder: Path) -> None:
        component = make()
        for key, value in (arrays or {}).items():
            setattr(component, key, value)
        component.save(folder)  # type: ignore[attr-defined]

    return Kind(write, lambda folder: make().load(folder), name)  # type: ignore[attr-defined]


def _fitted_switch_penalty(folder: Path) -> None:
    segmenter = SwitchPenaltyViterbi(kmeans=KMeans(num_clusters=2))
    segmenter.kmeans.centroids_KD = np.eye(2, dtype=np.float32)
    segmenter.mean_distance = 0.5
    segmenter.save(folder)


def _stage(folder: Path) -> None:
    (folder / "payload.txt").write_text("what a stage has made\n" * 5, "utf-8")
    record = {"key": folder.name, "identity": "i", "outputs": describe_outputs(folder)}
    (folder / "stage.json").write_text(json.dumps(record), "utf-8")


def _results(folder: Path) -> None:
    counts = [ErrorCounts(1, 1, 1, 30), ErrorCounts(0, 0, 0, 30)]
    rows = {"gan": asdict(row_from_counts(counts, split="test", seed=0, chosen=True))}
    content = {
        **{"recipe": "r", "seed": 0, "corpus": "c", "test_digest": "d", "rows": rows},
        **{"num_phones": 3, "train_hours": 1.0, "num_train_speakers": 2, "criterion_name": "w"},
        **{"boundaries": None, "js_divergence": {"1": 0.5}, "confusion": None, "diagnosis": []},
        "samples": [{"utterance_id": "u", "reference": ["a"], "hypothesis": ["b"]}],
        **{"population": None, "wall_by_stage": {"gan": 1.0}, "peak_rss_mb": 1.0},
    }
    (folder / "results.json").write_text(json.dumps(content), "utf-8")
    Results.read(folder / "results.json")


def _game(folder: Path) -> None:
    member = {"history": [{"weighted_lm_perplexity": 9.5}], "weighted_lm_perplexity": 9.5}
    game = {"members": [member, member], "validate_every": 10, "chosen": 1}
    (folder / "gan.json").write_text(json.dumps(game), "utf-8")
    (folder / "curve.json").write_text("[3.0, 2.5, 2.0]", "utf-8")


def _extraction(folder: Path) -> None:
    shards = plan_shards([Utterance("u1", "a.wav", "s", 2.0)], split="train", shard_seconds=5.0)
    options: dict[str, object] = {"upstream": {}, "layers": [1], "device": "cpu"}
    options |= {"batch_seconds": 1.0, "out": "o", "work": "w"}
    Extraction(**options, shards=tuple(shards)).write(folder / "job.json")  # type: ignore[arg-type]


def _beginning(folder: Path) -> object:
    now = Beginning({"corpus": "i"}, {"threads": "1"}, False)
    return begin(folder / "final", now, resumable=True)


def _begun(folder: Path) -> None:
    _beginning(folder)


def _digests(folder: Path) -> object:
    cache = DigestCache(folder / "file.json")
    return cache.digest(folder / "user.txt"), cache.remembered(["a"], lambda: "b")


def _cache(folder: Path) -> None:
    (folder / "user.txt").write_text("mine", "utf-8")
    stamp = [4, 1, 1, 1, "digest"]
    known = {str((folder / "user.txt").resolve()): stamp, "of a": ["b"]}
    (folder / "file.json").write_text(json.dumps(known), "utf-8")


def _gz(folder: Path) -> None:
    (folder / "text.gz").write_bytes(gzip.compress(b"one line\nand another\n" * 30))


TSV = "utterance_id\twords\tspeaker\nu1\tone two\tann\nu2\tthree\tbob\n"
KINDS: dict[str, Kind] = {
    "json": Kind(_json({"a": [1, 2]}), lambda f: read_json(f / "file.json", "a"), "file.json"),
    "json value": Kind(_json([1]), lambda f: read_json_value(f / "file.json"), "file.json"),
    "lines": Kind(_text("one\ntwo\n"), lambda f: list(read_lines(f / "file.txt")), "file.txt"),
    "gzip": Kind(_gz, lambda f: list(read_lines(f / "text.gz")), "text.gz"),
    "npy": Kind(
        lambda f: np.save(f / "a.npy", np.arange(6.0).reshape(2, 3)),
        lambda f: read_array(f / "a.npy"),
        "a.npy",
    ),
    "arrays": Kind(
        lambda f: save_file({"a": np.ones(3), "b": np.ones((2, 2), np.int32)}, f / "a.safetensors"),
        lambda f: (read_arrays(f / "a.safetensors"), read_tensors(f / "a.safetensors", "a")),
        "a.safetensors",
    ),
    "manifest": Kind(_manifest, lambda f: read_manifest(f / "m.jsonl"), "m.jsonl"),
    "wav.scp": Kind(_kaldi, _read_kaldi, "wav.scp"),
    "segments": Kind(_kaldi, _read_kaldi, "segments"),
    "recordings of lhotse": Kind(_lhotse, _read_lhotse, "recordings.jsonl.gz"),
    "supervisions": Kind(_lhotse, _read_lhotse, "supervisions.jsonl.gz"),
    "cuts": Kind(
        _lhotse,
        lambda f: LhotseCorpus(train="", text="").read(f"{f}/cuts.jsonl.gz"),
        "cuts.jsonl.gz",
    ),
    "metadata.csv": Kind(
        lambda f: (f / "metadata.csv").write_text('file_name,text\na.wav,"x, y"\n'),
        _read_audiofolder,
        "metadata.csv",
    ),
    "metadata.jsonl": Kind(
        lambda f: (f / "metadata.jsonl").write_text('{"file_name": "a.wav", "text": "x y"}\n'),
        _read_audiofolder,
        "metadata.jsonl",
    ),
    "ragged values": Kind(_ragged, lambda f: dict(RaggedArray.open(f)), "values.npy"),
    "ragged index": Kind(_ragged, lambda f: dict(RaggedArray.open(f)), "index.tsv"),
    "shards": Kind(_sharded, lambda f: dict(ShardedArray.open(f, "frames")), "shards.tsv"),
    "transcripts": Kind(
        lambda f: write_transcripts(f / "t.tsv", [Transcript("u", ("a", "b"), (0, 1), (1, 2))]),
        lambda f: read_transcripts(f / "t.tsv"),
        "t.tsv",
    ),
    "hypotheses": Kind(
        lambda f: write_hypotheses(f / "t.tsv", [Hypothesis("u", ("a",), (0,), (1,), (0.5,))]),
        lambda f: read_hypotheses(f / "t.tsv"),
        "t.tsv",
    ),
    "word hypotheses": Kind(
        lambda f: write_word_hypotheses(f / "t.tsv", [WordHypothesis("u", ("a",), (0,), (1,))]),
        lambda f: read_word_hypotheses(f / "t.tsv"),
        "t.tsv",
    ),
    "confident words": Kind(
        lambda f: write_word_hypotheses(
            f / "t.tsv", [WordHypothesis("u", ("ab", "c"), (0, 1), (1, 2), (0.5, 1.0))]
        ),
        lambda f: read_word_hypotheses(f / "t.tsv"),
        "t.tsv",
    ),
    "words": Kind(
        lambda f: write_words(f / "t.tsv", {"u": ("a", "b")}),
        lambda f: read_words(f / "t.tsv"),
        "t.tsv",
    ),
    "inventory": Kind(
        lambda f: write_inventory(f / "i.json", PHONES, {"q": ("a", "b")}),
        lambda f: (read_inventory(f / "i.json"), read_merged_phones(f / "i.json")),
        "i.json",
    ),
    "counted inventory": Kind(
        lambda f: PhoneInventory(("a",), (3,), {"q": ("a",)}, {"z": 1}).save(f / "i.json"),
        lambda f: PhoneInventory.load(f / "i.json"),
        "i.json",
    ),
    "phone sentences": Kind(
        lambda f: write_phone_sentences(f / "p.txt", [[("a", "b"), ("ts",)]]),
        lambda f: read_phone_sentences(f / "p.txt"),
        "p.txt",
    ),
    "phone text": Kind(
        _text("ab tsa\ta b | ts a\na | b\n"),
        lambda f: PhoneFrontEnd().prepare(f / "file.txt", f),
        "file.txt",
    ),
    "written text": Kind(
        _text("one two\nthree\n"),
        lambda f: EspeakFrontEnd(min_phone_count=1).prepare(f / "file.txt", f),
        "file.txt",
    ),
    "arpa": Kind(_language_model, lambda f: read_arpa(f / "lm.arpa"), "lm.arpa"),
    "arpa in a decoder": Kind(_language_model, _decode_phones, "lm.arpa"),
    "arpa of words": Kind(_words, _decode_words, "lm.arpa"),
    "lexicon in a decoder": Kind(_words, _decode_words, "lexicon.tsv"),
    "arpa in kenlm": Kind(_language_model, _perplexity, "lm.arpa"),
    "lexicon": Kind(_words, lambda f: Lexicon.read(f / "lexicon.tsv"), "lexicon.tsv"),
    "pronouncing dictionary": Kind(
        _text("CAT  K AE1 T\nTHE(2) 0.5 DH IY0\n'TIS\tT IH1 Z # archaic\n"),
        lambda f: read_dictionary(f / "file.txt", language="en-us"),
        "file.txt",
    ),
    "tokens": Kind(_text("a b\nc\n"), lambda f: list(read_token_lines(f / "file.txt")), "file.txt"),
    "network shape": Kind(_network, load_network, "network.json"),
    "network weights": Kind(_network, load_network, "network.safetensors"),
    "state of a training": Kind(_begun_training, _continued_training, "training.safetensors"),
    "weights": Kind(
        lambda f: save_file({"weight": np.ones((1, 2), np.float32)}, f / "w.safetensors"),
        lambda f: load_weights(torch.nn.Linear(2, 1, bias=False), f / "w.safetensors"),
        "w.safetensors",
    ),
    "generator shape": Kind(_generator, TrainedGenerator.load, "generator.json"),
    "generator weights": Kind(_generator, TrainedGenerator.load, "generator.safetensors"),
    "k-means": _loaded(
        lambda: KMeans(num_clusters=2),
        "centroids.npy",
        {"centroids_KD": np.eye(2, dtype=np.float32)},
    ),
    "pca": _loaded(
        lambda: PCA(num_components=1),
        "pca_A.npy",
        {"projection_DP": np.ones((2, 1), np.float32), "bias_P": np.ones(1, np.float32)},
    ),
    "uniform": _loaded(lambda: UniformSegments(segment_s=0.1), "uniform.json", {"frames": 10}),
    "spectral peaks": _loaded(SpectralPeaks, "spectral_peaks.safetensors", {"threshold": 0.5}),
    "switch penalty": Kind(
        _fitted_switch_penalty,
        lambda f: SwitchPenaltyViterbi(kmeans=KMeans(num_clusters=2)).load(f),
        "mean_distance.npy",
    ),
    "statistics": Kind(
        lambda f: write_statistics(f / "s.npy", SpeakerStatistics(np.zeros(2), np.ones(2))),
        lambda f: read_statistics(f / "s.npy"),
        "s.npy",
    ),
    "timing": Kind(
        lambda f: write_timing(f / "t.json", FrameTiming(0.01, 0.0125)),
        lambda f: read_timing(f / "t.json"),
        "t.json",
    ),
    "stage record": Kind(_stage, lambda f: (check_written(f), read_record(f)), "stage.json"),
    "contents of a stage": Kind(_stage, check_contents, "stage.json"),
    "record beside a payload": Kind(
        _stage, lambda f: check_written(f / "payload.txt"), "stage.json"
    ),
    "payload": Kind(_stage, check_written, "payload.txt"),
    "run": Kind(
        lambda f: (f / "run.json").write_text(
            '{"command": "c", "commit": "1", "date": "d", "stages": {"a": {"key": "k"}}}', "utf-8"
        ),
        read_run,
        "run.json",
    ),
    "results": Kind(_results, lambda f: Results.read(f / "results.json"), "results.json"),
    "game": Kind(_game, lambda f: training_curves({"gan": f}), "gan.json"),
    "curve": Kind(_game, lambda f: training_curves({"realign_1": f}), "curve.json"),
    "extraction": Kind(_extraction, lambda f: Extraction.read(f / "job.json"), "job.json"),
    "beginning of a stage": Kind(_begun, _beginning, f"final.partial/{BEGUN}"),
    "known digests": Kind(_cache, _digests, "file.json"),
    "model description": Kind(
        _json(
            {
                "features": {
                    "upstream": {"_target_": "unsup_asr.upstreams.kaldi_features.KaldiMFCC"}
                },
                "decoder": {},
            }
        ),
        lambda f: read_description(f / "file.json", "features", "decoder"),
        "file.json",
    ),
    "model": Kind(_model, load_model, "model.json"),
    "inventory of a model": Kind(_model, load_model, "inventory.json"),
    "references": Kind(
        _text(TSV), lambda f: read_references(f / "file.txt", kind="words"), "file.txt"
    ),
    "speakers": Kind(_text(TSV), lambda f: read_speakers(f / "file.txt"), "file.txt"),
    "text": Kind(_text("one\ntwo\n"), lambda f: list(read_text(f / "file.txt")), "file.txt"),
    "sentences": Kind(
        _text("one\ntwo\n"),
        lambda f: read_sentences(f / "file.txt", generator=np.random.default_rng(0)),
        "file.txt",
    ),
    "labels of TIMIT": Kind(
        _text("0 10 a\n10 20 b\n"), lambda f: read_labels(f / "file.txt"), "file.txt"
    ),
    "fold table": Kind(
        _text("# source\na\tb\nc\t\n"), lambda f: read_fold_table(str(f / "file.txt")), "file.txt"
    ),
    "wav": _audio("a.wav"),
    "flac": _audio("a.flac"),
    "mp3": _audio("a.mp3"),
    "ogg": _audio("a.ogg"),
    "opus": _audio("a.opus", format="OGG", subtype="OPUS"),
    "aiff": _audio("a.aiff"),
    "au": _audio("a.au"),
    "w64": _audio("a.w64"),
    "caf": _audio("a.caf"),
    "rf64": _audio("a.rf64"),
    "sphere": _audio("a.sph", format="NIST"),
    "voc": _audio("a.voc"),
    "avr": _audio("a.avr"),
}


@pytest.mark.filterwarnings("ignore:Reading `.npy`:UserWarning")  # with numbers of Python 2
@pytest.mark.parametrize("name", KINDS)
def test_a_damaged_file_is_named_or_read(name: str, tmp_path: Path, num_edits: int) -> None:
    kind = KINDS[name]
    kind.make(tmp_path)
    kind.read(tmp_path)
    file = tmp_path / kind.damaged
    whole = file.read_bytes()
    rng = np.random.default_rng(zlib.crc32(name.encode()))
    for number in range(num_edits):
        edit = EDITS[number % len(EDITS)]
        file.parent.mkdir(exist_ok=True)
        file.write_bytes(damaged := edit(rng, whole))
        where = f"{edit.__name__}, edit {number}: {damaged[:300]!r}"
        try:
            kind.read(tmp_path)
        except ValueError as found:
            message = str(found)
        except Exception as found:
            raise AssertionError(where) from found
        else:
            continue
        assert file.name in message or file.parent.name in message, f"{where}: {message}"
