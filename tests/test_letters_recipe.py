"""The toy recipe with a model of letters, which writes words."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
import torch
import transformers

from tests.test_finetuned_recipe import options
from tests.unsup_asr.upstreams.transformers_checkpoints import save_family
from unsup_asr.cli import main
from unsup_asr.formats.hypotheses import read_word_hypotheses, read_words
from unsup_asr.formats.manifest import read_manifest
from unsup_asr.report.results import Results
from unsup_asr.speech.audio import read_audio
from unsup_asr.steps.letters import spelled
from unsup_asr.transcribe import load_model, load_word_model

LETTERS = ("self_training.units=letters",)


@pytest.fixture(scope="module")
def exp(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("letters")
    save_family("hubert_large", folder / "upstream")
    given = [*options(folder), *LETTERS]
    assert main(["run", "toy", "--exp", str(folder / "exp"), *given]) == 0
    torch.set_num_threads(1)
    return folder / "exp"


@pytest.fixture
def latest(exp: Path) -> Path:
    return exp / "toy" / "latest"


def test_it_learns_the_spelling_of_the_words_that_were_recognised(latest: Path) -> None:
    train = {u.id for u in read_manifest(latest / "corpus" / "train.jsonl")}
    recognised = read_word_hypotheses(latest / "train_words" / "words" / "train.tsv")
    assert {h.utterance_id for h in recognised} == train
    known = {
        line.split("\t")[0]
        for line in (latest / "letters/words/spellings.tsv").read_text("utf-8").splitlines()
    }
    assert {word for h in recognised for word in h.words} <= known
    letters = json.loads((latest / "letters" / "inventory.json").read_text("utf-8"))["phones"]
    assert letters[-1] == "|"
    assert {letter for h in recognised for word in h.words for letter in word} <= set(letters)
    assert spelled(("an", "ox")) == ["a", "n", "|", "o", "x"]


def test_the_report_has_the_word_error_rate_of_both(
    exp: Path, latest: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = Results.read(latest / "evaluate" / "results.json").words
    assert words is not None
    assert {"letters", "supervised, letters"} <= set(words.rows)
    found = {
        h.utterance_id: h.words for h in read_word_hypotheses(latest / "letters/words/test.tsv")
    }
    said = read_words(latest / "references" / "references" / "test.words.tsv")
    row = words.rows["letters"]
    assert row.reference_length == sum(map(len, said.values()))
    assert row.deletions - row.insertions == row.reference_length - sum(map(len, found.values()))
    assert main(["report", "toy", "--exp", str(exp)]) == 0
    assert "supervised, letters" in capsys.readouterr().out


def test_it_is_transcribed_with_as_the_stage_heard_it(latest: Path) -> None:
    model = load_word_model(latest / "letters")
    stage = read_word_hypotheses(latest / "letters" / "words" / "test.tsv")
    expected = {h.utterance_id: h for h in stage}
    for utterance in read_manifest(latest / "corpus" / "test.jsonl"):
        words, _ = model.transcribe(utterance.audio)
        assert words.words == expected[utterance.id].words
        assert words.starts_s == pytest.approx(expected[utterance.id].starts_s, abs=2e-3)


@pytest.fixture
def wordy(latest: Path, tmp_path: Path) -> Path:
    """The model with another head, which hears many letters: so few updates teach it one."""
    folder = tmp_path / "wordy"
    shutil.copytree(latest / "letters", folder)
    network = transformers.AutoModelForCTC.from_pretrained(folder / "finetuned")
    samples_N = read_audio(read_manifest(latest / "corpus" / "test.jsonl")[0].audio)
    with torch.no_grad():
        (states_TD,) = network.hubert(torch.from_numpy(samples_N)[None]).last_hidden_state
        drawn_VD = torch.randn(
            network.lm_head.weight.shape, generator=torch.Generator().manual_seed(0)
        )
        network.lm_head.weight.copy_(drawn_VD / states_TD.std(0))
        network.lm_head.bias.copy_(-network.lm_head.weight @ states_TD.mean(0))
    network.save_pretrained(folder / "finetuned")
    described = json.loads((folder / "model.json").read_text("utf-8"))
    del described["sha256"]
    (folder / "model.json").write_text(json.dumps(described), "utf-8")
    return folder


def test_the_pipeline_of_transformers_writes_the_same_words(
    wordy: Path, latest: Path, tmp_path: Path
) -> None:
    out = tmp_path / "exported"
    results = str(latest / "evaluate" / "results.json")
    command = ["export", str(wordy), "--format", "transformers", "--out", str(out)]
    assert main([*command, "--results", results]) == 0
    pipeline = transformers.pipeline("automatic-speech-recognition", model=str(out))
    model, letters = load_word_model(wordy), load_model(wordy)
    heard = set()
    for utterance in read_manifest(latest / "corpus" / "test.jsonl")[:3]:
        words, spelling = model.transcribe(utterance.audio)
        raw = {"raw": read_audio(utterance.audio), "sampling_rate": 16000}
        assert tuple(pipeline(raw)["text"].split()) == words.words
        assert letters.transcribe(utterance.audio).phones == spelling.phones
        assert "".join(spelling.phones).replace("|", " ").split() == list(words.words)
        heard |= set(words.words)
    assert len(heard) > 5
    card = (out / "README.md").read_text("utf-8")
    assert "# Words from speech, learned without transcripts" in card
    assert "| letters |" in card
    assert (out / "with_language_model" / "language_model" / "words.arpa").is_file()


def test_words_are_written_in_every_format_that_has_them(
    wordy: Path, latest: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    audio = str(read_manifest(latest / "corpus" / "test.jsonl")[0].audio)
    words = load_word_model(wordy).transcribe(audio)[0].words
    command = ["transcribe", str(wordy), audio, "--words", "--format"]
    assert main([*command, "txt"]) == 0
    assert capsys.readouterr().out.split("\t")[1].split() == list(words)
    assert main([*command, "json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert [row["word"] for row in found["words"]] == list(words)
    for form in ("tsv", "ctm", "textgrid", "eaf", "srt", "vtt"):
        assert main([*command, form]) == 0
        assert words[0] in capsys.readouterr().out


def test_its_words_can_be_those_of_the_lexicon(wordy: Path, latest: Path) -> None:
    decoder = {
        "_target_": "lm.words.WordDecoder",
        "lexicon_path": "spellings.tsv",
        "lm_path": "words.arpa",
        "word_score": 20.0,
        "silence_token": "|",
    }
    (wordy / "words" / "decoder.json").write_text(json.dumps(decoder), "utf-8")
    audio = read_manifest(latest / "corpus" / "test.jsonl")[0].audio
    words, spelling = load_word_model(wordy).transcribe(audio)
    lines = (wordy / "words" / "spellings.tsv").read_text("utf-8").splitlines()
    assert words.words
    assert set(words.words) <= {line.split("\t")[0] for line in lines[1:]}
    assert "".join(words.words) == "".join(spelling.phones).replace("|", "")


def test_letters_need_words(exp: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    command = ["run", "toy", "--exp", str(tmp_path), *options(exp.parent), *LETTERS, "--until"]
    given = [option for option in command if not option.startswith("words.")]
    assert main([*given, "corpus", "words=none"]) == 2
    assert "use words=lexicon, or units=phones" in capsys.readouterr().err
    assert main([*command, "corpus", "self_training.units=syllables"]) == 2
    assert "self_training.units is 'syllables'; expected" in capsys.readouterr().err
