"""The command line's `key=value`: ordinary text is itself, and who said what is wrong is named."""

from __future__ import annotations

from pathlib import Path

import pytest

from unsup_asr.engine.overrides import Place, read_override, value_of
from unsup_asr.engine.recipe import load_recipe
from unsup_asr.engine.recipe_files import RecipeError

ROOT = Path(__file__).resolve().parents[3]
FOLDER = str(ROOT / "recipes" / "folder")
TOY = str(ROOT / "recipes" / "toy")

BOMB = "[&a0 [x], " + ", ".join(f"&a{n + 1} [*a{n}, *a{n}]" for n in range(30)) + "]"
AWKWARD = [
    *("José", "e\u0301te", "日本語", "ɔɪ", "😀", "наборы данных", "\u200bhidden"),
    *("a (1)", "a(1).wav", "(1)", "f(x)", "sort(1,2)", "range(1,3)", "choice(a,b)", "glob(*)"),
    *("a,b", "a, b", ",", "a;b", "a:b", "a: b", ": a", "a::b", "https://x.y/z?a=b&c=d#e"),
    *("a#b", "#a", "a #b", "it's", "'", "'a", "a'", '"', 'a"b', "'a'b'", "~", "~x", "~/x", "~root"),
    *("a b", " a", "a ", "a\tb", "a\nb", "a=b", "=", "=a", "a==b", "C:\\x", "\\", "a\\", "a\\,b"),
    *("$x", "$(x)", "%", "50%", "@x", "!x", "&x", "*x", "?x", "|x", ">x", "<x", "-", "-x", "--x"),
    *("+x", "++x", "[a", "a]", "[a] b", "{a", "a}", "{a} b", "a{b}", "[2020]", "{a: 1}", "[a, *b]"),
    *("true", "False", "1e5", "007", "1_000", "0x1f", "12:30", "nan", "-.inf", "2020-01-01", "no"),
    *("..", "/a//b/", ".", "*.wav", "jos\udce9", "x" * 300),
]


@pytest.mark.parametrize("start", range(0, len(AWKWARD), 4))
def test_a_path_is_the_text_itself(start: int) -> None:
    names = ("audio", "text", "speakers", "references")
    texts = dict(zip(names, AWKWARD[start:] + AWKWARD, strict=False))
    config = load_recipe(FOLDER, [f"corpus.{name}={text}" for name, text in texts.items()])
    assert {name: config.corpus[name] for name in names} == texts


@pytest.mark.parametrize(
    ("text", "value"),
    [
        *(("3", 3), ("-3", -3), ("+3", 3), ("1_000", 1000), ("0", 0), (" 3 ", 3)),
        *(("0.5", 0.5), (".5", 0.5), ("1.", 1.0), ("1e-4", 1e-4), ("-2.5E3", -2500.0)),
        *(("true", True), ("False", False), ("null", None), ("NULL", None)),
        *(("'3'", "3"), ('"a b"', "a b"), ("''", ""), ("'it''s'", "it's")),
        *(("[]", []), ("[1, 2.5, a, null]", [1, 2.5, "a", None]), ("[José,b c]", ["José", "b c"])),
        *(("[[1],{a: 2}]", [[1], {"a": 2}]), ("['1', true]", ["1", True])),
        *(("{}", {}), ("{a: 1, b: [c]}", {"a": 1, "b": ["c"]}), ("{a:1,b:c}", {"a": 1, "b": "c"})),
        *(("{ɔɪ:ɔ}", {"ɔɪ": "ɔ"}), ("{'ɔ ɪ': n, 1: no}", {"ɔ ɪ": "n", "1": "no"})),
        (
            "{_target_:a.b.C,model:'x y',n:{k:v}}",
            {"_target_": "a.b.C", "model": "x y", "n": {"k": "v"}},
        ),
        *(("[a", "[a"), ("{a}", "{a}"), ("{a: }", "{a: }"), ("[a] b", "[a] b")),
        *(("[&a [x], *a]", [["x"], ["x"]]), (BOMB, BOMB), ("[" * 5000, "[" * 5000)),
    ],
)
def test_numbers_lists_and_tables_are_read(text: str, value: object) -> None:
    assert value_of(text) == value
    assert type(value_of(text)) is type(value)


def test_nan_and_infinity_are_numbers() -> None:
    assert repr([value_of(t) for t in ("nan", ".nan", "inf", "-.inf")]) == "[nan, nan, inf, -inf]"


def test_a_fold_of_ipa_is_given_whole_or_phone_by_phone() -> None:
    fold = "text.front_end.fold"
    for given in ([f"{fold}={{ɔɪ: ɔ, n̩: n}}"], [f"{fold}.ɔɪ=ɔ", f"{fold}.n̩=n"]):
        assert load_recipe(TOY, given).text.front_end.fold == {"ɔɪ": "ɔ", "n̩": "n"}


def test_what_was_set_last_holds_and_prefixes_of_hydra_change_nothing() -> None:
    given = ["seed=1", "+seed=2", "++seed=3", "realign={num_rounds: 4}", "realign.num_rounds=5"]
    config = load_recipe(TOY, given)
    assert (config.seed, config.corpus.seed, config.realign.num_rounds) == (3, 3, 5)
    config = load_recipe(TOY, ["segmentation=wav2vecu", "segmentation=peaks"])
    assert config.segmentation.segmenter._target_.endswith("MultiScalePeaks")


def test_an_option_taken_away_has_its_default() -> None:
    config = load_recipe(TOY, ["~corpus.vocabulary_size"])
    assert "vocabulary_size" not in config.corpus


@pytest.mark.parametrize(
    "override",
    [
        *("seed=x", "seed=1,2", "seed=[1", "seed.x=1", "seed=null", "sead=1", "~seed", "~gan"),
        *(
            "corpus.audio=1",
            "corpus=nothing",
            "corpus=null",
            "gan=5",
            "language=null",
            "recipe=a/b",
        ),
        *("realign.num_rounds=José", "realign.num_round=1", "self_training.training.epochs=0"),
        *("segmentation.clusterer._target_=os.system", "runtime=5", "runtime.num_threads=(1)"),
        *(
            "corpus.seed=${nothing}",
            "corpus.seed=${corpus.seed}",
            "corpus.seed=${",
            "corpus.seed.x=1",
            "~corpus.nothing",
        ),
        *(
            "seed",
            "language=null",
            "=1",
            "a b=1",
            "~",
            "corpus..seed=1",
            "[a]=1",
            "hydra.run.dir=x",
            "+corpus",
        ),
        *("corpus.train_variants.7=m1", "corpus.train_variants=m1", "matching.duplicate_text=1"),
    ],
)
def test_errors_of_the_command_line_blame_it_and_no_file(override: str) -> None:
    with pytest.raises(RecipeError) as caught:
        load_recipe(TOY, [override])
    assert str(caught.value).startswith("the command line: ")
    assert "config.yaml" not in str(caught.value)
    assert "++" not in str(caught.value)


def test_errors_of_a_recipe_name_its_file_whatever_else_is_given(tmp_path: Path) -> None:
    recipe = tmp_path / "config.yaml"
    recipe.write_text("defaults: [base, _self_]\nrecipe: a\nrealign: {num_rounds: -1}\n")
    with pytest.raises(RecipeError, match=r"config.yaml: realign.num_rounds is -1; expected 0 or"):
        load_recipe(str(tmp_path), ["seed=1", "realign.prior_scale=2"])


def test_a_place_is_the_command_lines_from_what_it_gave_to_all_inside() -> None:
    place = Place("f", given={"a.b": read_override("a.b={}")})
    places = {str(place.at(key)) for key in ("a.b", "a.b.c", "a", "a.bc", "b")}
    said = {"the command line: a.b", "the command line: a.b.c", "the command line: a"}
    assert places == said | {"f: a.bc", "f: b"}
