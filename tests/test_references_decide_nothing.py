"""References decide what is scored, and nothing else: no key and no byte of what learns."""

from __future__ import annotations

import json
import random
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
import soundfile

from tests.unsup_asr.fake_corpora import write_common_voice, write_librispeech, write_mls
from tests.unsup_asr.fake_timit import write_timit
from unsup_asr.engine.config import instantiate
from unsup_asr.engine.keys import stage_keys
from unsup_asr.engine.recipe import load_recipe
from unsup_asr.engine.stages import run_stages, stages_that_see_references
from unsup_asr.pipeline import build_graph
from unsup_asr.types import SPLITS

RECIPES = Path(__file__).resolve().parents[1] / "recipes"
UNTIL = "features"


@dataclass(frozen=True)
class Case:
    """A corpus, how what was said in it is mixed up, the options that leave it unscored, and words
    said in test that someone may correct, with what they are corrected to.
    """

    recipe: str
    options: list[str]
    shuffle: Callable[[], None]
    without: list[str]
    correction: tuple[str, str]


def folder_case(root: Path) -> Case:
    lines = []
    for speaker in range(6):
        for i in range(2):
            path = root / "audio" / f"s{speaker}" / f"u{speaker}{i}.wav"
            path.parent.mkdir(parents=True, exist_ok=True)
            rng = np.random.default_rng(10 * speaker + i)
            soundfile.write(path, 0.1 * rng.standard_normal(8000), 16000)
            lines.append((f"u{speaker}{i}", f"hello number {speaker} {i}"))
    (root / "text.txt").write_text("one sentence\nanother sentence\n" * 30, "utf-8")

    def write(said: list[tuple[str, str]]) -> None:
        rows = ["utterance_id\twords", *(f"{key}\t{words}" for key, words in said)]
        (root / "said.tsv").write_text("\n".join(rows) + "\n", "utf-8")

    write(lines)
    options = [f"corpus.audio={root}/audio", f"corpus.text={root}/text.txt", "start=matching"]
    ids, words = zip(*lines, strict=True)
    return Case(
        "folder",
        [*options, f"corpus.references={root}/said.tsv"],
        lambda: write(list(zip(ids, [*words[1:], words[0]], strict=True))),
        ["corpus.references=null"],
        ("hello number 4 1", "hello number four 1"),
    )


def librispeech_case(root: Path) -> Case:
    write_librispeech(root)

    def shuffle() -> None:
        """Rotate the sentences of all that is heard, across chapters and subsets."""
        paths = [p for p in sorted(root.rglob("*.trans.txt")) if "train-clean-360" not in p.parts]
        lines = [line.split(" ", 1) for path in paths for line in path.read_text().splitlines()]
        said = [sentence for _, sentence in lines]
        of = dict(zip((key for key, _ in lines), [*said[1:], said[0]], strict=True))
        for path in paths:
            keys = [line.split(" ", 1)[0] for line in path.read_text().splitlines()]
            path.write_text("".join(f"{key} {of[key]}\n" for key in keys))

    options = [f"corpus.root={root}", "corpus.text=null", "corpus.max_text_lines=null"]
    options += ["corpus.text_subsets=[train-clean-360]", "start=matching"]
    options.append("text.front_end.min_phone_count=1")
    without = ["corpus.references=false"]
    return Case("librispeech_100", options, shuffle, without, ("NOT SO EARNEST", "NOT SO ERNEST"))


def mls_case(root: Path) -> Case:
    write_mls(root)
    (root / "text.txt").write_text("der hund schläft\nund es ward licht\n" * 30, "utf-8")
    paths = [root / "mls_german" / split / "transcripts.txt" for split in SPLITS]

    def shuffle() -> None:
        lines = [line.split("\t") for path in paths for line in path.read_text().splitlines()]
        said = [sentence for _, sentence in lines]
        of = dict(zip((key for key, _ in lines), [*said[1:], said[0]], strict=True))
        for path in paths:
            keys = [line.split("\t")[0] for line in path.read_text().splitlines()]
            path.write_text("".join(f"{key}\t{of[key]}\n" for key in keys))

    options = [f"corpus.root={root}", f"corpus.text={root}/text.txt", "start=matching"]
    options.append("text.front_end.min_phone_count=1")
    return Case("mls", options, shuffle, ["corpus.references=false"], ("gold", "silber"))


def common_voice_case(root: Path) -> Case:
    write_common_voice(root)
    tables = [root / "de" / f"{name}.tsv" for name in (*SPLITS, "validated")]

    def shuffle() -> None:
        """Rotate the sentences of all that is heard, also in the table that the text is from."""
        heard = [line.split("\t") for t in tables[:3] for line in t.read_text().splitlines()[1:]]
        said = [cells[3] for cells in heard]
        of = dict(zip((cells[1] for cells in heard), [*said[1:], said[0]], strict=True))
        for table in tables:
            header, *lines = table.read_text().splitlines()
            rows = [line.split("\t") for line in lines]
            rows = [[*cells[:3], of.get(cells[1], cells[3]), *cells[4:]] for cells in rows]
            table.write_text("\n".join([header, *map("\t".join, rows)]) + "\n")

    options = [f"corpus.root={root}", "start=matching", "text.front_end.min_phone_count=1"]
    correction = ("Auf Wiedersehen", "Auf Wiederhören")
    return Case("common_voice", options, shuffle, ["corpus.references=false"], correction)


def timit_case(root: Path) -> Case:
    write_timit(root)

    def shuffle() -> None:
        """Swap the labels of training utterances: in the matched setup they are the text too."""
        paths = sorted(p for p in (root / "TRAIN").rglob("S[IX]*.PHN"))
        order = list(range(len(paths)))
        random.Random(0).shuffle(order)
        for suffix in (".PHN", ".WRD"):
            files = [path.with_suffix(suffix) for path in paths]
            contents = [path.read_bytes() for path in files]
            for path, place in zip(files, order, strict=True):
                path.write_bytes(contents[place])

    options = [f"corpus.root={root}", "corpus.allow_incomplete=true"]
    return Case("timit", options, shuffle, ["corpus.references=false"], (" h#", " pau"))


CASES = {
    "folder": folder_case,
    "librispeech": librispeech_case,
    "mls": mls_case,
    "common_voice": common_voice_case,
    "timit": timit_case,
}


def unsupervised_keys(case: Case, options: list[str], root: Path) -> dict[str, object]:
    config = load_recipe(str(RECIPES / case.recipe), [*case.options, *options])
    stages = build_graph(config)
    seeing = stages_that_see_references(stages)
    return {
        name: material["key"]
        for name, material in stage_keys(stages, config, root).items()
        if name not in seeing
    }


def artifacts(case: Case, options: list[str], root: Path) -> dict[str, object]:
    """What the first stages wrote: sha256 by file."""
    config = load_recipe(str(RECIPES / case.recipe), [*case.options, *options])
    folders = run_stages(build_graph(config), config, root, until=UNTIL)
    folders |= run_stages(build_graph(config), config, root, until="language_model")
    records = {name: json.loads((f / "stage.json").read_text()) for name, f in folders.items()}
    return {name: record["outputs"] for name, record in records.items()}


@pytest.mark.parametrize("name", CASES)
def test_no_key_and_no_byte_of_what_learns_depends_on_references(name: str, tmp_path: Path) -> None:
    case = CASES[name](tmp_path / "data")
    keys = unsupervised_keys(case, [], tmp_path / "keys")
    written = artifacts(case, [], tmp_path / "with")
    assert {"corpus", "text", "features", "diagnosis"} <= set(keys)
    assert unsupervised_keys(case, case.without, tmp_path / "keys") == keys
    assert artifacts(case, case.without, tmp_path / "without") == written
    case.shuffle()
    assert unsupervised_keys(case, [], tmp_path / "keys") == keys
    assert artifacts(case, [], tmp_path / "shuffled") == written


@pytest.mark.parametrize("name", CASES)
def test_shuffled_references_change_the_stage_of_references(name: str, tmp_path: Path) -> None:
    """Else the test above would prove nothing."""
    case = CASES[name](tmp_path / "data")
    config = load_recipe(str(RECIPES / case.recipe), case.options)
    before = stage_keys(build_graph(config), config, tmp_path)["references"]["key"]
    case.shuffle()
    assert stage_keys(build_graph(config), config, tmp_path)["references"]["key"] != before


@pytest.mark.parametrize("name", CASES)
def test_a_corrected_word_of_test_runs_again_what_is_made_from_references(
    name: str, tmp_path: Path
) -> None:
    """Though sentences that are said are left out of the text: those of the text alone count."""
    case = CASES[name](tmp_path / "data")
    config = load_recipe(str(RECIPES / case.recipe), case.options)
    stages = build_graph(config)

    def keys() -> dict[str, object]:
        described = stage_keys(stages, config, tmp_path / "exp")
        return {stage: material["key"] for stage, material in described.items()}

    before = keys()
    for path in set(instantiate(config.corpus).reference_files()) | {
        *(tmp_path / "data").rglob("validated.tsv")
    }:
        path.write_text(path.read_text("utf-8").replace(*case.correction), "utf-8")
    after = keys()
    assert {stage for stage in after if before[stage] != after[stage]} == (
        stages_that_see_references(stages)
    )


def test_a_line_of_the_text_that_a_correction_makes_one_that_is_said_runs_all_again(
    tmp_path: Path,
) -> None:
    case = CASES["mls"](tmp_path / "data")
    before = unsupervised_keys(case, [], tmp_path / "keys")
    said = tmp_path / "data" / "mls_german" / "test" / "transcripts.txt"
    said.write_text(
        said.read_text("utf-8").replace("morgenstund hat gold im mund", "Der Hund, schläft")
    )
    assert unsupervised_keys(case, [], tmp_path / "keys")["corpus"] != before["corpus"]
