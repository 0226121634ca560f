"""Doctor: every dependency is used, and what is broken is named with what to do."""

from __future__ import annotations

import shutil
import sys

import pytest

from unsup_asr import doctor
from unsup_asr.doctor import Check, compiler, examine, examine_one, in_own_process

LIBRARIES = ("torch", "faiss", "kenlm", "espeak-ng", "soundfile")
LIBRARIES += ("torchaudio", "transformers", "s3prl")


@pytest.mark.parametrize("name", LIBRARIES)
def test_the_library_works_here(name: str) -> None:
    assert examine_one(name).is_ok, examine_one(name)


def test_a_check_in_its_own_process_finds_the_same() -> None:
    assert in_own_process("python") == examine_one("python")


def test_every_check_is_made_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(doctor, "in_own_process", examine_one)
    monkeypatch.setattr(doctor, "checks", lambda: dict.fromkeys(LIBRARIES, Check(str, "")))
    names = [finding.name for finding in examine()]
    assert names == [*LIBRARIES, "gcc", "cmake", "make"]


@pytest.mark.parametrize(
    ("code", "found"),
    [
        ("import os; os.abort()", "its process died (signal SIGABRT)"),
        ("import ctypes; ctypes.string_at(0)", "its process died (signal SIGSEGV)"),
        ("raise SystemExit('no data')", "its process died (exit code 1): no data"),
    ],
)
def test_a_library_that_ends_its_process_is_a_line_of_the_report(code: str, found: str) -> None:
    finding = in_own_process("faiss", command=(sys.executable, "-c", code))
    assert (finding.is_ok, finding.found) == (False, found)
    assert finding.remedy == "run `make setup` again"


def test_what_a_broken_library_raises_is_the_finding(monkeypatch: pytest.MonkeyPatch) -> None:
    def broken() -> str:
        raise ImportError("libfaiss.so: cannot open shared object file")

    monkeypatch.setattr(doctor, "faiss_clusters", broken)
    finding = examine_one("faiss")
    assert not finding.is_ok
    assert finding.found == "ImportError: libfaiss.so: cannot open shared object file"
    assert finding.remedy == "run `make setup` again"


def test_a_library_that_answers_wrongly_is_bad(monkeypatch: pytest.MonkeyPatch) -> None:
    import kenlm

    class Wrong:
        def __init__(self, *_: object) -> None: ...

        def score(self, _: str) -> float:
            return 0.0

    monkeypatch.setattr(kenlm, "Model", Wrong)
    finding = examine_one("kenlm")
    assert not finding.is_ok
    assert "expected -0.75" in finding.found


def test_an_optional_package_that_is_missing_is_not_bad_and_the_pip_command_is_named(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(doctor, "find_spec", lambda _: None)
    finding = examine_one("s3prl")
    assert finding.is_ok
    assert "not installed" in finding.found
    assert "pip install 'unsup-asr[s3prl]'" in finding.found


def test_an_optional_package_that_is_broken_is_bad(monkeypatch: pytest.MonkeyPatch) -> None:
    import transformers

    monkeypatch.setattr(transformers, "HubertModel", None)
    assert not examine_one("transformers").is_ok


def test_a_missing_compiler_is_bad_only_while_something_must_be_built(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(shutil, "which", lambda _: None)
    assert compiler("gcc", is_needed=False).is_ok
    assert not compiler("gcc", is_needed=True).is_ok


def test_too_little_memory_or_disk_is_bad_with_both_numbers(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(doctor, "MIN_MEMORY_BYTES", 10**18)
    finding = examine_one("memory")
    assert not finding.is_ok
    assert "GB free; a run may need 1000000000 GB" in finding.found
