"""Ragged arrays on disk: one `values.npy` (memory-mapped), `index.tsv`, `meta.json`.

Rows of all utterances lie one after the other; memory stays flat in the hours of audio.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping
from itertools import islice
from pathlib import Path
from types import TracebackType

import numpy as np
from numpy.typing import NDArray

from unsup_asr.formats.checked import map_array, reading
from unsup_asr.formats.lines import numbered_lines

_UNFINISHED = "values.raw"


class RaggedArray(Mapping[str, NDArray]):
    """Read-only map from utterance id to its rows, shape (length, ...)."""

    def __init__(
        self,
        values: NDArray,
        ids: list[str],
        offsets: NDArray[np.int64],
        folder: Path | None = None,
    ) -> None:
        self._folder = folder
        self.values_array = values  # all rows, in the order of `ids`
        self.ids = ids
        self.offsets = offsets  # len(ids) + 1
        self._position = {utterance_id: i for i, utterance_id in enumerate(ids)}

    @classmethod
    def open(cls, folder: Path) -> RaggedArray:
        """Memory-map the array in `folder`; ValueError when a part is missing or disagrees."""
        for name in ("values.npy", "index.tsv", "meta.json"):
            if not (folder / name).is_file():
                raise ValueError(
                    f"{folder}: no {name}; a ragged array has values.npy, index.tsv, meta.json"
                )
        with reading(folder / "values.npy", "an array as numpy.save writes it"):
            values = map_array(folder / "values.npy")
            if not isinstance(values, np.ndarray) or values.ndim == 0:
                raise TypeError("no rows")
        with reading(folder / "index.tsv", "an index of ids and lengths"):
            rows = [
                line.split("\t")
                for _, line in islice(numbered_lines(folder / "index.tsv"), 1, None)
            ]
            ids = [row[0] for row in rows]
            lengths = np.array([int(row[1]) for row in rows], dtype=np.int64)
            if len(set(ids)) != len(ids) or (lengths < 0).any():
                raise ValueError("an id twice, or a length below 0")
        offsets = np.concatenate([[0], np.cumsum(lengths)]).astype(np.int64)
        if offsets[-1] != len(values):
            raise ValueError(
                f"{folder}: index.tsv counts {offsets[-1]} rows, values.npy has {len(values)}; "
                "the array is damaged, delete it and run its stage again"
            )
        return cls(values, ids, offsets, folder)

    @classmethod
    def from_arrays(cls, arrays: Mapping[str, NDArray]) -> RaggedArray:
        """An array in memory."""
        ids = list(arrays)
        lengths = [len(arrays[i]) for i in ids]
        offsets = np.concatenate([[0], np.cumsum(lengths)]).astype(np.int64)
        return cls(np.concatenate([arrays[i] for i in ids]), ids, offsets)

    def __reduce__(self) -> tuple[Callable[..., RaggedArray], tuple[object, ...]]:
        """Another process opens the folder again: rows on disk are never sent."""
        if self._folder is None:
            return RaggedArray, (self.values_array, self.ids, self.offsets)
        return RaggedArray.open, (self._folder,)

    @property
    def lengths(self) -> NDArray[np.int64]:
        """Rows of each utterance, in the order of `ids`."""
        return np.diff(self.offsets)

    def __getitem__(self, key: str) -> NDArray:
        i = self._position[key]
        return self.values_array[self.offsets[i] : self.offsets[i + 1]]

    def __iter__(self) -> Iterator[str]:
        return iter(self.ids)

    def __len__(self) -> int:
        return len(self.ids)


class RaggedWriter:
    """Append one utterance after another; complete only once closed without an error."""

    def __init__(
        self, folder: Path, *, dtype: str = "float32", meta: Mapping[str, object] | None = None
    ) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self._folder = folder
        self._dtype = np.dtype(dtype)
        self._meta = dict(meta or {})
        self._trailing: tuple[int, ...] | None = None
        self._index: dict[str, int] = {}
        self._raw = (folder / _UNFINISHED).open("wb")

    def __len__(self) -> int:
        """Utterances so far."""
        return len(self._index)

    def append(self, utterance_id: str, array: NDArray) -> None:
        """Add rows (length, ...); ValueError for a repeated id, NaN or another row shape."""
        if utterance_id in self._index:
            raise ValueError(f"{self._folder}: utterance {utterance_id!r} appended twice")
        if self._trailing is None:
            self._trailing = array.shape[1:]
            self._write_header()
        if array.shape[1:] != self._trailing:
            raise ValueError(
                f"{self._folder}: {utterance_id!r} has rows of shape {array.shape[1:]}, "
                f"the ones before {self._trailing}"
            )
        if array.dtype.kind == "f" and not np.isfinite(array).all():
            raise ValueError(f"{self._folder}: {utterance_id!r} holds NaN or infinite values")
        self._raw.write(np.ascontiguousarray(array, dtype=self._dtype).tobytes())
        self._index[utterance_id] = len(array)

    def close(self) -> None:
        """Write the number of rows into the npy header, the index and the meta data."""
        self._raw.seek(0)
        self._write_header()
        self._raw.close()
        (self._folder / _UNFINISHED).rename(self._folder / "values.npy")
        lines = ["utterance_id\tlength", *(f"{k}\t{n}" for k, n in self._index.items())]
        (self._folder / "index.tsv").write_text("\n".join(lines) + "\n", "utf-8")
        (self._folder / "meta.json").write_text(
            json.dumps(self._meta, indent=1, sort_keys=True), "utf-8"
        )

    def _write_header(self) -> None:
        """As long whatever the number of rows: numpy leaves room for its digits."""
        shape = (sum(self._index.values()), *(self._trailing or ()))
        header = {"descr": self._dtype.str, "fortran_order": False, "shape": shape}
        np.lib.format.write_array_header_1_0(self._raw, header)

    def __enter__(self) -> RaggedWriter:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if kind is None:
            self.close()
        else:
            self._raw.close()
