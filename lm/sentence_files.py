"""What all front ends write of a text line by line: its phones, its words, what is to be said."""

from __future__ import annotations

from collections.abc import Iterable
from functools import cache
from pathlib import Path

from lm.inventory import PhoneInventory
from unsup_asr.formats.phone_text import phone_sentence_line


def write_sentences(waiting: Iterable[str], inventory: PhoneInventory, out: Path) -> int:
    """Write `phones.txt`, `words.txt` and `written.txt` of the sentences whose phones the inventory
    has; how many there are.

    A waiting line has `word phones` and a tab for each word, then what is to be said of it.
    """
    replace = cache(lambda spoken: inventory.apply(spoken.split(" ")))
    num_kept = 0
    with (
        (out / "phones.txt").open("w", encoding="utf-8") as phones_file,
        (out / "words.txt").open("w", encoding="utf-8") as words_file,
        (out / "written.txt").open("w", encoding="utf-8") as written_file,
    ):
        for line in waiting:
            *parts, written = line.rstrip("\n").split("\t")
            said = [part.split(" ", 1) for part in parts]
            replaced = [replace(phones) for _, phones in said]
            if not said or None in replaced:
                continue
            sentence = [phones for phones in replaced if phones]
            phones_file.write(phone_sentence_line(sentence) + "\n")
            names = [word for (word, _), phones in zip(said, replaced, strict=True) if phones]
            words_file.write(" ".join(names) + "\n")
            written_file.write(written + "\n")
            num_kept += 1
    return num_kept
