"""The timit recipe on a tiny fake corpus, through the command line, from .WAV files to the PER."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch

from tests.unsup_asr.fake_timit import write_timit
from unsup_asr.cli import main
from unsup_asr.corpora.spoken_text import SpokenText
from unsup_asr.formats.hypotheses import read_transcripts
from unsup_asr.formats.manifest import read_manifest
from unsup_asr.formats.ragged import RaggedArray
from unsup_asr.report.results import Results
from unsup_asr.scoring.folds import read_fold_table

SMALL = [
    "corpus.allow_incomplete=true",
    "segmentation.clusterer.num_clusters=24",
    "matching.matcher.restarts=1",
    "matching.matcher.finalists=1",
    "matching.matcher.iterations=20",
    "matching.matcher.final_iterations=10",
    "gan.trainer.updates=4",
    "gan.trainer.warm_up_updates=2",
    "gan.trainer.validate_every=2",
    "gan.trainer.batch_size=8",
    "gan.trainer.discriminator_hidden=16",
    "realign.num_rounds=1",
    "realign.training.epochs=1",
    "self_training.num_rounds=1",
    "self_training.training.hidden=16",
    "self_training.training.epochs=2",
    "runtime.num_threads=1",
]


@pytest.fixture(scope="module")
def latest(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("timit")
    write_timit(folder / "TIMIT", num_words=4)
    root = f"corpus.root={folder / 'TIMIT'}"
    assert main(["validate", "timit", root, *SMALL]) == 0
    assert main(["run", "timit", "--exp", str(folder / "exp"), root, *SMALL]) == 0
    torch.set_num_threads(1)
    return folder / "exp" / "timit" / "latest"


def test_every_system_is_scored_on_39_phones_with_silence(latest: Path) -> None:
    results = Results.read(latest / "evaluate" / "results.json")
    references = read_transcripts(latest / "references" / "references" / "test.tsv")
    said = [phone for reference in references for phone in reference.phones]
    assert {"matching", "self_training", "supervised"} <= set(results.rows)
    assert {row.reference_length for row in results.rows.values()} == {len(said)}
    assert said.count("sil") > 3 * len(references)
    assert results.silence == "sil counted"
    assert results.confusion is not None
    assert set(results.confusion.labels[:-1]) <= set(read_fold_table("timit_39").phones)
    assert results.boundaries is not None


def test_the_inventory_is_what_the_text_says_and_nothing_is_phonemized(latest: Path) -> None:
    inventory = json.loads((latest / "text" / "inventory.json").read_text("utf-8"))["phones"]
    assert set(inventory) <= set(read_fold_table("timit_39").phones)
    assert inventory[0] == "sil"
    words = (latest / "text" / "words.txt").read_text("utf-8").splitlines()
    assert all(line.startswith("<sil> ") and line.endswith(" <sil>") for line in words)


def test_no_frame_of_silence_is_cut(latest: Path) -> None:
    kept = RaggedArray.open(latest / "features" / "kept" / "test")
    for utterance in read_manifest(latest / "corpus" / "test.jsonl"):
        assert len(kept[utterance.id]) == int((utterance.duration_s - 0.025) / 0.010 + 1e-6) + 1


def test_silence_in_the_text_is_not_spoken(latest: Path, tmp_path: Path) -> None:
    """`start=spoken_text` reads the same text: its silences are no words to say."""
    said: list[str] = []

    def listen(self: SpokenText, sentences: list[str]):
        said.extend(sentences)
        raise ValueError("heard enough")

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(SpokenText, "speak", listen)
        root = f"corpus.root={latest.parents[2] / 'TIMIT'}"
        command = ["run", "timit", "--exp", str(tmp_path), "--until", "spoken_text"]
        assert main([*command, root, "start=spoken_text", *SMALL]) == 1
    assert len(said) == 32
    assert not any("sil" in sentence for sentence in said)
    assert all(len(sentence.split()) == 4 for sentence in said)
