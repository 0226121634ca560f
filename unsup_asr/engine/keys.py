"""Content keys: what a stage's result depends on, and a digest of it.

The key of a stage is the sha256 of its name, version, own config subtrees without `runtime`, seed,
the keys of its inputs, the digests of the user's files that it reads and the fingerprints of the
upstreams that it runs.
"""

from __future__ import annotations

import hashlib
import json
import logging
import os
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from omegaconf import DictConfig, OmegaConf

from unsup_asr.engine.config import foreign, instantiate
from unsup_asr.formats.digests import digest_files
from unsup_asr.formats.folders import list_folder
from unsup_asr.formats.whole import write_whole

if TYPE_CHECKING:
    from unsup_asr.engine.stages import Stage

log = logging.getLogger(__name__)

RUNTIME = "runtime"  # a subtree that changes how a stage runs, not what it finds
MISSING_FILE = "missing"
NOT_ASKED = "not asked"  # of an upstream whose code was not to be run
_SETTLED_NS = 2_000_000_000  # a file younger than this can change without a new time stamp


def stage_keys(
    stages: Sequence[Stage], config: DictConfig, root: Path, *, ask_foreign: bool = True
) -> dict[str, dict[str, object]]:
    """Key and the material it is made of, by stage name; stages must be in order.

    Digests of the user's files are remembered in `root`, so that only changed files are read.
    An upstream whose class is not this project's is asked for its fingerprint, which runs its code;
    without `ask_foreign` the one that it gave last stands for it.
    """
    cache = DigestCache(root / ".digests.json")
    fingerprints = _Fingerprints(cache, ask_foreign)
    described: dict[str, dict[str, object]] = {}
    for stage in stages:
        unknown = [name for name in stage.inputs if name not in described]
        assert not unknown, f"stage {stage.name} needs {unknown}, which do not come before it"
        material: dict[str, object] = {
            "stage": stage.name,
            "version": stage.version,
            "seed": int(config.seed),
            "config": {
                key: _without_runtime(plain(config, key, hidden=stage.hidden))
                for key in stage.config_keys
                if key.rpartition(".")[2] != RUNTIME
            },
            "inputs": {name: described[name]["key"] for name in stage.inputs},
            "external": {
                **{str(path): cache.digest(path) for path in stage.external_files(config)},
                **stage.external_digests(config, cache),
            },
        }
        if found := {key: fingerprints.of(config, key) for key in stage.upstreams}:
            material["upstreams"] = {key: digest for key, digest in found.items() if digest}
        text = json.dumps(material, sort_keys=True, ensure_ascii=False)
        described[stage.name] = {
            "key": hashlib.sha256(os.fsencode(text)).hexdigest()[:12],
            **material,
        }
    cache.save()
    return described


def visible_config(
    config: DictConfig, keys: Sequence[str], *, hidden: Sequence[str] = ()
) -> DictConfig:
    """The declared subtrees, `runtime` and `seed`; reading anything else is an error."""
    always = [key for key in (RUNTIME, "seed") if key in config]
    visible = OmegaConf.create()
    for key in [*keys, *always]:
        OmegaConf.update(visible, key, plain(config, key, hidden=hidden))
    OmegaConf.set_struct(visible, True)
    return visible


def runtime_options(config: DictConfig, keys: Sequence[str]) -> dict[str, object]:
    """`runtime`, and those of the keys that name one in a group: what is recorded and in no key."""
    named = (RUNTIME, *(key for key in keys if key.endswith(f".{RUNTIME}")))
    return {key: plain(config, key) for key in named if OmegaConf.select(config, key) is not None}


def plain(config: DictConfig, key: str, *, hidden: Sequence[str] = ()) -> object:
    """One subtree as dicts, lists and values; `key` may name one inside a group, `group.key`.

    Options called `key.name` in `hidden` are left out.
    """
    node = OmegaConf.select(config, key, throw_on_missing=True)
    if not OmegaConf.is_config(node):
        return node
    found = OmegaConf.to_container(node, resolve=True)
    if isinstance(found, dict):
        return {name: value for name, value in found.items() if f"{key}.{name}" not in hidden}
    return found


class _Fingerprints:
    """Of upstreams by their config node; each is asked once, and what it said is kept."""

    def __init__(self, cache: DigestCache, ask_foreign: bool) -> None:
        self._cache = cache
        self._ask_foreign = ask_foreign
        self._known: dict[str, str] = {}

    def of(self, config: DictConfig, key: str) -> str | None:
        """None where the recipe has no upstream at the key."""
        node = OmegaConf.select(config, key)
        if node is None:
            return None
        text = json.dumps(plain(config, key), sort_keys=True)
        if text not in self._known:
            if foreign(node) and not self._ask_foreign:
                self._known[text] = self._cache.kept(f"upstream {text}") or NOT_ASKED
            else:
                self._known[text] = instantiate(node).fingerprint()
                self._cache.keep(f"upstream {text}", self._known[text])
        return self._known[text]


class DigestCache:
    """sha256 of files and folders; a file is read again when its size, times or inode changed.

    The change time is among them, which nothing but a write to the file's data or record moves:
    a file whose modification time was put back is still read again.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._known: dict[str, list[object]] = _read_cache(path)
        self._changed = False

    def digest(self, path: Path) -> str:
        """Digest of a file's content; of the names and contents of all files in a folder.

        Hidden files in a folder do not count, links do, as for who reads it; of what cannot be
        opened only the name counts. 'missing' when there is nothing at the path.
        """
        if path.is_file():
            return self._digests([path])[0]
        if not path.is_dir():
            return MISSING_FILE
        found = list_folder(path)
        digests = dict(zip(found.files, self._digests(found.files), strict=True))
        listing = hashlib.sha256()
        for file, digest in (digests | dict.fromkeys(found.unreadable, "unreadable")).items():
            listing.update(os.fsencode(f"{file.relative_to(path).as_posix()}\t{digest}\n"))
        return listing.hexdigest()

    def digest_all(self, files: Sequence[Path]) -> str:
        """One digest of the contents of files, in their order, whatever they are called."""
        return hashlib.sha256("\n".join(self._digests(files)).encode()).hexdigest()

    def remembered(self, of: Sequence[str], make: Callable[[], str]) -> str:
        """What `make` gives for things with the digests `of`; made once, however long it takes."""
        name = " ".join(["of", *of])
        if name not in self._known:
            self._known[name] = [make()]
            self._changed = True
        return str(self._known[name][-1])

    def keep(self, name: str, value: str) -> None:
        """Remember a value by a name that is no path."""
        if self.kept(name) != value:
            self._known[name] = [value]
            self._changed = True

    def kept(self, name: str) -> str | None:
        """What was kept last, if anything was."""
        return str(self._known[name][-1]) if name in self._known else None

    def save(self) -> None:
        """Keep what was learned; a folder that cannot be written costs only time."""
        if not self._changed:
            return
        try:
            self._path.parent.mkdir(parents=True, exist_ok=True)
            write_whole(self._path, json.dumps(self._known))
        except OSError as error:
            log.warning(
                "digests of the user's files are not remembered: %s. Each command reads them anew; "
                "make the folder writable to save that time",
                error,
            )

    def _digests(self, files: Sequence[Path]) -> list[str]:
        stamps = {file: _stamp(file) for file in files}
        unread = [f for f in files if self._known.get(str(f.resolve()), [])[:-1] != stamps[f]]
        found = dict(zip(unread, digest_files(unread), strict=True))
        now = time.time_ns()
        for file, digest in found.items():
            if now - max(file.stat().st_mtime_ns, file.stat().st_ctime_ns) > _SETTLED_NS:
                self._known[str(file.resolve())] = [*stamps[file], digest]
                self._changed = True
        return [found.get(file) or str(self._known[str(file.resolve())][-1]) for file in files]


def _stamp(path: Path) -> list[object]:
    facts = path.stat()
    return [facts.st_size, facts.st_mtime_ns, facts.st_ctime_ns, facts.st_ino]


def _read_cache(path: Path) -> dict[str, list[object]]:
    try:
        return dict(json.loads(path.read_text("utf-8")))
    except (OSError, ValueError):
        return {}  # no cache, or a damaged one: every file is read


def _without_runtime(node: object) -> object:
    if isinstance(node, dict):
        return {key: _without_runtime(child) for key, child in node.items() if key != RUNTIME}
    return node
