"""docs/troubleshooting.md has an entry for all that the code can say, and names nothing else."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import pytest

from gan.diagnose import Diagnosis
from unsup_asr.engine.recipe import load_recipe
from unsup_asr.speech.audio import read_audio
from unsup_asr.upstreams.registry import by_name

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT / "docs" / "site"))  # whose modules are no package

import messages  # noqa: E402  # pyright: ignore[reportMissingImports]
import troubles  # noqa: E402  # pyright: ignore[reportMissingImports]

SECTIONS = {section.title: section for section in troubles.sections()}


def test_every_kind_of_diagnosis_has_an_entry() -> None:
    entries = SECTIONS["Diagnoses"].entries
    assert set(entries) == {message.kind for message in messages.findings()}
    assert len(entries) == len(set(entries))


def test_every_warning_has_an_entry() -> None:
    entries = SECTIONS["Warnings"].entries
    without = [
        f"{message.path}:{message.line}: {message.pattern}"
        for message in messages.warnings()
        if not any(entry in message.pattern for entry in entries)
    ]
    assert without == []


def test_every_error_has_a_part_that_explains_it() -> None:
    paths = {message.path for message in messages.errors()}
    assert len(paths) > 100
    for path in sorted(paths):
        troubles.section_of(path, list(SECTIONS.values()))


def test_no_entry_is_of_a_message_that_the_code_does_not_have() -> None:
    """Of those that have a part, the others being warnings."""
    warnings = [message.pattern for message in messages.warnings()]
    said = warnings + [message.pattern for message in messages.errors()]
    gone = [
        (section.title, entry)
        for section in SECTIONS.values()
        if section.title != "Diagnoses"
        for entry in section.entries
        if not any(entry in of for of in (warnings if section.title == "Warnings" else said))
    ]
    assert gone == []


def test_places_that_a_part_names_exist() -> None:
    for section in SECTIONS.values():
        assert [place for place in section.places if not (ROOT / place).exists()] == []


def test_what_has_no_part_is_an_error() -> None:
    page = "# t\n\n## Audio\n<!-- said by: unsup_asr/speech lm -->\n\n| `words` | do |\n\n## B\n"
    audio, other = troubles.sections(page)
    assert (audio.places, audio.entries) == (("unsup_asr/speech", "lm"), ("words",))
    assert (other.places, other.entries) == ((), ())
    assert troubles.section_of("lm/arpa.py", [audio, other]) is audio
    with pytest.raises(LookupError, match=r"gan/new.py can fail, and no part"):
        troubles.section_of("gan/new.py", [audio, other])


def test_the_longest_path_decides() -> None:
    page = "## A\n<!-- said by: lm -->\n## B\n<!-- said by: lm/arpa.py -->\n"
    a, b = troubles.sections(page)
    assert troubles.section_of("lm/arpa.py", [a, b]) is b
    assert troubles.section_of("lm/arpaca.py", [a, b]) is a


def said_of(found: list[messages.Message]) -> set[str]:
    return {message.path for message in found}


def matching(words: str) -> list[messages.Message]:
    return [message for message in messages.errors() if message.matches(words)]


def test_messages_that_a_user_meets_are_found_again(tmp_path: Path) -> None:
    """Of real errors, each through another way of making one: words, a function, a name."""
    (tmp_path / "a.wav").write_bytes(b"RIFF no audio")
    with pytest.raises(ValueError, match=r"a\.wav") as unreadable:
        read_audio(tmp_path / "a.wav")
    assert said_of(matching(str(unreadable.value))) == {"unsup_asr/speech/audio.py"}
    with pytest.raises(ValueError, match="recipe") as unknown:
        load_recipe("no_such_recipe_at_all")
    assert "unsup_asr/engine/recipe_files.py" in said_of(matching(str(unknown.value)))
    with pytest.raises(ValueError, match="wavlm_bas") as upstream:
        by_name("wavlm_bas")
    assert "unsup_asr/upstreams/registry.py" in said_of(matching(str(upstream.value)))


def test_a_finding_is_found_again() -> None:
    silent = [np.zeros(0, dtype=np.int32)]
    found = Diagnosis().findings(silent, [np.arange(3, dtype=np.int32)], [], num_phones=3)
    (kind,) = {message.kind for message in messages.findings() if message.matches(found[0].message)}
    assert kind == found[0].kind == "empty"
