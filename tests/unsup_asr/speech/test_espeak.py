"""espeak-ng's data where its C code can reach it."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import espeakng_loader
import pytest

from unsup_asr.speech import espeak

SPEAK = """
import espeakng_loader, sys
espeakng_loader.get_data_path = lambda: sys.argv[1]
from unsup_asr.speech.espeak import Espeak
print(len(Espeak().speak("hello", voice="en-us").phones))
"""
PHONEMIZE = """
import espeakng_loader, sys
espeakng_loader.get_data_path = lambda: sys.argv[1]
from lm.phonemize import EspeakPhonemizer
print(len(EspeakPhonemizer(language="en-us").phonemize_sentences(["hello"])[0][0]))
"""


@pytest.mark.parametrize("code", [SPEAK, PHONEMIZE])
@pytest.mark.parametrize("length", [120, 160, 200, 1000])
def test_data_may_lie_at_a_path_of_any_length(code: str, length: int, tmp_path: Path) -> None:
    deep = tmp_path
    while len(str(deep)) < length:
        deep /= "d" * min(100, length)
    deep.mkdir(parents=True, exist_ok=True)
    (deep / "espeak-ng-data").symlink_to(espeakng_loader.get_data_path())
    command = [sys.executable, "-c", code, str(deep / "espeak-ng-data")]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.stdout == "4\n", (done.returncode, done.stderr)


def test_where_no_short_path_can_be_made_the_paths_are_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    long = tmp_path / ("d" * 150)
    long.mkdir()
    monkeypatch.setattr(espeakng_loader, "get_data_path", lambda: str(long))
    monkeypatch.setattr(espeak.tempfile, "mkdtemp", lambda **_: str(long))
    monkeypatch.setattr(shutil, "rmtree", lambda *_, **__: None)
    with pytest.raises(RuntimeError, match=r"at most 140 bytes.* set TMPDIR to one"):
        espeak.espeak_data.__wrapped__()


def test_an_interrupt_while_it_speaks_ends_it(monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupted(*arguments: object) -> None:
        raise KeyboardInterrupt

    speaker = espeak.Espeak()
    with monkeypatch.context() as patch:
        patch.setattr(espeak.ctypes, "string_at", interrupted)
        with pytest.raises(KeyboardInterrupt):
            speaker.speak("hello", voice="en-us")
    assert speaker.speak("hello", voice="en-us").phones
