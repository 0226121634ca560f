"""An `audiofolder` of Hugging Face datasets: audio with metadata.csv or metadata.jsonl beside it.

Source: the documentation of datasets, "Create an audio dataset", AudioFolder.
"""

from __future__ import annotations

import csv
import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from unsup_asr.corpora.prepared import PreparedCorpus
from unsup_asr.corpora.recordings import Recording
from unsup_asr.corpora.transcribed import Transcribed
from unsup_asr.formats.checked import reading
from unsup_asr.formats.lines import numbered_lines
from unsup_asr.formats.names import id_of, shown
from unsup_asr.ranges import PositiveInt
from unsup_asr.speech.audio import AUDIO_SUFFIXES

_TRANSCRIPTS = ("transcription", "sentence", "text", "transcript", "normalized_text")
_SPEAKERS = ("speaker_id", "speaker", "client_id")


@dataclass(kw_only=True)
class AudiofolderCorpus(PreparedCorpus):
    """Options. `train`, `dev` and `test` are folders with a table of metadata each, as a dataset's
    `train`, `validation` and `test` are.

    The columns of transcripts and speakers are named, or the first of the usual names that is
    there; without speakers each file is its own. An id is the path below the folder.
    """

    transcript_column: str | None = None
    speaker_column: str | None = None
    channel: PositiveInt | None = None

    def transcript_files(self, source: str) -> list[Path]:
        """The table."""
        return [_table(Path(source))]

    def read(self, source: str) -> Transcribed:
        """Files that the table names; others are counted. ValueError with the line for the rest."""
        folder, table = Path(source), _table(Path(source))
        recordings: dict[str, Recording] = {}
        sentences: dict[str, str] = {}
        for number, row in _rows(table):
            where = f"{shown(table)}:{number}"
            name = row.get("file_name", "")
            with reading(Path(where), "a path to audio"):
                path = folder / name
                is_there = path.is_file()
            if not name or not is_there:
                raise ValueError(
                    f"{where}: file_name is {name!r}, which is no file in {shown(folder)}"
                )
            if not path.resolve().is_relative_to(folder.resolve()):
                raise ValueError(f"{where}: {name!r} lies outside {shown(folder)}")
            key = id_of(str(Path(name).with_suffix("")))
            if key in recordings:
                raise ValueError(f"{where}: utterance {key!r} again; expected each once")
            speaker = _cell(row, self.speaker_column, _SPEAKERS, where) or key
            recordings[key] = Recording(key, path, id_of(speaker), self.channel)
            if said := _cell(row, self.transcript_column, _TRANSCRIPTS, where).strip():
                sentences[key] = said
        if not recordings:
            raise ValueError(f"{shown(table)}: no rows; expected one for each audio file")
        named = {recording.path for recording in recordings.values()}
        there = {p for p in folder.rglob("*") if p.suffix.lower() in AUDIO_SUFFIXES}
        left_out = {"not in the metadata": len(there - named)} if there - named else {}
        return Transcribed(list(recordings.values()), sentences, left_out)


def _table(folder: Path) -> Path:
    names = ("metadata.csv", "metadata.jsonl", "metadata.parquet")
    found = [folder / name for name in names if (folder / name).is_file()]
    if len(found) != 1:
        raise ValueError(
            f"{shown(folder)}: {len(found) or 'none'} of {', '.join(names)}; expected one of them, "
            "in a folder of audio"
        )
    return found[0]


def _rows(path: Path) -> Iterator[tuple[int, dict[str, str]]]:
    """Line number and cells by column."""
    if path.suffix == ".csv":
        lines = (f"{line}\n" for _, line in numbered_lines(path))
        reader = csv.DictReader(lines, strict=True, restkey="")
        try:
            for row in reader:
                if "" in row or None in row.values():
                    raise ValueError(
                        f"{shown(path)}:{reader.line_num}: another number of cells than the "
                        f"header's {len(reader.fieldnames or [])}; quote those that hold commas"
                    )
                yield reader.line_num, row
        except csv.Error as error:
            raise ValueError(f"{shown(path)}:{reader.line_num}: not CSV ({error})") from error
        return
    if path.suffix == ".parquet":
        yield from _parquet_rows(path)
        return
    for number, line in numbered_lines(path):
        if not line.strip():
            continue
        try:
            record = json.loads(line)
        except (ValueError, RecursionError) as error:
            raise ValueError(f"{shown(path)}:{number}: not JSON ({error})") from error
        if not isinstance(record, dict):
            raise ValueError(f"{shown(path)}:{number}: no object; expected one with file_name")
        yield number, {str(key): str(value) for key, value in record.items() if value is not None}


def _parquet_rows(path: Path) -> Iterator[tuple[int, dict[str, str]]]:
    """Rows are counted from 1; nested columns, such as audio itself, are left out."""
    try:
        from pyarrow import ArrowException, types
        from pyarrow.parquet import ParquetFile
    except ModuleNotFoundError as error:
        raise ValueError(
            f"{shown(path)}: a table as Parquet needs pip install 'unsup-asr[parquet]'; or write "
            "it as metadata.csv"
        ) from error
    try:
        with ParquetFile(path) as file:
            columns = [c.name for c in file.schema_arrow if not types.is_nested(c.type)]
            number = 0
            for batch in file.iter_batches(columns=columns):
                for record in batch.to_pylist():
                    number += 1
                    yield number, {k: str(v) for k, v in record.items() if v is not None}
    except (ArrowException, OSError) as error:
        said = str(error).partition("\n")[0]
        raise ValueError(
            f"{shown(path)}: not a table of Parquet ({said}); the file is damaged, copy it again"
        ) from error


def _cell(row: dict[str, str], named: str | None, usual: Sequence[str], where: str) -> str:
    if named is not None and named not in row:
        raise ValueError(f"{where}: no column {named!r}; there are {', '.join(row)}")
    columns = [named] if named is not None else [name for name in usual if name in row]
    return row[columns[0]] if columns else ""
