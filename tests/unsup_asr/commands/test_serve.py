"""The page's server: what it answers, whom it answers, how it begins and ends."""

from __future__ import annotations

import base64
import json
import signal
import socket
import sys
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import soundfile

import unsup_asr.commands.serve
from tests.unsup_asr.commands.served import served
from tests.unsup_asr.small_model import babble, save_small_model
from unsup_asr import load_model
from unsup_asr.cli import main
from unsup_asr.commands.serve import _answer

Address = str


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A model, and a recording of 2 s."""
    folder = tmp_path_factory.mktemp("serve")
    save_small_model(folder / "model")
    soundfile.write(folder / "new.flac", babble(2), 16000)
    return folder


@pytest.fixture(scope="module")
def page(folder: Path) -> Iterator[Address]:
    with served(folder / "model", "--words") as (address, _):
        yield address


def ask(address: str, content: bytes | None = None, **headers: str) -> tuple[int, dict, dict]:
    """Status, answer and headers."""
    names = {name.replace("_", "-"): value for name, value in headers.items()}
    request = urllib.request.Request(address, content, names)
    try:
        with urllib.request.urlopen(request, timeout=60) as response:
            body, headers = response.read(), dict(response.headers)
            is_json = headers["content-type"] == "application/json"
            return response.status, json.loads(body) if is_json else {"page": body}, headers
    except urllib.error.HTTPError as refused:
        with refused:
            body = refused.read()
        is_json = body.startswith(b"{")
        return refused.code, json.loads(body) if is_json else {"error": body.decode()}, {}


def test_a_recording_is_answered_with_what_was_heard_and_where(page: Address, folder: Path) -> None:
    content = (folder / "new.flac").read_bytes()
    status, answer, _ = ask(f"{page}/transcribe", content, X_Name="new.flac")
    assert status == 200
    expected = load_model(folder / "model").transcribe(folder / "new.flac")
    assert [phone["start_s"] for phone in answer["phones"]] == [
        round(start, 4) for start in expected.starts_s
    ]
    assert [word["word"] for word in answer["words"]] == ["a"] * len(expected.phones)
    samples = np.frombuffer(base64.b64decode(answer["samples"]), "<i2") / 32768
    np.testing.assert_allclose(samples, babble(2), atol=1e-4)
    assert answer["sample_rate"] == 16000


def test_the_page_asks_nobody_else(page: Address) -> None:
    status, answer, headers = ask(page)
    assert status == 200
    assert headers["content-security-policy"].startswith("default-src 'none'; ")
    assert b"http:" not in answer["page"]
    assert b"https:" not in answer["page"]


@pytest.mark.parametrize(
    ("content", "name", "message"),
    [
        (b"no audio", "a.wav", "a.wav: "),
        (b"", "b%20%C3%A9.flac", "b é.flac: the file has 0 bytes"),
        (b"RIFF", "../../etc/passwd", "../../etc/passwd: "),
        (b"x" * 100, "%00%1b[31m", "\\x00\\x1b[31m"),
    ],
)
def test_audio_that_is_none_is_refused_by_its_name(
    content: bytes, name: str, message: str, page: Address
) -> None:
    status, answer, _ = ask(f"{page}/transcribe", content, X_Name=name)
    assert status == 422
    assert answer["error"].startswith(message), answer
    assert "/tmp" not in answer["error"]


def test_other_pages_and_other_names_of_this_machine_are_refused(page: Address) -> None:
    status, answer, _ = ask(f"{page}/transcribe", b"x", Origin="http://elsewhere.example")
    assert status == 403
    assert "http://elsewhere.example" in answer["error"]
    status, _, _ = ask(page, Host="elsewhere.example")
    assert status == 400
    status, _, _ = ask(f"{page}/transcribe", b"x", Origin=page)
    assert status == 422, "the page itself is heard"
    assert ask(f"{page}/transcribe")[0] == 405
    assert ask(f"{page}/nowhere")[0] == 404


def test_what_is_too_long_to_show_is_refused(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(unsup_asr.commands.serve, "_LONGEST_S", 1)
    content = (folder / "new.flac").read_bytes()
    with pytest.raises(ValueError, match=r"^new\.flac: 0\.0 minutes; .* takes hours"):
        _answer(load_model(folder / "model"), content, "new.flac")


def test_a_port_that_is_taken_and_other_wrong_usage(
    folder: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        assert main(["serve", str(folder / "model"), "--port", str(port)]) == 2
    assert f"port {port} is in use; name another with --port" in capsys.readouterr().err
    assert main(["serve", str(folder / "model"), "--port", "65536"]) == 2
    assert "--port is 65536; expected 0" in capsys.readouterr().err
    assert main(["serve", str(folder / "none")]) == 2
    assert "no such folder" in capsys.readouterr().err
    (folder / "empty").mkdir()
    assert main(["serve", str(folder / "empty"), "--port", "0"]) == 1
    assert "no model.json" in capsys.readouterr().err
    monkeypatch.setitem(sys.modules, "uvicorn", None)
    assert main(["serve", str(folder / "model")]) == 2
    assert "pip install 'unsup-asr[serve]'" in capsys.readouterr().err


def test_ctrl_c_ends_it_well(folder: Path) -> None:
    with served(folder / "model") as (address, process):
        assert ask(address)[0] == 200
        process.send_signal(signal.SIGINT)
        assert process.wait(timeout=30) == 0
    with pytest.raises(urllib.error.URLError):
        ask(address)
