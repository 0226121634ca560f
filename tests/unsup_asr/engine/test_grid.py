"""Values of an option that commas part, and points in a file."""

from __future__ import annotations

from pathlib import Path

import pytest

from unsup_asr.engine.grid import grid, read_points
from unsup_asr.engine.overrides import read_override
from unsup_asr.engine.recipe_files import RecipeError


def test_every_combination_of_values_is_a_point() -> None:
    assert grid(["seed=0,1", "gan=w2vu", "a.b=x,y"]) == [
        ("seed=0", "gan=w2vu", "a.b=x"),
        ("seed=0", "gan=w2vu", "a.b=y"),
        ("seed=1", "gan=w2vu", "a.b=x"),
        ("seed=1", "gan=w2vu", "a.b=y"),
    ]


@pytest.mark.parametrize("value", ["[1,2]", "{a: 1, b: 2}", "'x,y'", '"x,y"', "f(1,2)"])
def test_commas_inside_a_value_part_nothing(value: str) -> None:
    assert grid([f"a={value}"]) == [(f"a={value}",)]
    assert grid([f"a={value},3"]) == [(f"a={value}",), ("a=3",)]


def test_an_option_taken_away_is_no_value() -> None:
    assert grid(["~a.b", "c=1,2"]) == [("~a.b", "c=1"), ("~a.b", "c=2")]


def test_an_empty_value_is_a_slip() -> None:
    with pytest.raises(RecipeError, match="'seed=1,,2' has an empty value"):
        grid(["seed=1,,2"])


def test_points_of_a_file_are_options_as_the_command_line_has_them(tmp_path: Path) -> None:
    path = tmp_path / "points.yaml"
    path.write_text("- {gan.trainer.seed: 1, x: [1, 2], path: a/b}\n- {words: null, y: 1.5}\n")
    first, second = read_points(path)
    assert first == ("gan.trainer.seed=1", "x=[1, 2]", "path=a/b")
    assert [read_override(option).value for option in second] == [None, 1.5]


@pytest.mark.parametrize("text", ["a: 1", "- 1", "[", "- [a]"])
def test_another_file_is_refused_by_its_name(text: str, tmp_path: Path) -> None:
    path = tmp_path / "points.yaml"
    path.write_text(text)
    with pytest.raises(RecipeError, match=r"points\.yaml: .*(?s:.)*expected a list of tables"):
        read_points(path)
    with pytest.raises(RecipeError, match=r"nowhere\.yaml: cannot be read"):
        read_points(tmp_path / "nowhere.yaml")
