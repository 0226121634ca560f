"""Recipes: what is composed, and every way in which one can be wrong, named before a stage runs."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import pytest
from omegaconf import OmegaConf

from unsup_asr.engine.config import check_component, instantiate
from unsup_asr.engine.overrides import Place
from unsup_asr.engine.recipe import load_recipe
from unsup_asr.engine.recipe_files import RecipeError, list_recipes, recipe_folder

DEMO = "defaults: [base, _self_]\nrecipe: mine\n"


@pytest.fixture
def recipe(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder of a recipe named `mine`, in the current folder."""
    monkeypatch.chdir(tmp_path)
    folder = tmp_path / "recipes" / "mine"
    folder.mkdir(parents=True)
    (folder / "config.yaml").write_text(DEMO)
    return folder


def rewrite(recipe: Path, more: str) -> None:
    (recipe / "config.yaml").write_text(DEMO + more)


def test_a_recipe_is_found_by_name_folder_or_file(recipe: Path) -> None:
    for name in ("mine", str(recipe), str(recipe / "config.yaml")):
        assert recipe_folder(name).resolve() == recipe
    assert list_recipes() == ["mine"]


def test_an_unknown_recipe_is_answered_with_a_near_one(recipe: Path) -> None:
    with pytest.raises(RecipeError, match=r"no recipe named 'mina'. Did you mean 'mine'"):
        load_recipe("mina")


def test_outside_the_repository_the_message_names_shipped_recipes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(RecipeError, match="Recipes: common_voice, demo"):
        load_recipe("demmo")


def test_recipe_wins_over_its_groups_and_the_command_over_the_recipe(recipe: Path) -> None:
    rewrite(recipe, "realign: {num_rounds: 3}\nlanguage: de\n")
    config = load_recipe("mine", ["realign.num_rounds=5", "seed=7"])
    assert config.realign.num_rounds == 5
    assert config.corpus.seed == 7
    assert config.corpus.language == "de"
    assert "hydra" not in config


def test_a_group_is_chosen_in_the_recipe_or_in_the_command(recipe: Path) -> None:
    by_command = load_recipe("mine", ["corpus=folder", "corpus.audio=a", "corpus.text=b"])
    (recipe / "config.yaml").write_text(
        "defaults: [base, _self_, override corpus: folder]\nrecipe: mine\n"
        "corpus: {audio: a, text: b}\n"
    )
    assert load_recipe("mine") == by_command
    assert by_command.corpus._target_.endswith("FolderCorpus")


def test_an_option_that_no_file_spells_out_can_be_set(recipe: Path) -> None:
    config = load_recipe("mine", ["segmentation.clusterer.max_points_per_centroid=99"])
    assert instantiate(config.segmentation.clusterer).max_points_per_centroid == 99


def test_an_option_of_an_earlier_version_is_refused_with_what_took_its_place(recipe: Path) -> None:
    del recipe
    changed = ["features=wav2vecu", "features.runtime.device=cpu"]
    with pytest.raises(RecipeError, match=r"device is unknown. It is runtime.device now"):
        load_recipe("mine", changed)


def test_an_upstream_is_named_by_its_short_name() -> None:
    node = OmegaConf.create({"_target_": "kaldi_fbank", "num_mel_bins": 30})
    check_component(node, Place("r", "features.upstream"))
    assert instantiate(node).dim == 30


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("sead: 1\n", r"unknown key 'sead'. Did you mean 'seed'\?"),
        ("seed: many\n", "seed is 'many'; expected a whole number"),
        ("seed: -1\n", "seed is -1; expected 0 or more and at most 4294967295"),
        ("realign: {num_round: 2}\n", r"realign.num_round is unknown. Did you mean 'num_rounds'\?"),
        ("realign: {num_rounds: 2.5}\n", "realign.num_rounds is 2.5; expected a whole number"),
        ("runtime: {num_thread: 2}\n", r"runtime.num_thread is unknown. Did you mean"),
        (
            "segmentation: {clusterer: {num_cluster: 9}}\n",
            r"segmentation.clusterer.num_cluster is not an option of segmentation.kmeans.KMeans. "
            r"Did you mean 'num_clusters'\?",
        ),
        (
            "segmentation: {clusterer: {num_clusters: few}}\n",
            "segmentation.clusterer.num_clusters is 'few'; expected a whole number",
        ),
        (
            "segmentation: {clusterer: {_target_: segmentation.kmeans.KMeen}}\n",
            r"clusterer._target_ is 'segmentation.kmeans.KMeen', which cannot be imported",
        ),
        (
            "segmentation: {clusterer: {_target_: KMeans}}\n",
            "'KMeans', which cannot be .*; expected package.module.Name.*fairseq_checkpoint",
        ),
        (
            "features: {upstream: {_target_: wavlm_base, chekpoint: x}}\n",
            r"features.upstream.chekpoint is not an option of wavlm_base. "
            r"Did you mean 'checkpoint'\?",
        ),
        (
            "features: {upstream: {_target_: wavlm_base, dtype: {a: 1}}}\n",
            "features.upstream.dtype is .*; expected text",
        ),
        ("language: ${nothing}\n", "nothing"),
        ("language: [\n", "config.yaml"),
    ],
)
def test_what_is_wrong_in_a_recipe_is_named_with_its_key(
    recipe: Path, text: str, message: str
) -> None:
    rewrite(recipe, text)
    with pytest.raises(RecipeError, match=message) as caught:
        load_recipe("mine")
    assert "mine/config.yaml" in str(caught.value)


@pytest.mark.parametrize(
    ("override", "message"),
    [
        ("sead=1", r"unknown key 'sead'. Did you mean 'seed'\?"),
        ("realign.num_round=1", r"Did you mean 'num_rounds'\?"),
        (
            "corpus=synthetc",
            r"corpus is 'synthetc', .* mean 'synthetic'\? Choices: audiofolder, .*timit$",
        ),
        ("corpus=folder", r"corpus.audio, corpus.text not given; .* add corpus.audio=\.\.\."),
        ("~gan", "gan taken away"),
        ("seed", "'seed'; expected key=value, such as seed=1"),
    ],
)
def test_what_is_wrong_in_an_override_is_named(recipe: Path, override: str, message: str) -> None:
    with pytest.raises(RecipeError, match=message):
        load_recipe("mine", [override])


@dataclass(kw_only=True)
class Tuned:
    width: int = 1
    rates: tuple[float, ...] = (1.0,)
    inner: object = None


def plug_in(width: int, *, height: int = 3) -> tuple[int, int]:
    return width, height


def test_a_value_of_the_wrong_shape_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("unsup_asr.engine.config._locate", lambda *_: Tuned)
    node = OmegaConf.create({"_target_": "x.Tuned", "rates": [0.5, 2]})
    check_component(node, Place("r/config.yaml", "a.b"))
    node.rates = "fast"
    with pytest.raises(RecipeError, match=r"a\.b\.rates is 'fast'; expected a list"):
        check_component(node, Place("r/config.yaml", "a.b"))


def test_a_plug_in_that_is_no_dataclass_is_checked_by_its_signature(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("unsup_asr.engine.config._locate", lambda *_: plug_in)
    with pytest.raises(RecipeError, match=r"a\.heigth is not an option .*'height'"):
        check_component(
            OmegaConf.create({"_target_": "x", "width": 1, "heigth": 1}), Place("r", "a")
        )
    assert instantiate(OmegaConf.create({"_target_": "x", "width": 1})) == (1, 3)


def test_nested_components_are_made_first(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(
        "unsup_asr.engine.config._locate", lambda target, _: Tuned if target == "x" else plug_in
    )
    node = {"_target_": "x", "width": 1, "inner": {"_target_": "y", "width": 5}}
    assert instantiate(OmegaConf.create(node)).inner == (5, 3)
