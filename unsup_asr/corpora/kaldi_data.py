"""A data directory of Kaldi: wav.scp, and where there are any segments, utt2spk and text.

Source: Kaldi's documentation, "Data preparation".
"""

from __future__ import annotations

import unicodedata
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from unsup_asr.corpora.prepared import PreparedCorpus
from unsup_asr.corpora.recordings import Recording
from unsup_asr.corpora.transcribed import Transcribed
from unsup_asr.formats.checked import reading
from unsup_asr.formats.lines import numbered_lines
from unsup_asr.formats.names import shown
from unsup_asr.ranges import PositiveInt
from unsup_asr.types import Seconds


@dataclass(kw_only=True)
class KaldiCorpus(PreparedCorpus):
    """Options. `train`, `dev` and `test` are data directories; relative paths in their wav.scp are
    relative to `root`, where Kaldi's scripts ran. `channel`, from 1, is heard of all recordings.
    """

    root: str = "."
    channel: PositiveInt | None = None

    def transcript_files(self, source: str) -> list[Path]:
        """The directory's `text`."""
        return [Path(source) / "text"]

    def read(self, source: str) -> Transcribed:
        """Recordings, or their segments, and what was said.

        ValueError with the line for what is malformed, for pipes, which are commands and are not
        run, and for archives of samples.
        """
        folder = Path(source)
        audio = {
            key: _audio_path(rest, f"{shown(folder / 'wav.scp')}:{number}", Path(self.root))
            for number, key, rest in _table(folder / "wav.scp", "recording and path")
        }
        if (folder / "segments").is_file():
            spans = _segments(folder / "segments", audio)
        else:
            spans = {key: _Span(key) for key in audio}
        speakers = _of_utterances(folder / "utt2spk", spans, "speaker")
        sentences = _of_utterances(folder / "text", spans, "transcript")
        recordings = [
            Recording(
                *(key, audio[span.recording], speakers.get(key, key), self.channel),
                *(span.start_s, span.duration_s),
            )
            for key, span in spans.items()
        ]
        return Transcribed(recordings, {key: said for key, said in sentences.items() if said})


@dataclass(frozen=True)
class _Span:
    recording: str
    start_s: Seconds | None = None  # of a part
    duration_s: Seconds | None = None


def _audio_path(rest: str, where: str, root: Path) -> Path:
    if rest.endswith("|") or rest.startswith("|") or rest == "-":
        raise ValueError(
            f"{where}: {rest[:80]!r} is a command or a stream, which is not run. Expected the path "
            "of an audio file; write the audio to files first (wav-copy, or the command itself)"
        )
    with reading(Path(where), "a path to audio"):
        path = root / rest
        if not path.is_file():
            path = root / unicodedata.normalize("NFD", rest)  # as some systems spell names
        is_there = path.is_file()
    if not is_there:
        raise ValueError(
            f"{where}: no such audio file: {shown(root / rest)}. Relative paths are relative to "
            "corpus.root; archives (.ark) hold no files, write the audio to some"
        )
    return path


def _segments(path: Path, audio: dict[str, Path]) -> dict[str, _Span]:
    found: dict[str, _Span] = {}
    for number, key, rest in _table(path, "utterance, recording, start and end"):
        fields = rest.split()
        try:
            recording, start_s, end_s = fields[0], float(fields[1]), float(fields[2])
        except (IndexError, ValueError):
            raise ValueError(
                f"{shown(path)}:{number}: {rest!r} after the utterance; expected recording, start "
                "and end in seconds"
            ) from None
        if recording not in audio:
            raise ValueError(
                f"{shown(path)}:{number}: recording {recording!r} is not in wav.scp; add it there"
            )
        to_the_end = end_s == -1
        if not (0 <= start_s < end_s < float("inf") or (start_s >= 0 and to_the_end)):
            raise ValueError(
                f"{shown(path)}:{number}: from {start_s} to {end_s} s; expected 0 <= start < end"
            )
        found[key] = _Span(recording, start_s, None if to_the_end else end_s - start_s)
    return found


def _of_utterances(path: Path, spans: dict[str, _Span], what: str) -> dict[str, str]:
    """A table of utterances, all of which must be there; empty where there is no such file."""
    if not path.is_file():
        return {}
    found: dict[str, str] = {}
    for number, key, rest in _table(path, f"utterance and {what}"):
        if key not in spans:
            raise ValueError(
                f"{shown(path)}:{number}: utterance {key!r} is not in "
                f"{'segments' if (path.parent / 'segments').is_file() else 'wav.scp'}; "
                "run utils/fix_data_dir.sh"
            )
        found[key] = rest
    if lacking := [key for key in spans if key not in found]:
        raise ValueError(
            f"{shown(path)}: {len(lacking)} of {len(spans)} utterances have no {what} (first: "
            f"{lacking[0]!r}); run utils/fix_data_dir.sh, or remove the file"
        )
    return found


def _table(path: Path, what: str) -> Iterator[tuple[int, str, str]]:
    """Line number, key and the rest of each line; ValueError for a key that is there twice."""
    if not path.is_file():
        raise ValueError(f"{shown(path)}: no such file; expected a data directory of Kaldi")
    seen: set[str] = set()
    for number, line in numbered_lines(path):
        key, _, rest = line.strip().partition(" ")
        key, tab, after = key.partition("\t")
        rest = f"{after} {rest}" if tab else rest
        if not key:
            continue
        if not rest.strip() and path.name != "text":
            raise ValueError(f"{shown(path)}:{number}: {line!r}; expected {what}")
        if key in seen:
            raise ValueError(f"{shown(path)}:{number}: {key!r} again; expected each once")
        seen.add(key)
        yield number, key, rest.strip()
    if not seen:
        raise ValueError(f"{shown(path)}: no lines; expected {what} in each")
