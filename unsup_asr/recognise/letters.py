"""What a model of letters says of itself."""

from __future__ import annotations

UNITS = "units"  # in a description: "letters", where outputs are no phones
SPELLINGS = "spellings.tsv"  # among its words' files: a lexicon whose phones are letters
BOUNDARY = "|"  # between words, as transformers' tokenizers have it
