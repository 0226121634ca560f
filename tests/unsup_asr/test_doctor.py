"""Doctor: every dependency is used, and what is broken is named with what to do."""

from __future__ import annotations

import shutil

import pytest

from unsup_asr import doctor
from unsup_asr.doctor import compiler, examine, tried

LIBRARIES = {
    "torch",
    "torchaudio",
    "faiss",
    "kenlm",
    "espeak-ng",
    "soundfile",
    "transformers",
    "s3prl",
}


def test_the_libraries_work_here() -> None:
    findings = {finding.name: finding for finding in examine()}
    assert set(findings) >= LIBRARIES | {"gcc", "cmake", "make", "cores", "memory", "disk"}
    assert [findings[name] for name in LIBRARIES if not findings[name].is_ok] == []


def test_what_a_broken_library_raises_is_the_finding() -> None:
    def broken() -> str:
        raise ImportError("libfaiss.so: cannot open shared object file")

    finding = tried("faiss", broken, "run `make setup` again")
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
    finding = next(f for f in examine() if f.name == "kenlm")
    assert not finding.is_ok
    assert "expected -0.75" in finding.found


def test_an_optional_package_that_is_missing_is_not_bad_and_the_pip_command_is_named(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(doctor, "find_spec", lambda _: None)
    finding = next(f for f in examine() if f.name == "s3prl")
    assert finding.is_ok
    assert "not installed" in finding.found
    assert "pip install 'unsup-asr[s3prl]'" in finding.found


def test_an_optional_package_that_is_broken_is_bad(monkeypatch: pytest.MonkeyPatch) -> None:
    import transformers

    monkeypatch.setattr(transformers, "HubertModel", None)
    finding = next(f for f in examine() if f.name == "transformers")
    assert not finding.is_ok


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
    finding = tried("memory", doctor.enough_memory, "close other programs")
    assert not finding.is_ok
    assert "GB free; a run may need 1000000000 GB" in finding.found
