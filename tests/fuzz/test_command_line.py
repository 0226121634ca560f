"""Whatever is in a recipe or on a command line, it is taken, or refused in words."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest

from tests.fuzz.edits import EDITS
from unsup_asr import cli
from unsup_asr.engine.overrides import value_of
from unsup_asr.engine.recipe import load_recipe
from unsup_asr.engine.recipe_files import RecipeError

ROOT = Path(__file__).resolve().parents[2]
OPTIONS = (
    *("seed=1", "corpus.num_text_sentences=100", "gan.trainer.updates=[1, 2]", "language=de"),
    *("~gan.population", "gan=w2vu_cpu", "+x={a: 1}", "features.delta_weights=[1.0,0.5]"),
    *("segmentation.segmenter={_target_: os.system}", "self_training.decoder.lm_weight=0.5"),
)
COMMANDS = (
    ["transcribe", "{here}", "{here}/a.wav", "--format", "json", "--channel", "1"],
    ["lm", "estimate", "{here}/text", "--out", "{here}/out.arpa", "--order", "2"],
    ["lm", "perplexity", "{here}/out.arpa", "{here}/text", "--json"],
    ["lm", "decode", "{here}/out.arpa", "{here}", "--phones", "{here}/text", "--beam", "5"],
    ["evaluate", "--hyp", "{here}/text", "--ref", "{here}/text", "--fold", "timit_39"],
    ["report", "{here}", "--exp", "{here}", "--json"],
    ["compare", "{here}", "{here}/text", "--published", "timit"],
    ["status", "{here}/recipe", "--exp", "{here}", "seed=1"],
)


def _edited(rng: np.random.Generator, text: str, number: int) -> str:
    """As a terminal gives it to a program: bytes that are no UTF-8 as surrogates, no zero byte."""
    content = EDITS[number % len(EDITS)](rng, text.encode())
    return content.decode("utf-8", "surrogateescape").replace("\0", "")[:500]


def test_a_damaged_recipe_is_refused_by_its_name_or_loaded(tmp_path: Path, is_long: bool) -> None:
    shutil.copytree(ROOT / "recipes" / "toy", tmp_path / "toy")
    file = tmp_path / "toy" / "config.yaml"
    whole = file.read_bytes()
    rng = np.random.default_rng(0)
    for number in range(len(EDITS) * (100 if is_long else 1)):
        edit = EDITS[number % len(EDITS)]
        file.write_bytes(edit(rng, whole))
        try:
            load_recipe(str(tmp_path / "toy"))
        except RecipeError as found:
            message = str(found)
        except Exception as found:
            raise AssertionError((edit.__name__, number)) from found
        else:
            continue
        assert "config.yaml" in message, (edit.__name__, number)


def test_any_option_is_taken_or_refused(is_long: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(ROOT)
    rng = np.random.default_rng(0)
    for number in range(len(EDITS) * (100 if is_long else 1)):
        option = _edited(rng, OPTIONS[number % len(OPTIONS)], number)
        try:
            load_recipe("toy", [option])
        except RecipeError:
            continue
        except Exception as error:
            raise AssertionError(option) from error


def test_any_value_is_a_value(num_edits: int) -> None:
    rng = np.random.default_rng(0)
    for number in range(5 * num_edits):
        value_of(_edited(rng, OPTIONS[number % len(OPTIONS)].partition("=")[2], number))


def test_any_command_ends_with_a_code_and_a_line(
    tmp_path: Path, is_long: bool, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "text").write_text("a b\nb a\n", "utf-8")
    (tmp_path / "a.wav").write_bytes(b"RIFF")
    rng = np.random.default_rng(0)
    for number in range(len(COMMANDS) * (300 if is_long else 10)):
        command = [part.format(here=tmp_path) for part in COMMANDS[number % len(COMMANDS)]]
        place = rng.integers(len(command))
        command[place] = _edited(rng, command[place], number)
        try:
            code = cli.main(command)
        except SystemExit as ended:
            code = ended.code
        except Exception as error:
            raise AssertionError(command) from error
        err = capsys.readouterr().err
        assert code in (0, 1, 2), command
        assert (code == 0) or "unsup-asr" in err, command
        assert "Traceback" not in err, command


@pytest.mark.parametrize(
    "content", ["- a\n- b\n", "", "recipe: a\nrecipe: b\n", "recipe: ${no}\n", "5"]
)
@pytest.mark.parametrize("verb", ["run", "status", "validate", "report"])
def test_a_recipe_that_is_yaml_and_no_recipe_is_wrong_usage(
    verb: str, content: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "config.yaml").write_text(content, "utf-8")
    exp = [] if verb == "validate" else ["--exp", str(tmp_path / "exp")]
    assert cli.main([verb, str(tmp_path), *exp]) == 2
    assert f"unsup-asr {verb}: {tmp_path}/config.yaml: " in capsys.readouterr().err
