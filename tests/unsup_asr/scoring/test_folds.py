from pathlib import Path

import pytest

from lm.phonemize import EspeakPhonemizer
from unsup_asr import cli
from unsup_asr.formats.hypotheses import write_hypotheses, write_transcripts
from unsup_asr.scoring.folds import FOLDS, fold_tables, read_fold_table
from unsup_asr.types import Hypothesis, Transcript


def test_timit_goes_from_61_over_48_to_39_phones() -> None:
    to_48, to_39 = read_fold_table("timit_48"), read_fold_table("timit_39")
    then = read_fold_table("timit_48_39")
    assert (len(to_48.of_phone), len(to_48.phones), len(to_39.phones)) == (61, 48, 39)
    assert set(to_48.phones) == set(then.of_phone)
    for phone in to_39.of_phone:
        assert then.fold(to_48.fold([phone])) == to_39.fold([phone])


def test_timit_folds_what_lee_and_hon_fold() -> None:
    said = ["h#", "sh", "iy", "hv", "eh", "dcl", "jh", "q", "ax-h", "zh", "nx", "h#"]
    folded = ("sil", "sh", "iy", "hh", "eh", "sil", "jh", "ah", "sh", "n", "sil")
    assert read_fold_table("timit_39").fold(said) == folded


def test_espeak_english_becomes_cmu() -> None:
    table = read_fold_table("espeak_en_cmu_39")
    assert len(table.phones) == 39
    spoken = EspeakPhonemizer(language="en-us").phonemize_sentences(["voice bird jump thing"])
    found = [" ".join(table.fold(word)) for word in spoken[0]]
    assert found == ["V OY S", "B ER D", "JH AH M P", "TH IH NG"]


def test_every_table_names_its_source() -> None:
    for name in fold_tables():
        assert (FOLDS / f"{name}.tsv").read_text("utf-8").startswith("# ")


def test_evaluate_counts_folded_phones_as_one(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    write_transcripts(tmp_path / "ref.tsv", [Transcript("u", ("ix", "zh", "q", "s"))])
    write_hypotheses(tmp_path / "hyp.tsv", [Hypothesis("u", ("ih", "sh", "s"))])
    files = ["--ref", str(tmp_path / "ref.tsv"), "--hyp", str(tmp_path / "hyp.tsv")]
    assert cli.main(["evaluate", *files]) == 0
    assert "75.0" in capsys.readouterr().out
    assert cli.main(["evaluate", *files, "--fold", "timit_39"]) == 0
    assert " 0.0 " in capsys.readouterr().out


def test_unknown_tables_and_phones_and_damaged_lines_are_errors(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="no such fold table; expected one of espeak_en_cmu_39"):
        read_fold_table("timit_40")
    with pytest.raises(ValueError, match="phone 'ʘ' is not in the fold table timit_39"):
        read_fold_table("timit_39").fold(["aa", "ʘ"])
    for content, message in (("a b\n", "line 1"), ("# x\na\tb\na\tc\n", "line 3")):
        (tmp_path / "own.tsv").write_text(content, "utf-8")
        with pytest.raises(ValueError, match=message):
            read_fold_table(str(tmp_path / "own.tsv"))
