"""Text to phones, for the unpaired text and for references given as words: one front end for both.

`prepare` writes into its folder: `phones.txt` (one sentence a line, `|` between words), `words.txt`
(the same lines as words), `written.txt` (the same lines for a synthesizer to say: as they were
written, empty where it could not say them at once), `inventory.json`, `lexicon.tsv` and
`counts.json` (what was dropped, and why).
"""

from __future__ import annotations

import json
import logging
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from tempfile import TemporaryFile

from lm.inventory import PhoneInventory, choose_inventory
from lm.lexicon import Lexicon
from lm.normalize import DroppedLines, TextNormalizer
from lm.phonemize import EspeakPhonemizer
from lm.phonemized import PhonemizeCounts, PhonemizeTally
from lm.scripts import script_of_letter, scripts_of_language
from lm.sentence_files import write_sentences
from lm.word_division import Phones
from unsup_asr.formats.lines import read_lines
from unsup_asr.formats.phone_text import write_inventory
from unsup_asr.ranges import NonNegativeInt, PositiveInt

logger = logging.getLogger(__name__)

MOST_FOREIGN_LETTERS = 0.05  # of references, above which they are of another language
# Phones that espeak-ng writes apart where speakers do not keep them apart: reduced vowels.
FOLDS = {"en": {"ᵻ": "ɪ", "ɐ": "ə"}}


@dataclass(kw_only=True)
class EspeakFrontEnd:
    """espeak-ng phones of a language; `fold` maps phones to others, on text and references alike
    (None: what FOLDS has for the language, {}: nothing).

    Phones rarer than `min_phone_count` are treated by the rule `rare` (merge, drop or keep). The
    options below those are `TextNormalizer`'s: which lines of the text are dropped.
    """

    language: str = "en-us"
    fold: dict[str, str] | None = None
    min_phone_count: NonNegativeInt = 20
    rare: str = "merge"
    min_words: PositiveInt = 1
    max_words: PositiveInt = 200
    digits: str = "speak"
    drop_duplicates: bool = False
    other_languages: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        self._normalizer = TextNormalizer(
            language=self.language,
            min_words=self.min_words,
            max_words=self.max_words,
            digits=self.digits,
            drop_duplicates=self.drop_duplicates,
            other_languages=self.other_languages,
        )
        if self.fold is None:
            self.fold = FOLDS.get(self.language.partition("-")[0], {})

    def prepare(self, text: Path, out: Path) -> None:
        """Phonemize the lines of `text`; ValueError when nothing is left, or when espeak-ng says
        most of it in another language.

        Lines pass one by one: memory grows with the vocabulary, not with the text.
        """
        dropped: Counter[str] = Counter()
        tally, phone_counts = PhonemizeTally(), Counter[str]()
        lines = self._normalizer.checked_stream(read_lines(text), dropped, source=str(text))
        phonemized = EspeakPhonemizer(language=self.language).stream(lines, tally)
        with TemporaryFile("w+", dir=out, encoding="utf-8") as waiting:  # for the inventory
            for line in phonemized:
                for word, spoken in zip(line.words, line.phones, strict=True):
                    phones = self.fold_phones(spoken)
                    phone_counts.update(phones)
                    if phones:
                        waiting.write(f"{word} {' '.join(phones)}\t")
                waiting.write("" if line.is_in_pieces else line.text)
                waiting.write("\n")
            _check_language(tally.counts, self.language, text)
            inventory = choose_inventory(
                phone_counts, min_count=self.min_phone_count, rare=self.rare
            )
            waiting.seek(0)
            num_kept = write_sentences(waiting, inventory, out)
        if not num_kept:
            raise ValueError(
                f"{text}: each of {dropped['kept']} sentences has a phone that is too rare and was "
                f"dropped ({' '.join(inventory.dropped)}); give more text, lower "
                f"text.front_end.min_phone_count, now {self.min_phone_count}, or set "
                "text.front_end.rare=keep"
            )
        write_inventory(out / "inventory.json", inventory.phones, inventory.merged)
        self._lexicon(tally, inventory).write(out / "lexicon.tsv")
        counts_of = {
            "lines": asdict(DroppedLines(**dropped)),
            "phonemized": asdict(tally.counts),
            "sentences_kept": num_kept,
            "failed_words": dict(tally.failed_words),
            "merged_phones": {p: list(q) for p, q in inventory.merged.items()},
            "dropped_phones": inventory.dropped,
        }
        (out / "counts.json").write_text(
            json.dumps(counts_of, ensure_ascii=False, indent=1), "utf-8"
        )

    def _lexicon(self, tally: PhonemizeTally, inventory: PhoneInventory) -> Lexicon:
        """Pronunciations of each word in phones of the inventory."""
        pronunciations: dict[str, Counter[Phones]] = {}
        for word, counts in tally.pronunciations.items():
            for phones, count in counts.items():
                replaced = inventory.apply(self.fold_phones(phones))
                if replaced:
                    pronunciations.setdefault(word, Counter())[replaced] += count
        return Lexicon.from_counts(pronunciations)

    def normalize_words(self, words: Sequence[str]) -> tuple[str, ...]:
        """Words as they stand in the text that `prepare` wrote: lower case, no marks around."""
        return tuple(self._normalizer.normalize_line(" ".join(words)).stored_words)

    def phonemize_references(self, words: Mapping[str, Sequence[str]]) -> dict[str, Phones]:
        """Phones of each utterance's words, said in their sentence and folded as the text is.

        ValueError where they are not words of the language.
        """
        lines = [" ".join(said) for said in words.values()]
        if not lines:
            return {}
        self._check_scripts(lines)
        tally = PhonemizeTally()
        written = (self._normalizer.normalize_line(line) for line in lines)
        phonemized = list(EspeakPhonemizer(language=self.language).stream(written, tally))
        _check_language(tally.counts, self.language, "references")
        return {
            utterance_id: self.fold_phones([p for word in line.phones for p in word])
            for utterance_id, line in zip(words, phonemized, strict=True)
        }

    def _check_scripts(self, references: Sequence[str]) -> None:
        own = scripts_of_language(self.language)
        scripts = Counter(s for line in references for c in line if (s := script_of_letter(c)))
        foreign = {script: n for script, n in scripts.items() if script not in own}
        if sum(foreign.values()) > MOST_FOREIGN_LETTERS * scripts.total():
            raise ValueError(
                f"{100 * sum(foreign.values()) / scripts.total():.0f} % of the letters of the "
                f"references are {' or '.join(foreign)}; expected {' or '.join(own)}, the script "
                f"of language {self.language!r}. Are these the references of this corpus?"
            )

    def fold_phones(self, phones: Sequence[str]) -> Phones:
        """The phones with the recipe's fold applied."""
        fold = self.fold or {}
        return tuple(fold.get(phone, phone) for phone in phones)


def _check_language(counts: PhonemizeCounts, language: str, text: Path | str) -> None:
    """ValueError where espeak-ng does not read the text as one of this language."""
    if 2 * counts.num_foreign <= counts.num_lines:
        return
    remedy = "Is `language` that of the text?"
    if "CJK" in scripts_of_language(language) and len(scripts_of_language(language)) > 1:
        remedy = "espeak-ng cannot read Chinese characters here: write the text in kana or letters"
    raise ValueError(
        f"{text}: espeak-ng says {counts.num_foreign} of {counts.num_lines} lines in another "
        f"language than {language!r}, or spells them out. {remedy}"
    )
