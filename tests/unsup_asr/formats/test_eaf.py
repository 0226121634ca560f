"""Files of ELAN, read back by pympi."""

from __future__ import annotations

from pathlib import Path
from xml.etree import ElementTree

from pympi import Elan

from unsup_asr.formats.eaf import eaf
from unsup_asr.types import Hypothesis, WordHypothesis


def test_confidences_hang_on_the_annotations_that_they_are_of(tmp_path: Path) -> None:
    phones = Hypothesis("u1", ("k", "t"), (0.1, 0.2), (0.2, 0.5), (0.914, 0.5))
    words = WordHypothesis("u1", ("cat",), (0.1,), (0.5,), (0.707,))
    path = tmp_path / "u1.eaf"
    path.write_text(eaf(phones, audio=tmp_path / "u1.wav", words=words), "utf-8")
    document = Elan.Eaf(str(path))
    assert document.get_annotation_data_for_tier("words") == [(100, 500, "cat")]
    assert document.get_annotation_data_for_tier("phones") == [(100, 200, "k"), (200, 500, "t")]
    of_phones = document.get_ref_annotation_data_for_tier("phones confidence")
    assert of_phones == [(100, 200, "0.91", "k"), (200, 500, "0.50", "t")]
    of_words = document.get_ref_annotation_data_for_tier("words confidence")
    assert of_words == [(100, 500, "0.71", "cat")]
    root = ElementTree.parse(path).getroot()
    ids = [a.attrib["ANNOTATION_ID"] for a in root.iter() if "ANNOTATION_ID" in a.attrib]
    assert len(ids) == len(set(ids)) == 6
    parents = {t.attrib["TIER_ID"]: t.attrib.get("PARENT_REF") for t in root.iter("TIER")}
    assert parents["phones confidence"] == "phones"
    assert parents["phones"] is None


def test_phones_without_confidences_have_one_tier(tmp_path: Path) -> None:
    text = eaf(Hypothesis("u1", ("k",), (0.1,), (0.2,)), audio=tmp_path / "u1.wav")
    assert text.count("<TIER ") == 1
