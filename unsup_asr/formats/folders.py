"""Every file in a folder, in any depth, and what there is that cannot be opened.

Readers of a folder and the digest of its content must mean the same files by it.
"""

from __future__ import annotations

import stat
from dataclasses import dataclass, field
from pathlib import Path


@dataclass(frozen=True)
class FolderListing:
    """What a folder holds; each list sorted by path."""

    files: list[Path] = field(default_factory=list)
    hidden: list[Path] = field(default_factory=list)  # names with a dot in front; not looked into
    unreadable: dict[Path, str] = field(default_factory=dict)  # and why
    repeated: list[Path] = field(default_factory=list)  # links to folders that were listed already


def list_folder(folder: Path) -> FolderListing:
    """All files of a folder and the folders below, links followed, each folder once."""
    listing = FolderListing()
    _visit(folder, listing, seen=set())
    return FolderListing(
        sorted(listing.files),
        sorted(listing.hidden),
        dict(sorted(listing.unreadable.items())),
        sorted(listing.repeated),
    )


def _visit(top: Path, listing: FolderListing, *, seen: set[tuple[int, int]]) -> None:
    """Folders themselves before links to them, so that a file has the path without a link."""
    folders, links = [top], []
    while folders or links:
        folder = folders.pop() if folders else links.pop()
        try:
            facts = folder.stat()
            if (facts.st_dev, facts.st_ino) in seen:
                listing.repeated.append(folder)
                continue
            seen.add((facts.st_dev, facts.st_ino))
            inside = sorted(folder.iterdir(), reverse=True)
        except OSError as error:
            listing.unreadable[folder] = f"the folder cannot be opened ({error.strerror})"
            continue
        for path in inside:
            if path.name.startswith("."):
                listing.hidden.append(path)
                continue
            try:
                mode = path.stat().st_mode
                if stat.S_ISREG(mode):
                    path.open("rb").close()
            except OSError as error:
                listing.unreadable[path] = (
                    f"a link to {path.readlink()}, which cannot be opened ({error.strerror})"
                    if path.is_symlink()
                    else f"cannot be opened ({error.strerror})"
                )
                continue
            if stat.S_ISDIR(mode):
                (links if path.is_symlink() else folders).append(path)
            elif not stat.S_ISREG(mode):
                listing.unreadable[path] = "neither a file nor a folder"
            else:
                listing.files.append(path)
