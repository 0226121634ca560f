"""Tables of what was said and what was heard."""

from pathlib import Path

import pytest

from unsup_asr.formats.hypotheses import read_hypotheses, write_hypotheses
from unsup_asr.types import Hypothesis


@pytest.mark.parametrize("start_s", [0.0, 12.345678, 9999.99, 12345.678901, 360000.000001])
def test_times_keep_their_digits_however_long_the_audio(start_s: float, tmp_path: Path) -> None:
    said = Hypothesis("u", ("a", "b"), (start_s, start_s + 0.01), (start_s + 0.01, start_s + 0.02))
    write_hypotheses(tmp_path / "h.tsv", [said])
    (read,) = read_hypotheses(tmp_path / "h.tsv")
    assert read.starts_s == pytest.approx(said.starts_s, abs=1e-6)
    assert read.ends_s == pytest.approx(said.ends_s, abs=1e-6)


def test_small_confidences_are_written_without_exponents(tmp_path: Path) -> None:
    write_hypotheses(tmp_path / "h.tsv", [Hypothesis("u", ("a",), (0.0,), (1.0,), (0.00001,))])
    assert "0\t1\t0.00001" in (tmp_path / "h.tsv").read_text("utf-8")
