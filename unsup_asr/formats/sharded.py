"""One ragged array cut into shards: folders that were written, and can be lost, one by one.

`<folder>/<shard>/<name>/` is a ragged array; `<folder>/shards.tsv` says which utterance lies in
which shard. Shards are opened when their rows are asked for, and only a few stay open.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from numpy.typing import NDArray

from unsup_asr.formats.checked import reading
from unsup_asr.formats.lines import read_lines
from unsup_asr.formats.ragged import RaggedArray

INDEX = "shards.tsv"
_HEADER = "utterance_id\tshard\tlength"
_MAX_OPEN = 4  # pages of a mapped file count as memory of the process


class ShardedArray(Mapping[str, NDArray]):
    """Read-only map from utterance id to its rows, shape (length, ...), as they were stored."""

    def __init__(self, folder: Path, name: str, shards: Mapping[str, tuple[str, int]]) -> None:
        self._folder = folder
        self._name = name
        self._shards = shards  # utterance id to shard and number of rows
        self._max_open = _MAX_OPEN
        self._open: OrderedDict[str, RaggedArray] = OrderedDict()

    @classmethod
    def open(cls, folder: Path, name: str) -> ShardedArray:
        """The array `name` of all shards in `folder`; ValueError when there is no index."""
        return cls(folder, name, read_index(folder))

    def length(self, utterance_id: str) -> int:
        """Number of rows of an utterance, without opening its shard."""
        return self._shards[utterance_id][1]

    def __getitem__(self, key: str) -> NDArray:
        shard = self._shards[key][0]
        rows = self._shard(shard)
        if key not in rows:
            raise ValueError(
                f"{self._folder / INDEX}: {key!r} in shard {shard}, which has no such utterance; "
                "run its stage again"
            )
        return rows[key]

    def __iter__(self) -> Iterator[str]:
        return iter(self._shards)

    def __len__(self) -> int:
        return len(self._shards)

    def _shard(self, shard: str) -> RaggedArray:
        if shard not in self._open:
            self._open[shard] = RaggedArray.open(self._folder / shard / self._name)
            if len(self._open) > self._max_open:
                self._open.popitem(last=False)
        self._open.move_to_end(shard)
        return self._open[shard]


def write_index(folder: Path, shards: Sequence[str], name: str, order: Sequence[str]) -> None:
    """Write `shards.tsv` of these shards, utterances in the given order.

    Utterances of `order` that no shard has are left out.
    """
    found: dict[str, str] = {}
    for shard in shards:
        array = RaggedArray.open(folder / shard / name)
        for utterance_id, length in zip(array.ids, array.lengths.tolist(), strict=True):
            found[utterance_id] = f"{utterance_id}\t{shard}\t{length}"
    lines = [_HEADER, *(found[i] for i in order if i in found)]
    (folder / INDEX).write_text("\n".join(lines) + "\n", "utf-8")


def read_index(folder: Path) -> dict[str, tuple[str, int]]:
    """Shard and number of rows by utterance id, in the order of `write_index`."""
    path = folder / INDEX
    if not path.is_file():
        raise ValueError(f"{path} does not exist; expected the shards of a finished extraction")
    header, *lines = read_lines(path) if path.stat().st_size else [""]
    if header != _HEADER:
        raise ValueError(f"{path}: begins with {header!r}; expected {_HEADER!r}")
    with reading(path, "an index of shards"):
        rows = [line.split("\t") for line in lines]
        return {utterance_id: (shard, int(length)) for utterance_id, shard, length in rows}
