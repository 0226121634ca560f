"""Recipes on disk: names that may be folders, and YAML that cannot take all time or memory."""

from __future__ import annotations

from pathlib import Path

import pytest

from unsup_asr.engine.recipe import load_recipe
from unsup_asr.engine.recipe_files import RecipeError, check_recipe_name, list_recipes

NAMES = ["null", "Null", "~", "true", "False", "1", "007", "1e5", "1_000", "0x1f"]
PATHS = ["", ".", "..", "../a", "a/b", "/a", "a\\b", "-a", "_a", ".a", "a.b", "a b", "a\n", "é"]

LAUGHS = "a0: &a0 [x, x, x, x, x, x, x, x, x, x]\n" + "".join(
    f"a{n + 1}: &a{n + 1} [{', '.join([f'*a{n}'] * 10)}]\n" for n in range(9)
)
MERGES = "a0: &a0 {x: 1, y: 2}\n" + "".join(
    f"a{n + 1}: &a{n + 1} {{<<: [*a{n}, *a{n}, *a{n}, *a{n}]}}\n" for n in range(20)
)


@pytest.mark.parametrize("name", ["a", "A-1", "en_us", "2nd", "null_", "x" * 100])
def test_a_plain_word_is_a_name(name: str) -> None:
    check_recipe_name(name, "recipe")


@pytest.mark.parametrize("name", [*NAMES, *PATHS, "x" * 101, None, 5, True, ["a"]])
def test_what_yaml_reads_otherwise_or_leads_elsewhere_is_no_name(name: object) -> None:
    with pytest.raises(RecipeError, match=r"recipe is .*; expected up to 100 letters, digits"):
        check_recipe_name(name, "recipe")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (LAUGHS, "values when its aliases"),
        (MERGES, "values when its aliases"),
        ("a: &a [*a]\n", "endlessly nested"),
        ("a: &a {b: *a}\n", "endlessly nested"),
        ("a: " + "[" * 20_000 + "]" * 20_000, "endlessly nested"),
        ("# " + "x" * 1_000_000, "bytes; expected a recipe of at most"),
        ("a: [\n", "while parsing"),
        ("a: \x00", "special characters are not allowed"),
    ],
)
@pytest.mark.parametrize("name", ["config.yaml", "other.yaml", "corpus/own.yaml"])
def test_a_file_that_would_take_all_memory_is_refused_at_once(
    text: str, message: str, name: str, tmp_path: Path
) -> None:
    (tmp_path / "corpus").mkdir()
    (tmp_path / "config.yaml").write_text("defaults: [base, _self_]\nrecipe: a\n")
    (tmp_path / name).write_text(text)
    with pytest.raises(RecipeError, match=message) as caught:
        load_recipe(str(tmp_path))
    assert str(tmp_path / name) in str(caught.value)


def test_a_few_aliases_are_welcome(tmp_path: Path) -> None:
    text = "defaults: [base, _self_]\nrecipe: a\nseed: &s 3\ncorpus: {seed: *s}\n"
    (tmp_path / "config.yaml").write_text(text)
    assert load_recipe(str(tmp_path)).corpus.seed == 3


def test_a_recipe_that_is_being_written_is_not_listed(tmp_path: Path) -> None:
    for name in ("a", ".b.7"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "config.yaml").write_text("")
    assert list_recipes(tmp_path) == ["a"]
