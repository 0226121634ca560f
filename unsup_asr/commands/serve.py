"""`serve`: a page of this machine alone: record or drop a file, see and hear its phones."""

from __future__ import annotations

import argparse
import base64
import errno
import socket
import tempfile
import threading
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import unquote

import numpy as np

from unsup_asr.commands import UsageError, folder_named
from unsup_asr.commands.devices import compute_on
from unsup_asr.formats.names import shown_in_lines
from unsup_asr.formats.transcripts import records
from unsup_asr.recognise.stretches import joined
from unsup_asr.report.page.document import sound_script, style
from unsup_asr.speech.audio import AUDIO_SUFFIXES, read_audio
from unsup_asr.transcribe import Model, WordModel, load_model, load_word_model

if TYPE_CHECKING:
    from starlette.applications import Starlette
    from starlette.requests import Request
    from starlette.responses import Response

_HOST = "127.0.0.1"
_MOST_BYTES = 256 * 2**20  # of one file
_LONGEST_S = 600  # of one recording: more would be slow to draw
_POLICY = (
    "default-src 'none'; script-src 'unsafe-inline' blob:; style-src 'unsafe-inline'; "
    "connect-src 'self'; media-src blob:; base-uri 'none'; form-action 'none'; "
    "frame-ancestors 'none'"
)


def serve(arguments: argparse.Namespace) -> int:
    """Serve the page until Ctrl-C; 0."""
    try:
        import starlette  # noqa: F401
        import uvicorn
    except ImportError as error:
        raise UsageError(
            f"serve needs {error.name}, which is not installed: pip install 'unsup-asr[serve]'"
        ) from error
    folder_named(arguments.model, "one that holds a model")
    if not 0 <= arguments.port < 2**16:
        raise UsageError(f"--port is {arguments.port}; expected 0 (any that is free) to 65535")
    with _listening(arguments.port) as listener:
        compute_on(arguments.device, arguments.precision)
        load = load_word_model if arguments.words else load_model
        app = web_app(load(Path(arguments.model), trust=arguments.trust))
        port = listener.getsockname()[1]
        print(f"http://{_HOST}:{port} (Ctrl-C ends it)", flush=True)
        server = uvicorn.Server(uvicorn.Config(app, log_level="warning"))
        try:
            server.run(sockets=[listener])
        except KeyboardInterrupt as error:  # which not all versions of uvicorn pass on
            if type(error) is not KeyboardInterrupt:  # another signal that asks to end
                raise
    return 0


def web_app(model: Model | WordModel) -> Starlette:
    """The page, and what it asks: `POST transcribe` with the bytes of an audio file.

    The answer has `phones` and `words` (null of a model without), with times, and what was heard:
    `samples`, 16-bit in base64, at `sample_rate`; or an `error`. Requests are worked on one after
    another, and only those that come from the page itself, or from no page.
    """
    from starlette.applications import Starlette
    from starlette.concurrency import run_in_threadpool
    from starlette.middleware import Middleware
    from starlette.middleware.trustedhost import TrustedHostMiddleware
    from starlette.responses import HTMLResponse, JSONResponse
    from starlette.routing import Route

    page = _page()
    one_at_a_time = threading.Lock()

    def refused(error: str, status: int) -> Response:
        return JSONResponse({"error": error}, status)

    async def show(request: Request) -> Response:
        del request
        headers = {"Content-Security-Policy": _POLICY, "X-Content-Type-Options": "nosniff"}
        return HTMLResponse(page, headers=headers)

    async def transcribe(request: Request) -> Response:
        origin = request.headers.get("origin")
        if origin not in (None, f"http://{request.headers['host']}"):
            return refused(f"asked by the page {origin}; expected this server's own", 403)
        content = bytearray()
        async for block in request.stream():
            content += block
            if len(content) > _MOST_BYTES:
                return refused(
                    f"more than {_MOST_BYTES >> 20} MB; use `unsup-asr transcribe` for such files",
                    413,
                )
        name = unquote(request.headers.get("x-name", "recording"))

        def heard() -> dict[str, object]:
            with one_at_a_time:
                return _answer(model, bytes(content), name)

        try:
            return JSONResponse(await run_in_threadpool(heard))
        except ValueError as error:
            return refused(shown_in_lines(str(error)), 422)

    return Starlette(
        routes=[Route("/", show), Route("/transcribe", transcribe, methods=["POST"])],
        middleware=[Middleware(TrustedHostMiddleware, allowed_hosts=[_HOST, "localhost"])],
    )


def _page() -> str:
    """The page, with the style and the script that it shares with reports."""
    page = Path(__file__).with_suffix(".html").read_text("utf-8")
    page = page.replace("/* style.css */", style(), 1)
    return page.replace("/* sound.js */", sound_script(), 1)


def _answer(model: Model | WordModel, content: bytes, name: str) -> dict[str, object]:
    suffix = Path(name).suffix.lower()
    rate = model.acoustic.upstream.sample_rate
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / f"recording{suffix if suffix in AUDIO_SUFFIXES else ''}"
        path.write_bytes(content)
        try:
            samples = read_audio(path, sample_rate=rate)
            if len(samples) > _LONGEST_S * rate:
                raise ValueError(
                    f"{path}: {len(samples) / rate / 60:.1f} minutes; the page shows "
                    f"{_LONGEST_S // 60} at most, `unsup-asr transcribe` takes hours"
                )
            heard = joined(model.hear(path))
        except ValueError as error:
            raise ValueError(str(error).replace(str(path), name)) from error
    whole = np.clip(np.round(32768 * samples), -32768, 32767).astype("<i2")
    words = heard.words
    return {
        "phones": records("phone", heard.phones.phones, heard.phones),
        "words": None if words is None else records("word", words.words, words),
        "sample_rate": rate,
        "samples": base64.b64encode(whole.tobytes()).decode(),
    }


def _listening(port: int) -> socket.socket:
    """A socket of this machine alone; a port that is taken is wrong usage."""
    listener = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind((_HOST, port))
        listener.listen()
    except OSError as error:
        listener.close()
        if error.errno not in (errno.EADDRINUSE, errno.EACCES):
            raise
        why = "in use" if error.errno == errno.EADDRINUSE else "not for everybody to take"
        raise UsageError(
            f"port {port} is {why}; name another with --port, or 0 for any that is free"
        ) from error
    return listener
