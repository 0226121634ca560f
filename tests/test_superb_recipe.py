"""The supervised baseline by SUPERB's recipe on all layers of an upstream, from audio to report."""

import json

import pytest
import torch

from tests.test_self_supervised_recipe import options
from tests.test_toy_recipe import SUPERB
from unsup_asr.cli import main


@pytest.fixture(scope="module")
def latest(tmp_path_factory):
    folder = tmp_path_factory.mktemp("superb_layers")
    (folder / "weights.txt").write_text("0.1", "utf-8")
    given = options(folder, *SUPERB, "features.layers=all")
    assert main(["run", "toy", "--exp", str(folder / "exp"), *given]) == 0
    torch.set_num_threads(1)
    return folder / "exp" / "toy" / "latest"


def test_all_layers_that_the_upstream_gives_are_weighed(latest):
    """Layers as `representations` keeps them: float16, whole utterances, in shards."""
    weights = json.loads((latest / "superb" / "superb.json").read_text("utf-8"))["layer_weights"]
    assert weights["layers"] == [0, 1, 2]
    assert sum(weights["weights"]) == pytest.approx(1)
    assert len(set(weights["weights"])) == 3
    assert weights["norms"][0] < weights["norms"][1] < weights["norms"][2]  # layer k adds k
    assert sum(weights["shares"]) == pytest.approx(1)


def test_every_test_utterance_is_recognised(latest):
    manifest = (latest / "corpus" / "test.jsonl").read_text("utf-8").splitlines()
    hypotheses = (latest / "superb" / "hypotheses" / "test.tsv").read_text("utf-8").splitlines()
    assert len(hypotheses) == 1 + len(manifest)


def test_the_report_shows_the_row_and_the_weights_of_the_layers(latest, capsys):
    exp = str(latest.parents[1])
    capsys.readouterr()
    assert main(["report", "toy", "--exp", exp]) == 0
    out = capsys.readouterr().out
    assert "supervised (SUPERB recipe)" in out
    assert "layer weights       " in out
    text = (latest.parent / "report.html").read_text("utf-8")
    assert ">Layer weights</h2>" in text
    assert "SUPERB recipe: PER on dev" in text
    assert main(["report", "toy", "--exp", exp, "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["layer_weights"]["layers"] == [0, 1, 2]
