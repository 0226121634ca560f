"""The toy recipe, smaller still, through the command line: every stage, and what it promises."""

import json
import re
import shutil
from pathlib import Path

import numpy as np
import pytest
import soundfile
import torch

import unsup_asr.upstreams.kaldi_features
from unsup_asr.acoustic.training import NetworkTraining
from unsup_asr.cli import main
from unsup_asr.corpora.synthetic import SyntheticCorpus
from unsup_asr.formats.hypotheses import read_hypotheses, read_word_hypotheses
from unsup_asr.formats.ragged import RaggedArray
from unsup_asr.report.samples import in_order_of_choice
from unsup_asr.upstreams.kaldi_features import KaldiMFCC

SMALL = [
    "corpus.num_train_utterances=40",
    "corpus.num_dev_utterances=4",
    "corpus.num_test_utterances=4",
    "corpus.num_text_sentences=400",
    "segmentation.clusterer.num_clusters=48",
    "matching.matcher.iterations=40",
    "matching.matcher.final_iterations=20",
    "gan.trainer.updates=6",
    "gan.trainer.warm_up_updates=2",
    "gan.trainer.validate_every=3",
    "gan.population.num_seeds=2",
    "realign.num_rounds=2",
    "realign.training.epochs=2",
    "self_training.training.hidden=16",
    "self_training.training.epochs=2",
    "self_training.first_round.epochs=2",
    "words.tuning.lm_weights=[0.1,1.0]",
    "words.tuning.word_scores=[0.0,2.0]",
    "runtime.num_threads=1",
]


@pytest.fixture(scope="module")
def exp(tmp_path_factory):
    folder = tmp_path_factory.mktemp("exp")
    assert main(["run", "toy", "--exp", str(folder), *SMALL]) == 0
    torch.set_num_threads(1)
    return folder


def test_every_stage_is_done_and_a_second_run_does_nothing(exp, capsys):
    assert main(["run", "toy", "--exp", str(exp), *SMALL]) == 0
    lines = [line for line in capsys.readouterr().out.splitlines() if line.startswith("[")]
    assert len(lines) > 10
    assert all("done before" in line for line in lines)


def test_results_do_not_depend_on_the_number_of_threads(exp, tmp_path):
    several = [*SMALL, "runtime.num_threads=3"]
    command = ["run", "toy", "--exp", str(tmp_path), "--until"]
    assert main([*command, "self_training_1", *several]) == 0
    for stage in (tmp_path / "toy" / "latest").glob("*/stage.json"):
        other = exp / "toy" / "latest" / stage.parent.name / stage.name
        outputs = [json.loads(path.read_text("utf-8"))["outputs"] for path in (stage, other)]
        assert outputs[0] == outputs[1], stage.parent.name


@pytest.mark.parametrize("stage", ["realign_1", "self_training_1"])
def test_a_training_that_is_interrupted_goes_on_at_the_next_epoch_to_the_same_results(
    stage, exp, tmp_path, monkeypatch
):
    shutil.copytree(exp, tmp_path, symlinks=True, dirs_exist_ok=True)
    shutil.rmtree(tmp_path / "toy" / stage)
    command = ["run", "toy", "--exp", str(tmp_path), "--until", stage, *SMALL]
    epoch, trained = NetworkTraining._epoch, []

    def interrupted(*arguments):
        if len(trained) == 1:
            raise KeyboardInterrupt
        trained.append(epoch(*arguments))
        return trained[-1]

    with monkeypatch.context() as patch:
        patch.setattr(NetworkTraining, "_epoch", interrupted)
        assert main(command) == 130
    assert [path.name for path in (tmp_path / "toy" / stage).glob("*.partial/training.*")]
    whole = json.loads((exp / "toy" / "latest" / stage / "stage.json").read_text("utf-8"))
    monkeypatch.setattr(
        NetworkTraining, "_epoch", lambda *a: trained.append(epoch(*a)) or trained[-1]
    )
    assert main(command) == 0
    assert len(trained) == 2
    again = json.loads((tmp_path / "toy" / "latest" / stage / "stage.json").read_text("utf-8"))
    assert again["outputs"] == whole["outputs"]


def test_the_report_holds_what_is_asked_for(exp, capsys):
    assert main(["report", "toy", "--exp", str(exp), "--json"]) == 0
    report = json.loads(capsys.readouterr().out)
    assert {"matching", "matching+lm", "gan", "gan+lm", "self_training", "supervised"} <= set(
        report["per"]
    )
    for key in ("boundary_f1", "unsupervised_per", "supervised_per", "wall_s", "peak_rss_mb"):
        assert report[key] > 0
    assert report["seed"] == 0
    assert [m["options"] for m in report["population"]["members"]] == [{"seed": 0}, {"seed": 1}]
    assert set(report["population"]["choices"]) == {
        "weighted_perplexity",
        "two_steps",
        "total_over_usage",
    }
    assert report["num_train_speakers"] == 4
    assert report["num_phones"] > 30
    causes = [line.split(" hears")[0] for line in report["diagnosis"]]  # so small a run fails
    assert {"what matching", "what realign_2", "in the game, what gan"} <= set(causes)
    assert main(["report", "toy", "--exp", str(exp)]) == 0
    page = (exp / "toy" / "report.html").read_text("utf-8")
    assert page.count("<figure>") >= 4
    assert page.count("<audio") >= 4
    results = exp / "toy" / "latest" / "evaluate" / "results.json"
    samples = json.loads(results.read_text("utf-8"))["samples"]
    ids = [sample["utterance_id"] for sample in samples]
    assert ids == in_order_of_choice(ids)
    for sample in samples:
        assert len(sample["starts_s"]) == len(sample["ends_s"]) == len(sample["reference"])
        assert len(sample["boundaries_s"]) > 2


def test_every_system_is_held_against_its_nulls_and_its_clusters_ceilings(exp, capsys):
    assert main(["report", "toy", "--exp", str(exp), "--json"]) == 0
    report = json.loads(capsys.readouterr().out)
    assert report["nulls"].keys() == report["per"].keys()
    for system, nulls in report["nulls"].items():
        lower = min(nulls["audio_swap"], nulls["random_phones"])
        assert lower > 50, system
        assert report["working"][system] == (report["per"][system] <= lower - 5), system
    assert list(report["maps"]) == ["matching"]
    for scores in report["maps"].values():
        assert 0 < scores["segments"] < scores["majority_map"] < scores["random_map"]
    unsupervised = [s for s in report["per"] if "+" not in s and not s.startswith("supervised")]
    assert {"text", *unsupervised} == {*report["signs"], "self_training"}
    signs = report["signs"]
    assert signs["matching"]["js_divergence"]["2"] > signs["text"]["js_divergence"]["2"]
    assert 5 < signs["text"]["phones_per_second"] < 20
    assert signs["self_training_2"]["edits_from_final"] >= 0 < signs["gan"]["edits_from_final"]


SUPERB = [
    "superb=phoneme_recognition",
    "superb.training.steps=30",
    "superb.training.evaluate_every=10",
    "superb.training.projection=16",
]


@pytest.fixture(scope="module")
def superb_exp(exp, tmp_path_factory):
    folder = tmp_path_factory.mktemp("superb") / "exp"
    shutil.copytree(exp, folder, symlinks=True)
    assert main(["run", "toy", "--exp", str(folder), *SMALL, *SUPERB]) == 0
    return folder


def test_the_superb_recipe_is_a_row_of_its_own_beside_the_supervised_one(superb_exp, capsys):
    assert main(["run", "toy", "--exp", str(superb_exp), *SMALL, *SUPERB]) == 0
    capsys.readouterr()
    assert main(["report", "toy", "--exp", str(superb_exp), "--json"]) == 0
    report = json.loads(capsys.readouterr().out)
    assert list(report["per"])[-2:] == ["supervised", "supervised (SUPERB recipe)"]
    assert report["superb_recipe_per"] == report["per"]["supervised (SUPERB recipe)"]
    assert report["superb_recipe_per"] < 100
    assert report["layer_weights"]["weights"] == [1.0]
    assert report["layer_weights"]["norms"][0] > 1
    decoding = report["decoding"]
    assert decoding["matching"] == decoding["supervised (SUPERB recipe)"] == "no LM"
    assert decoding["matching+lm"] == decoding["supervised"] == "phone LM"
    assert decoding["realign_1"] == "words"
    assert report["silence"] == "not counted"
    assert "ᵻ>ɪ" in report["fold"]
    written = json.loads(
        (superb_exp / "toy" / "latest" / "superb" / "superb.json").read_text("utf-8")
    )
    assert written["steps"] == [10, 20, 30]
    by_step = dict(zip(written["steps"], written["dev_per"], strict=True))
    assert by_step[written["best_step"]] == min(by_step.values())
    assert main(["report", "toy", "--exp", str(superb_exp)]) == 0
    assert "SUPERB recipe" in capsys.readouterr().out.splitlines()[0]
    assert "Layer weights" not in (superb_exp / "toy" / "report.html").read_text("utf-8")


def test_runs_with_and_without_the_superb_recipe_compare(exp, superb_exp, capsys):
    """Nothing else was run again: the rows that both have are the same."""
    paths = [str(folder / "toy") for folder in (exp, superb_exp)]
    assert main(["compare", *paths, "--published", "librispeech"]) == 0
    lines = capsys.readouterr().out.splitlines()
    cells = {line.split("  ")[0]: line for line in lines}
    first, second = cells["self_training"].split("phone LM")[1].split("]")[:2]
    assert first.split() == second.split()
    assert "supervised (SUPERB recipe)" in cells
    assert "behind supervised (SUPERB recipe)" in cells
    assert any(line.startswith("SUPERB PR, FBANK") for line in lines)


def test_words_are_decoded_scored_and_tuned_without_labels(exp, capsys):
    latest = exp / "toy" / "latest"
    report = json.loads((latest / "evaluate" / "results.json").read_text("utf-8"))["words"]
    assert list(report["rows"]) == ["self_training", "supervised", "self_training, dev"]
    assert report["rows"]["self_training"]["num_utterances"] == 4
    assert len(report["tuning"]) == 4
    tuned = json.loads((latest / "words" / "tuning.json").read_text("utf-8"))
    assert [pair["criterion"] for pair in tuned] == [t["criterion"] for t in report["tuning"]]
    options = json.loads((latest / "words" / "words" / "decoder.json").read_text("utf-8"))
    assert (options["lm_weight"], options["word_score"]) == (
        tuned[0]["lm_weight"],
        tuned[0]["word_score"],
    )
    found = read_word_hypotheses(latest / "words" / "words" / "test.tsv")
    lexicon = (latest / "text" / "lexicon.tsv").read_text("utf-8")
    known = {line.split("\t")[0] for line in lexicon.splitlines()}
    assert {word for h in found for word in h.words} <= known
    phones = {h.utterance_id: h for h in read_hypotheses(latest / "words" / "hypotheses/test.tsv")}
    assert phones.keys() == {h.utterance_id for h in found}
    assert all(set(h.starts_s) <= set(phones[h.utterance_id].starts_s) for h in found)
    stage = json.loads((latest / "words" / "stage.json").read_text("utf-8"))
    assert stage["reads_references"] is False
    assert main(["report", "toy", "--exp", str(exp)]) == 0
    assert "chosen without labels, WER" in capsys.readouterr().out


@pytest.mark.parametrize("form", ["tsv", "txt", "json", "textgrid"])
def test_the_model_writes_the_words_of_a_recording(exp, form, capsys):
    latest = exp / "toy" / "latest"
    hypotheses = read_word_hypotheses(latest / "words" / "words" / "test.tsv")
    heard = max(hypotheses, key=lambda h: len(h.words))
    audio = latest / "corpus" / "audio" / "test" / f"{heard.utterance_id}.flac"
    command = ["transcribe", str(latest / "words"), str(audio), "--words", "--format", form]
    assert main(command) == 0
    out = capsys.readouterr().out
    if form == "txt":
        name, words = out.strip("\n").split("\t")
        assert name == heard.utterance_id
        assert len(words.split()) > 0
    elif form == "tsv":
        assert out.startswith("utterance_id\tword\tstart_s")
    elif form == "json":
        assert {"words", "phones"} < set(json.loads(out))
    else:
        assert out.index('name = "words"') < out.index('name = "phones"')
    assert main(["transcribe", str(latest / "model"), str(audio), "--words"]) == 1
    assert "latest/words" in capsys.readouterr().err


def test_a_recipe_can_do_without_words(exp, tmp_path, capsys):
    copied = tmp_path / "exp"
    shutil.copytree(exp, copied, symlinks=True)
    assert main(["run", "toy", "--exp", str(copied), *SMALL, "words=none"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert [line.split()[1] for line in lines if "done before" not in line] == ["evaluate:"]
    assert main(["report", "toy", "--exp", str(copied), "--json"]) == 0
    report = json.loads(capsys.readouterr().out)
    assert report["unsupervised_wer"] is None
    assert "self_training+words" not in report["per"]


def test_the_page_of_the_python_interface_runs(exp, tmp_path, monkeypatch, capsys):
    page = Path("docs/python-api.md").read_text("utf-8")
    audio = sorted((exp / "toy" / "latest" / "corpus" / "audio" / "test").glob("*.flac"))[0]
    samples, rate = soundfile.read(audio)
    soundfile.write(tmp_path / "new.wav", samples, rate)
    (tmp_path / "exp").symlink_to(exp)
    monkeypatch.chdir(tmp_path)
    code = "\n".join(re.findall(r"```python\n(.*?)```", page, re.DOTALL))
    exec(compile(code, "docs/python-api.md", "exec"), {})
    lines = capsys.readouterr().out.splitlines()
    assert "25.0 %, 95 % interval 25.0 to 25.0" in lines
    assert "0 0 1 of 4" in lines


def test_wav2vec_u_2_plays_on_frames(exp, tmp_path):
    """Its own segments, stride and auxiliary classes, through the stage."""
    copied = tmp_path / "exp"
    shutil.copytree(exp, copied, symlinks=True)
    game = ["gan=w2vu2", "segmentation=frames", "gan.trainer.num_auxiliary_classes=16"]
    smaller = ["gan.auxiliary_clusterer.num_clusters=16", "gan.trainer.batch_size=8"]
    command = ["run", "toy", "--exp", str(copied), "--until", "gan"]
    assert main([*command, *SMALL, *game, *smaller]) == 0
    report = json.loads((copied / "toy" / "latest" / "gan" / "gan.json").read_text("utf-8"))
    assert len(report["members"]) == 2
    assert all(member["history"][-1]["auxiliary"] > 0 for member in report["members"])
    wrote = RaggedArray.open(copied / "toy" / "latest" / "gan" / "wrote" / "1")
    assert len(wrote) == 40


def test_game_and_hmm_in_turns(exp, tmp_path, capsys):
    """Chen et al. 2019: the second game is played on the first HMM's boundaries."""
    copied = tmp_path / "exp"
    shutil.copytree(exp, copied, symlinks=True)
    smaller = [option for option in SMALL if not option.startswith("realign.")]
    loop = ["realign=hmm", "realign.num_iterations=2", "realign.num_rounds=1"]
    sizes = ["realign.training.num_components=2", "realign.training.steps=1"]
    assert main(["run", "toy", "--exp", str(copied), *smaller, *loop, *sizes]) == 0
    capsys.readouterr()
    assert main(["report", "toy", "--exp", str(copied), "--json"]) == 0
    report = json.loads(capsys.readouterr().out)
    assert {"hmm_1", "matching_2", "gan_2", "hmm_2"} <= set(report["per"])
    assert report["decoding"]["hmm_2"] == "words"
    assert list(report["maps"]) == ["matching", "matching_2"]
    ceilings = [scores["segments"] for scores in report["maps"].values()]
    assert ceilings[0] != ceilings[1]  # the second matching names the first HMM's segments
    latest = copied / "toy" / "latest"
    first, second = json.loads((latest / "evaluate" / "results.json").read_text("utf-8"))[
        "iterations"
    ]
    assert second["f1_before"] == first["f1_after"] != first["f1_before"]
    assert first["gan_per"] == pytest.approx(report["per"]["gan"], abs=0.05)
    assert second["hmm_per"] == pytest.approx(report["per"]["hmm_2"], abs=0.05)
    for split in ("train", "dev", "test"):
        frames = RaggedArray.open(latest / "features" / "acoustic" / split)
        edges = RaggedArray.open(latest / "hmm_1" / "boundaries" / split)
        assert set(edges) == set(frames)
        assert all(edges[i][0] == 0 and edges[i][-1] == len(frames[i]) for i in edges)
        assert all((np.diff(edges[i]) > 0).all() for i in edges)
    labels = RaggedArray.open(latest / "hmm_1" / "labels" / "train")
    units = RaggedArray.open(latest / "units_2" / "clusters" / "train")
    edges = RaggedArray.open(latest / "hmm_1" / "boundaries" / "train")
    assert all(np.diff(edges[i]).sum() == len(labels[i]) for i in labels)
    assert all(len(units[i]) == len(edges[i]) - 1 for i in units)
    assert main(["report", "toy", "--exp", str(copied)]) == 0
    assert "Game, HMM, new boundaries" in capsys.readouterr().out
    assert "Game, HMM, new boundaries" in (copied / "toy" / "report.html").read_text("utf-8")
    command = ["run", "toy", "--exp", str(copied), *smaller, *loop[:2], "realign.num_rounds=0"]
    assert main(command) == 2
    assert "at least one round" in capsys.readouterr().err


def test_ngrams_of_the_text_teach_frames_instead_of_a_discriminator(exp, tmp_path):
    copied = tmp_path / "exp"
    shutil.copytree(exp, copied, symlinks=True)
    smaller = ["gan.trainer.num_ngrams=200", "gan.trainer.generator_hidden=16"]
    command = ["run", "toy", "--exp", str(copied), "--until", "gan", *SMALL]
    assert main([*command, "gan=yeh2019", *smaller, "gan.population.num_seeds=1"]) == 0
    gan = copied / "toy" / "latest" / "gan"
    report = json.loads((gan / "gan.json").read_text("utf-8"))
    rows = report["members"][0]["history"]
    assert rows[-1]["generator_loss"] < rows[1]["generator_loss"]
    assert "discriminator_loss" not in rows[-1]
    assert len(read_hypotheses(gan / "hypotheses" / "test.tsv")) == 4


@pytest.mark.parametrize("form", ["tsv", "json", "textgrid"])
def test_the_model_transcribes_a_recording(exp, form, capsys):
    audio = next((exp / "toy" / "latest" / "corpus" / "audio" / "test").glob("*.flac"))
    model = exp / "toy" / "latest" / "model"
    assert main(["transcribe", str(model), str(audio), "--format", form]) == 0
    assert len(capsys.readouterr().out) > 50


def test_hypotheses_do_not_depend_on_references(exp, tmp_path, monkeypatch):
    """With every reference replaced by one phone, all that comes before `evaluate` is the same."""
    build = SyntheticCorpus.build

    def with_garbage(self, out):
        build(self, out)
        for path in (out / "references").glob("*.tsv"):
            header, *rows = path.read_text("utf-8").splitlines()
            path.write_text("\n".join([header, *(f"{r.split()[0]}\ta\t\t" for r in rows)]) + "\n")

    monkeypatch.setattr(SyntheticCorpus, "build", with_garbage)
    assert main(["run", "toy", "--exp", str(tmp_path), "--until", "model", *SMALL]) == 0
    for stage in ("matching", "gan", "realign_2", "self_training_2"):
        path = f"toy/latest/{stage}/hypotheses/test.tsv"
        assert (tmp_path / path).read_text("utf-8") == (exp / path).read_text("utf-8")


def test_a_changed_option_runs_again_only_what_depends_on_it(exp, tmp_path, capsys):
    copied = tmp_path / "exp"
    shutil.copytree(exp, copied, symlinks=True)
    changed = [*SMALL, "self_training.decoder.lm_weight=0.2"]
    capsys.readouterr()
    main(["status", "toy", "--exp", str(copied), *changed])
    rows = capsys.readouterr().out.splitlines()
    state = {row.split()[0]: row for row in rows if row.strip()}
    again = {stage for stage, row in state.items() if row.split()[1] != "done"}
    decoders = {"self_training_1", "self_training_2", "model", "supervised"}
    assert again == decoders | {"words", "supervised_words", "diagnosis", "evaluate"}
    assert {state[stage].split()[1] for stage in again} == {"stale"}
    assert "self_training.decoder.lm_weight 0.5 -> 0.2" in state["self_training_1"]


def test_text_in_the_wrong_script_ends_with_a_clear_message(tmp_path, capsys):
    text = tmp_path / "text.txt"
    text.write_text("Это предложение написано кириллицей\n" * 3, "utf-8")
    audio = tmp_path / "audio"
    audio.mkdir()
    for i in range(6):
        (audio / f"s{i}").mkdir()
        soundfile.write(audio / f"s{i}" / f"u{i}.flac", np.full(8000, 0.1), 16000)
    command = ["run", "folder", "--exp", str(tmp_path / "exp"), "--until", "text"]
    assert main([*command, f"corpus.audio={audio}", f"corpus.text={text}"]) == 1
    assert "cyrillic" in capsys.readouterr().err.lower()


def test_an_unknown_upstream_is_wrong_usage(tmp_path, capsys):
    wrong = "features.upstream._target_=unsup_asr.upstreams.kaldi_features.Nope"
    assert main(["run", "toy", "--exp", str(tmp_path), wrong]) == 2
    assert "Nope" in capsys.readouterr().err


def test_a_run_can_start_from_the_text_spoken(exp, tmp_path, capsys):
    """The other road, with words in its decoder: no segments, no matching; it still reports."""
    skipped = ("gan", "matching", "realign", "self_training.first_round")
    shorter = [option for option in SMALL if not option.startswith(skipped)]
    road = [
        "start=spoken_text",
        "start.spoken_text.num_voices=2",
        "start.spoken_text.sentences_a_voice=8",
        "start.training.epochs=1",
        "start.num_kept=8",
        "self_training=words",
        "self_training.num_rounds=1",
    ]
    assert main(["run", "toy", "--exp", str(tmp_path), *shorter, *road]) == 0
    capsys.readouterr()
    assert main(["report", "toy", "--exp", str(tmp_path), "--json"]) == 0
    report = json.loads(capsys.readouterr().out)
    assert list(report["per"]) == [
        "spoken_model",
        "self_training_1",
        "self_training",
        "self_training+words",
        "supervised",
    ]
    assert report["boundary_f1"] is None
    assert "matching" not in {path.name for path in (tmp_path / "toy" / "latest").iterdir()}
    audio = next((tmp_path / "toy" / "latest" / "corpus" / "audio" / "test").glob("*.flac"))
    assert main(["transcribe", str(tmp_path / "toy" / "latest" / "model"), str(audio)]) == 0


def test_a_run_can_join_both_roads(exp, tmp_path, capsys):
    """A model of the spoken text, matching from what it hears, and all that follows matching."""
    road = [
        *("start=joined", "matching=spoken_channel", "self_training=ctc"),
        *("start.spoken_text.num_voices=2", "start.spoken_text.sentences_a_voice=8"),
        *("start.training.epochs=1", "start.num_kept=8", "start.matcher.iterations=20"),
        *("matching.spoken_text.num_voices=2", "matching.spoken_text.sentences_a_voice=8"),
        "self_training.balance={_target_: unsup_asr.recognise.length_balance.LengthBalance, "
        "option: insertion_score, num_utterances: 5}",
        "self_training.num_rounds=1",
    ]
    shorter = [option for option in SMALL if not option.startswith("matching")]
    assert main(["run", "toy", "--exp", str(tmp_path), *shorter, *road]) == 0
    capsys.readouterr()
    assert main(["report", "toy", "--exp", str(tmp_path), "--json"]) == 0
    systems = list(json.loads(capsys.readouterr().out)["per"])
    latest = tmp_path / "toy" / "latest"
    assert systems[:3] == ["spoken_model", "matching", "matching+lm"]
    assert {"gan", "realign_2", "self_training_1"} <= set(systems)
    made = {
        stage: json.loads((latest / stage / "stage.json").read_text("utf-8"))["inputs"]
        for stage in ("matching", "self_training_1")
    }
    assert {"spoken_model", "spoken_segments"} <= set(made["matching"])
    assert "spoken_text" in made["self_training_1"]
    balanced = json.loads((latest / "self_training_1" / "decoder.json").read_text("utf-8"))
    model = json.loads((latest / "model" / "model.json").read_text("utf-8"))
    assert model["decoder"]["insertion_score"] == balanced["insertion_score"]


class BrokenUpstream(KaldiMFCC):
    """Gives NaN in one frame."""

    def encode(self, waves_BN, lengths_B):
        output = super().encode(waves_BN, lengths_B)
        output.layers_BTD[0][0, 2] = float("nan")
        return output


def test_features_that_are_not_finite_end_the_run_with_the_utterance_named(
    exp, tmp_path, monkeypatch, capsys
):
    shutil.copytree(exp, tmp_path / "exp", symlinks=True)
    monkeypatch.setattr(unsup_asr.upstreams.kaldi_features, "KaldiMFCC", BrokenUpstream)
    command = ["run", "toy", "--exp", str(tmp_path / "exp"), "--until", "features"]
    assert main([*command, *SMALL, "features.upstream.num_ceps=12"]) == 1
    message = capsys.readouterr().err
    assert "1 of" in message
    assert "frames of BrokenUpstream are NaN" in message
    assert "utterance train-" in message
