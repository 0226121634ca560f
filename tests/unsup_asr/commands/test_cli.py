"""The command line: what each verb prints, and its exit code (0 done, 1 found bad, 2 usage)."""

from __future__ import annotations

import errno
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import faiss
import numpy as np
import pytest
import soundfile
import torch
from omegaconf import DictConfig

import unsup_asr.commands.run
from unsup_asr import cli
from unsup_asr.corpora.sentences import frequent_words
from unsup_asr.engine.runs import keep_run, read_run
from unsup_asr.engine.stages import Stage, StageContext
from unsup_asr.formats.hypotheses import write_hypotheses, write_transcripts
from unsup_asr.report.results import Results, row_from_counts
from unsup_asr.scoring.boundaries import BoundaryScores
from unsup_asr.types import ErrorCounts, Hypothesis, RunRecord, Transcript

Printed = pytest.CaptureFixture[str]

RECIPE = "defaults: [base, _self_]\nrecipe: mine\nruntime: {num_threads: 1}\n"


@pytest.fixture(autouse=True)
def repository(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with one recipe, `mine`, whose graph is `count` -> `double`."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "recipes" / "mine").mkdir(parents=True)
    (tmp_path / "recipes" / "mine" / "config.yaml").write_text(RECIPE)
    monkeypatch.setattr(unsup_asr.commands.run, "build_graph", small_graph)
    return tmp_path


def small_graph(config: DictConfig) -> list[Stage]:
    del config
    return [
        Stage("count", count, config_keys=("realign",)),
        Stage("double", double, ("count",), ("self_training",)),
    ]


def count(context: StageContext) -> None:
    if context.config.realign.num_rounds == 0:
        raise ValueError("realign.num_rounds is 0; expected 1 or more")
    (context.out / "number").write_text(str(context.config.realign.num_rounds))


def double(context: StageContext) -> None:
    number = int(context.input("count").file("number").read_text())
    (context.out / "number").write_text(str(2 * number))


def lines(text: str) -> list[list[str]]:
    return [line.split() for line in text.splitlines()]


# Starting


def test_help_lists_every_verb_and_imports_nothing_heavy() -> None:
    command = [sys.executable, "-X", "importtime", "-m", "unsup_asr.cli", "--help"]
    found = subprocess.run(command, capture_output=True, text=True, check=True)
    verbs = [
        "run",
        "status",
        "validate",
        "evaluate",
        "compare",
        "report",
        "transcribe",
        "list",
        "new-recipe",
        "doctor",
    ]
    assert all(verb in found.stdout for verb in verbs)
    assert not any(heavy in found.stderr for heavy in ("torch", "numpy", "hydra", "faiss"))


@pytest.mark.parametrize(
    "argv",
    [
        [],
        ["fly"],
        ["run"],
        ["run", "mine", "--fast"],
        ["evaluate", "--hyp", "a"],
        ["doctor", "a=1"],
    ],
    ids=" ".join,
)
def test_what_cannot_be_parsed_is_usage(argv: list[str], capsys: Printed) -> None:
    with pytest.raises(SystemExit) as stopped:
        cli.main(argv)
    assert stopped.value.code == 2
    assert "usage: unsup-asr" in capsys.readouterr().err


# run and status


def test_run_prints_a_line_a_stage_and_does_nothing_twice(capsys: Printed) -> None:
    assert cli.main(["run", "mine"]) == 0
    assert [words[:2] for words in lines(capsys.readouterr().out)] == [
        ["[1/2]", "count:"],
        ["[2/2]", "double:"],
    ]
    assert Path("exp/mine/latest/double/number").read_text() == "16"
    assert cli.main(["run", "mine"]) == 0
    assert capsys.readouterr().out.count("done before") == 2


def test_options_may_stand_before_and_after_overrides(tmp_path: Path) -> None:
    argv = ["run", "mine", "realign.num_rounds=3", "--exp", str(tmp_path / "x"), "--until", "count"]
    assert cli.main([*argv, "seed=2"]) == 0
    folder = tmp_path / "x" / "mine" / "latest" / "count"
    assert (folder / "number").read_text() == "3"
    assert json.loads((folder / "stage.json").read_text())["seed"] == 2
    assert not (tmp_path / "x" / "mine" / "double").exists()


def test_force_runs_a_stage_again(capsys: Printed) -> None:
    cli.main(["run", "mine"])
    capsys.readouterr()
    assert cli.main(["run", "mine", "--force", "double"]) == 0
    first, second = capsys.readouterr().out.splitlines()
    assert "done before" in first
    assert "done before" not in second


def test_status_tells_done_from_stale(capsys: Printed) -> None:
    assert cli.main(["status", "mine"]) == 0
    assert [words[1] for words in lines(capsys.readouterr().out)] == ["missing", "missing"]
    cli.main(["run", "mine"])
    capsys.readouterr()
    assert cli.main(["status", "mine", "self_training.num_rounds=2"]) == 0
    done, stale = capsys.readouterr().out.splitlines()
    assert done.split()[:2] == ["count", "done"]
    assert "self_training.num_rounds 1 -> 2" in stale


def test_status_of_a_damaged_stage_is_bad(capsys: Printed) -> None:
    cli.main(["run", "mine"])
    Path("exp/mine/latest/count/number").write_text("more than before")
    capsys.readouterr()
    assert cli.main(["status", "mine"]) == 1
    assert "damaged" in capsys.readouterr().out
    assert cli.main(["run", "mine"]) == 1
    assert "run again with --force count" in capsys.readouterr().err


@pytest.mark.parametrize("verb", ["run", "status", "validate"])
@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        (["mina"], "no recipe named 'mina'. Did you mean 'mine'"),
        (["mine", "realign.num_round=2"], "Did you mean 'num_rounds'"),
        (["mine", "seed=x"], "seed is 'x'"),
        (["mine", "language=xx", "nonsense"], "nonsense"),
        (["mine", "corpus=none_such"], "none_such"),
    ],
)
def test_a_wrong_recipe_or_override_is_usage(
    verb: str, wrong: list[str], message: str, capsys: Printed
) -> None:
    assert cli.main([verb, *wrong]) == 2
    captured = capsys.readouterr()
    assert message in captured.err
    assert captured.err.startswith(f"unsup-asr {verb}: ")
    assert "Traceback" not in captured.err
    assert captured.out == ""


def test_an_unknown_stage_is_usage(capsys: Printed) -> None:
    assert cli.main(["run", "mine", "--until", "cuont"]) == 2
    assert "no stage named 'cuont'; the stages are: count, double" in capsys.readouterr().err


def test_a_failed_stage_is_one_line_and_its_log_has_the_traceback(capsys: Printed) -> None:
    assert cli.main(["run", "mine", "realign.num_rounds=0"]) == 1
    error = capsys.readouterr().err
    assert error == ("unsup-asr run: stage count: realign.num_rounds is 0; expected 1 or more\n")
    (log,) = Path("exp/mine/count").glob("*.partial/log.txt")
    assert "Traceback" in log.read_text()


def test_verbose_shows_the_traceback() -> None:
    with pytest.raises(RuntimeError, match="expected 1 or more"):
        cli.main(["run", "mine", "realign.num_rounds=0", "--verbose"])


def test_an_output_that_cannot_be_written_is_named(capsys: Printed) -> None:
    Path("exp").mkdir()
    Path("exp/mine").write_text("")
    assert cli.main(["run", "mine"]) == 1
    error = capsys.readouterr().err
    assert "exp/mine" in error
    assert "write" in error
    assert "Traceback" not in error


def test_a_full_disk_is_named_whoever_meets_it(
    monkeypatch: pytest.MonkeyPatch, capsys: Printed
) -> None:
    def full(arguments: object) -> int:
        del arguments
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), "exp/mine/report.html")

    monkeypatch.setattr(unsup_asr.commands.run, "run", full)
    assert cli.main(["run", "mine"]) == 1
    error = capsys.readouterr().err
    assert "'exp/mine/report.html'" in error
    assert "The disk is full: free some space" in error


def test_interrupted_says_how_to_go_on(monkeypatch: pytest.MonkeyPatch, capsys: Printed) -> None:
    def interrupted(arguments: object) -> int:
        raise KeyboardInterrupt

    monkeypatch.setattr(unsup_asr.commands.run, "run", interrupted)
    assert cli.main(["run", "mine"]) == 130
    assert capsys.readouterr().err == ("unsup-asr run: interrupted; the same command goes on\n")


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP])
def test_a_signal_that_ends_a_run_is_told_and_the_run_goes_on(
    number: signal.Signals, monkeypatch: pytest.MonkeyPatch, capsys: Printed
) -> None:
    def killed(context: StageContext) -> None:
        checkpoint = context.out / "checkpoint"
        if checkpoint.exists():
            return
        checkpoint.write_text("half")
        os.kill(os.getpid(), number)
        time.sleep(10)

    stages = [Stage("count", killed, resumable=True)]
    monkeypatch.setattr(unsup_asr.commands.run, "build_graph", lambda _: stages)
    assert cli.main(["run", "mine"]) == 128 + number
    assert capsys.readouterr().err == (
        f"unsup-asr run: ended by {number.name}; the same command goes on\n"
    )
    (log,) = Path("exp/mine/count").glob("*.partial/log.txt")
    assert f"ended by {number.name}" in log.read_text()
    assert cli.main(["run", "mine"]) == 0
    assert signal.getsignal(number) is signal.SIG_DFL


def test_sums_are_shared_by_as_many_threads_as_the_recipe_says_on_every_machine(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    asked: list[int] = []
    monkeypatch.setattr(torch, "set_num_threads", asked.append)
    monkeypatch.setattr(faiss, "omp_set_num_threads", asked.append)
    cli.main(["run", "mine", "runtime.num_threads=0"])
    cli.main(["run", "mine", "runtime.num_threads=2"])
    cli.main(["run", "mine", "runtime.sum_threads=3"])
    assert asked == [1, 1, 1, 1, 3, 3]


def test_what_rounds_otherwise_is_in_the_record_and_told_when_a_run_goes_on(
    capsys: Printed, monkeypatch: pytest.MonkeyPatch
) -> None:
    cli.main(["run", "mine", "runtime.num_threads=2", "--until", "count"])
    record = json.loads(Path("exp/mine/latest/count/stage.json").read_text())
    usual = {"device": "auto", "precision": "auto", "cuda_graphs": True, "processes": 1}
    usual["tensorboard"] = False
    assert record["runtime"] == {"runtime": {**usual, "num_threads": 2, "sum_threads": 1}}
    assert record["arithmetic"]["sum_threads"] == "1"
    assert {"instructions", "device", "precision", "float32_matmul"} < set(record["arithmetic"])
    cli.main(["run", "mine", "runtime.num_threads=1"])
    assert capsys.readouterr().err == ""
    cli.main(["run", "mine", "runtime.sum_threads=2"])
    assert capsys.readouterr().err == ""  # nothing to do
    cli.main(["run", "mine", "runtime.sum_threads=2", "--force", "double"])
    message = capsys.readouterr().err
    assert "double goes on from count, made with sum_threads 1; this run has 2" in message
    monkeypatch.setattr(torch.backends.cpu, "get_cpu_capability", lambda: "ABACUS")
    cli.main(["run", "mine", "--force", "double"])
    assert "this run has ABACUS" in capsys.readouterr().err


def test_a_device_that_is_not_there_stops_a_run_before_its_first_stage(capsys: Printed) -> None:
    assert cli.main(["run", "mine", "runtime.device=cuda:7"]) == 2
    message = capsys.readouterr().err
    assert "runtime.device is 'cuda:7', but there" in message
    assert not Path("exp").exists()


def test_a_run_keeps_few_compiled_kernels_unless_told_otherwise(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    name = "ONEDNN_PRIMITIVE_CACHE_CAPACITY"
    monkeypatch.setenv(name, "500")
    cli.main(["run", "mine"])
    assert os.environ[name] == "500"
    monkeypatch.delenv(name)
    cli.main(["run", "mine"])
    assert os.environ[name] == "64"


def test_a_run_under_torchrun_is_told_that_it_starts_processes_itself(
    capsys: Printed, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(torch.distributed, "is_torchelastic_launched", lambda: True)
    assert cli.main(["run", "mine"]) == 2
    assert "without torchrun, with runtime.processes=4" in capsys.readouterr().err
    assert not Path("exp").exists()


def test_the_precision_of_a_run_is_in_the_record_of_each_stage() -> None:
    cli.main(["run", "mine", "runtime.precision=bfloat16", "--until", "count"])
    record = json.loads(Path("exp/mine/latest/count/stage.json").read_text())
    assert record["arithmetic"]["precision"] == "bfloat16"
    assert record["ran_on"] == "cpu"
    cli.main(["run", "mine", "--force", "count", "--until", "count"])
    record = json.loads(Path("exp/mine/latest/count/stage.json").read_text())
    assert record["arithmetic"]["precision"] == "float32"


# validate, new-recipe, list


def add_audio(folder: Path, num_files: int = 12) -> None:
    folder.mkdir()
    noise = np.random.default_rng(0).normal(0, 0.1, 8000).astype(np.float32)
    for number in range(num_files):
        soundfile.write(folder / f"u{number}.wav", noise, 16000)


def own_data(text: str = "the cat sat on the mat\n" * 40) -> list[str]:
    """Arguments that name a folder of audio and a text."""
    add_audio(Path("audio"))
    Path("text.txt").write_text(text, "utf-8")
    return ["--audio", "audio", "--text", "text.txt", "--language", "en-us"]


def test_a_new_recipe_runs_and_validates(capsys: Printed) -> None:
    assert cli.main(["new-recipe", "own", *own_data()]) == 0
    written = {path.name for path in Path("recipes/own").iterdir()}
    assert written == {"config.yaml", "run.sh", "README.md", "RESULTS.md"}
    assert os.access("recipes/own/run.sh", os.X_OK)
    capsys.readouterr()
    assert cli.main(["validate", "own"]) == 0
    found = capsys.readouterr().out
    assert "BAD" not in found
    assert "train 8 utterances" in found
    assert "no references, nothing to score" in found
    assert cli.main(["status", "own"]) == 0


def test_paths_that_yaml_or_hydra_would_read_otherwise_survive(capsys: Printed) -> None:
    data = own_data()
    Path("audio").rename("no: x #1, {y}")
    data[1] = "no: x #1, {y}"
    assert cli.main(["new-recipe", "own", *data]) == 0
    capsys.readouterr()
    assert cli.main(["validate", "own"]) == 0


@pytest.mark.parametrize(
    ("argv", "message"),
    [
        (["mine"], "recipes/mine exists"),
        (["../own"], "NAME is '../own'; expected up to 100 letters, digits"),
        (["own", "--audio", "nowhere"], "nowhere: no such folder; expected recordings"),
        (["own", "--text", "nothing"], "--text nothing: no such file"),
        (["own", "--references", "r.tsv"], "--references r.tsv: no such file"),
        (["own", "--audio", "${a}"], "recipes read '${' as a reference"),
        (["own", "--language", "en"], "near codes: en-gb"),
    ],
)
def test_a_recipe_that_cannot_be_written_is_usage(
    argv: list[str], message: str, capsys: Printed
) -> None:
    Path("${a}").mkdir()
    assert cli.main(["new-recipe", *own_data(), *argv]) == 2
    assert message in capsys.readouterr().err
    assert not Path("recipes/own").exists()


def test_validate_says_who_speaks_and_what_is_left_out(capsys: Printed) -> None:
    cli.main(["new-recipe", "own", *own_data()])
    for number in range(12):
        folder = Path("audio", f"s{number % 3}", "day1")
        folder.mkdir(parents=True, exist_ok=True)
        Path(f"audio/u{number}.wav").rename(folder / f"u{number}.wav")
    for name in ("a.m4a", "b.wma", "._u0.wav"):
        Path("audio", name).write_bytes(b"x")
    capsys.readouterr()
    assert cli.main(["validate", "own"]) == 0
    found = capsys.readouterr()
    assert "train 4 utterances, 0.0 min, 1 speakers; dev 4 utterances" in found.out
    assert "3 speakers understood from the first folder below" in found.out
    assert "only 33 % of the audio is left for training" in found.out
    assert "left out 1 .m4a, 1 .wma, 1 hidden" in found.out
    assert "33 % of the audio is left for training (train 0.0 min" in found.err


def test_validate_finds_bad_data_of_each_kind(capsys: Printed) -> None:
    cli.main(["new-recipe", "own", *own_data()])
    Path("text.txt").write_text("Кот сидит на ковре\n" * 20, "utf-8")
    assert cli.main(["validate", "own"]) == 1
    assert "BAD  text" in capsys.readouterr().out
    Path("audio/u3.wav").write_bytes(b"not audio")
    assert cli.main(["validate", "own"]) == 1
    found = capsys.readouterr().out
    assert "BAD  data" in found
    assert "u3.wav" in found


def add_references(kind: str, said: str) -> list[str]:
    rows = "".join(f"u{i}\t{said}\n" for i in range(12))
    Path("said.tsv").write_text(f"utterance_id\t{kind}\n{rows}", "utf-8")
    return ["corpus.references=said.tsv", f"corpus.reference_kind={kind}"]


@pytest.mark.parametrize(
    ("kind", "said", "found"),
    [
        ("words", "the cat sat on a mat", "ok   references: 12 utterances; 83% of their words are"),
        ("phones", "k æ t s æ t", "ok   references: 12 utterances; 0.0% of their phones are not"),
        ("phones", "the cat sat", "BAD  references: 100 % of the phones of the references are"),
        ("phones", "K AE1 T", "BAD  references: 100 % of the phones of the references are"),
        ("words", "кот сидит", "BAD  references: 100 % of the letters of the references are CY"),
        (
            "words",
            "k æ t s æ t",
            "If they are phones, say so (corpus.reference_kind=phones)",
        ),
    ],
)
def test_validate_compares_references_with_the_text(
    kind: str, said: str, found: str, capsys: Printed
) -> None:
    cli.main(["new-recipe", "own", *own_data()])
    code = cli.main(["validate", "own", *add_references(kind, said)])
    printed = capsys.readouterr().out
    assert found in printed
    assert code == ("BAD" in printed)


def test_validate_knows_phones_that_are_given_as_words(capsys: Printed) -> None:
    words = frequent_words("en-us", 200)[0]
    text = "\n".join(" ".join(words[i::20]) for i in range(20)) + "\n"
    text *= 20
    cli.main(["new-recipe", "own", *own_data(text)])
    assert cli.main(["validate", "own", *add_references("words", "HH AH0 L OW1")]) == 1
    found = capsys.readouterr().out
    assert "BAD  references: 0% of their words are in the text's sample (HH AH0 L OW1" in found


@pytest.mark.parametrize("place", ["corpus", "features.upstream", "text.front_end", "gan.trainer"])
def test_status_does_not_even_import_what_a_recipe_of_others_names(
    place: str, capsys: Printed, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.syspath_prepend(".")
    monkeypatch.delitem(sys.modules, "payload_of_others", raising=False)
    Path("payload_of_others.py").write_text("open('imported', 'w').close()\nclass Thing: pass\n")
    named = f"{place}={{_target_: payload_of_others.Thing, weights: 1}}"
    code = cli.main(["status", "mine", f"~{place}", named])
    printed = capsys.readouterr()
    assert not Path("imported").exists()
    assert "payload_of_others.Thing" in printed.out + printed.err
    assert "--trust" in printed.out + printed.err
    assert code == (2 if place == "corpus" else 0)
    assert cli.main(["list"]) == 0
    assert not Path("imported").exists()
    cli.main(["status", "mine", f"~{place}", named, "--trust"])
    assert Path("imported").exists()


def test_validate_tells_what_espeak_makes_of_the_text(capsys: Printed) -> None:
    text = "the cat sat on the mat\n" * 30 + "été à Paris\n12\n?\n" + "кот\n"
    cli.main(["new-recipe", "own", *own_data(text)])
    assert cli.main(["validate", "own"]) == 0
    found = capsys.readouterr().out
    assert "34 lines phonemized, " in found
    assert "2 dropped (1 empty, 1 wrong script)" in found
    Path("text.txt").write_text("今日 東京 に 行った\n" * 20, "utf-8")
    assert cli.main(["validate", "own", "language=ja"]) == 1
    assert "BAD  text: " in (found := capsys.readouterr().out)
    assert "20 of 20 lines in another language than 'ja', or spells them out" in found
    assert "write the text in kana" in found


def test_validate_and_run_build_components_to_find_options_wrong_together(capsys: Printed) -> None:
    wrong = "text.front_end={_target_: lm.front_end.EspeakFrontEnd, min_words: 3, max_words: 2}"
    assert cli.main(["validate", "mine", wrong]) == 1
    assert "BAD  options: text.front_end: min_words is 3" in capsys.readouterr().out
    assert cli.main(["run", "mine", wrong]) == 1
    assert "text.front_end: min_words is 3" in capsys.readouterr().err
    assert not Path("exp").exists()


def test_list_names_recipes_upstreams_and_choices(capsys: Printed) -> None:
    assert cli.main(["list"]) == 0
    found = capsys.readouterr().out
    assert "  mine" in found
    assert "  kaldi_mfcc" in found
    assert (
        "corpus               audiofolder, common_voice, folder, kaldi, lhotse, librispeech"
        in found
    )


# evaluate, compare, report


def write_pair(*hypothesis_ids: str) -> list[str]:
    phones = ("k", "æ", "t")
    write_transcripts(Path("ref.tsv"), [Transcript(i, phones) for i in ("a", "b")])
    write_hypotheses(
        Path("hyp.tsv"),
        [Hypothesis(i, (*phones, "s") if i == "b" else phones) for i in hypothesis_ids],
    )
    return ["evaluate", "--hyp", "hyp.tsv", "--ref", "ref.tsv"]


def test_evaluate_prints_the_rate_and_each_utterance_on_demand(capsys: Printed) -> None:
    argv = write_pair("b", "a")
    assert cli.main(argv) == 0
    summary = capsys.readouterr().out
    assert "16.7" in summary
    assert "utterance_id" not in summary
    assert cli.main([*argv, "--utterances"]) == 0
    assert "b\t1\t0\t0\t3\n" in capsys.readouterr().out


@pytest.mark.parametrize("ids", [("a",), ("a", "b", "c")])
def test_evaluate_refuses_sides_that_differ(ids: tuple[str, ...], capsys: Printed) -> None:
    assert cli.main(write_pair(*ids)) == 1
    error = capsys.readouterr().err
    assert "hyp.tsv" in error
    assert "ref.tsv" in error


def test_evaluate_names_a_missing_file(capsys: Printed) -> None:
    assert cli.main(["evaluate", "--hyp", "h.tsv", "--ref", "r.tsv"]) == 1
    assert "r.tsv: no such file" in capsys.readouterr().err


def write_results(recipe: str, *, seed: int = 0) -> None:
    row = row_from_counts([ErrorCounts(1, 1, 1, 10)] * 20, split="test", seed=0)
    results = Results(
        recipe=recipe,
        seed=seed,
        corpus="synthetic",
        test_digest="0123",
        rows={"matching": row, "self_training": row, "supervised": row},
        num_phones=40,
        train_hours=1.0,
        num_train_speakers=8,
        boundaries=BoundaryScores(num_hits=80, num_reference=100, num_found=110, tolerance_s=0.02),
        js_divergence={1: 0.1},
        wall_by_stage={},
    )
    folder = Path("exp") / recipe / "latest" / "evaluate"
    folder.mkdir(parents=True)
    results.write(folder / "results.json")


def test_report_prints_the_table_and_writes_one_file(capsys: Printed) -> None:
    write_results("mine")
    assert cli.main(["report", "mine"]) == 0
    found = capsys.readouterr().out
    assert "unsupervised PER 30.0 %" in found
    assert found.splitlines()[-1] == "exp/mine/report.html"
    assert Path("exp/mine/report.html").read_text("utf-8").startswith("<!doctype html>")


def test_report_json_is_one_object_and_nothing_else(capsys: Printed) -> None:
    write_results("mine", seed=2)
    assert cli.main(["report", "mine", "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert found["seed"] == 2
    assert found["per"] == {"matching": 30.0, "self_training": 30.0, "supervised": 30.0}
    assert not Path("exp/mine/report.html").exists()


def test_report_before_the_run_says_to_run(capsys: Printed) -> None:
    assert cli.main(["report", "mine"]) == 1
    assert "Run `unsup-asr run mine` to its end first" in capsys.readouterr().err
    assert cli.main(["report", "none_such"]) == 2
    assert "no recipe named 'none_such'" in capsys.readouterr().err


def finish_run(recipe: str, record: RunRecord) -> None:
    """Let results be those of a run that has ended."""
    root = Path("exp") / recipe
    key = root / "evaluate" / "0123456789ab"
    key.parent.mkdir()
    (root / "latest" / "evaluate").rename(key)
    (key / "stage.json").write_text('{"wall_s": 5, "peak_rss_mb": 100, "identity": "x"}')
    keep_run(root, {"evaluate": key}, record)


def test_report_writes_results_md_with_the_command_of_each_run(capsys: Printed) -> None:
    write_results("mine", seed=2)
    finish_run("mine", RunRecord("unsup-asr run mine", "abc+", "2026-01-02"))
    argv = ["report", "mine", "other", "--results", "recipes/mine/RESULTS.md"]
    assert cli.main(argv) == 0
    assert capsys.readouterr().out == "recipes/mine/RESULTS.md\n"
    text = Path("recipes/mine/RESULTS.md").read_text("utf-8")
    (mine,) = [line for line in text.splitlines() if line.startswith("| mine |")]
    for cell in ("| 30.0 (30.0 to 30.0) |", "| 0.762 |", "| 2 | 2026-01-02 | abc+ | 5 | 100 |"):
        assert cell in mine
    assert "40 phones" in mine
    assert "| other | not run |" in text
    assert "- mine: `unsup-asr run mine`" in text
    assert not Path("exp/mine/report.html").exists()


def test_a_run_keeps_its_command_until_another_run_makes_new_results() -> None:
    def command() -> str | None:
        record = read_run(Path("exp/mine/latest"))
        return record.command if record else None

    cli.main(["run", "mine", "seed=1"])
    assert command() == "unsup-asr run mine seed=1"
    cli.main(["run", "mine", "seed=1", "runtime.num_threads=2"])  # nothing to do
    assert command() == "unsup-asr run mine seed=1"
    cli.main(["run", "mine", "seed=1", "runtime.num_threads=2", "--force", "double"])
    assert command() == "unsup-asr run mine seed=1 runtime.num_threads=2"
    cli.main(["run", "mine", "seed=3", "--until", "count"])
    assert command() == "unsup-asr run mine seed=3 --until count"
    cli.main(["run", "mine", "seed=1", "--until", "count"])  # all of it done before
    assert command() == "unsup-asr run mine seed=1 runtime.num_threads=2"


def test_a_damaged_record_of_a_run_is_named() -> None:
    cli.main(["run", "mine"])
    for damage in ("{", "[1]", '{"command": "x", "date": "y"}', '{"stages": 3, "more": 1}'):
        manifest = Path("exp/mine/latest/run.json").resolve()
        manifest.write_text(damage)
        with pytest.raises(ValueError, match=f"{manifest.name}: .*remove it, and run again"):
            read_run(Path("exp/mine/latest"))
    manifest.unlink()
    assert cli.main(["run", "mine"]) == 0
    assert read_run(Path("exp/mine/latest")) is not None


def test_report_needs_no_paths_of_the_data(capsys: Printed) -> None:
    Path("recipes/own").mkdir()
    Path("recipes/own/config.yaml").write_text(
        "defaults: [base, _self_, override corpus: folder]\nrecipe: mine\n"
    )
    write_results("mine")
    assert cli.main(["report", "recipes/own", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["recipe"] == "mine"


def test_compare_sets_results_side_by_side(capsys: Printed) -> None:
    write_results("mine")
    write_results("other", seed=3)
    assert cli.main(["compare", "exp/mine", "exp/other"]) == 0
    assert "other, seed 3" in capsys.readouterr().out
    assert cli.main(["compare", "exp/mine", "exp/none_such"]) == 2
    assert "exp/none_such does not exist" in capsys.readouterr().err


# doctor


@pytest.mark.parametrize(("is_ok", "code"), [(True, 0), (False, 1)])
def test_doctor_says_what_to_do(
    is_ok: bool, code: int, monkeypatch: pytest.MonkeyPatch, capsys: Printed
) -> None:
    import unsup_asr.commands.doctor
    from unsup_asr.doctor import Finding

    findings = [Finding("torch", True, "2.0"), Finding("kenlm", is_ok, "found", "install gcc")]
    monkeypatch.setattr(unsup_asr.commands.doctor, "examine", lambda: findings)
    assert cli.main(["doctor"]) == code
    assert ("-> install gcc" in capsys.readouterr().out) == (not is_ok)


@pytest.mark.parametrize(
    "command",
    [["run", "toy"], ["status", "toy"], ["clean", "toy"], ["report", "toy"], ["list", "--runs"]],
)
def test_a_file_in_the_place_of_the_experiments_is_wrong_usage(
    command: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "notes.txt"
    file.write_text("not a folder")
    with pytest.raises(SystemExit) as ended:
        cli.main([*command, "--exp", str(file)])
    assert ended.value.code == 2
    assert f"{file} is a file; expected a folder of experiments" in capsys.readouterr().err


@pytest.mark.parametrize("verb", ["status", "clean", "report"])
@pytest.mark.parametrize("there", ["nothing", "a file in the recipe's place"])
def test_an_experiment_that_cannot_be_is_wrong_usage(
    verb: str, there: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    exp = tmp_path / "experiments"
    expected = f"{exp}: no such folder; expected a folder of experiments"
    if there != "nothing":
        exp.mkdir()
        (exp / "toy").write_text("not a folder")
        expected = f"{exp / 'toy'}: is a file, not a folder; expected the folder of a recipe's"
    assert cli.main([verb, "toy", "--exp", str(exp)]) == 2
    assert expected in capsys.readouterr().err


@pytest.mark.parametrize(
    "command", [["transcribe", "MODEL", "a.wav"], ["diagnose", "MODEL"], ["serve", "MODEL"]]
)
def test_a_file_in_the_place_of_a_folder_is_called_a_file(
    command: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "notes.txt"
    file.write_text("not a folder")
    assert cli.main([str(file) if word == "MODEL" else word for word in command]) == 2
    assert f"{file}: is a file, not a folder; expected " in capsys.readouterr().err
