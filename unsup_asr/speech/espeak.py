"""espeak-ng as a function: text in, samples and time-aligned phones out, in process.

The C library keeps state between utterances (flutter, random numbers), so every `Espeak` loads a
private copy: a new one gives the same samples, bit for bit, for the same calls.
Not safe for threads; use one process a synthesizer.
"""

from __future__ import annotations

import atexit
import ctypes
import itertools
import logging
import os
import re
import shutil
import tempfile
from dataclasses import dataclass
from functools import cache, lru_cache
from pathlib import Path

import espeakng_loader
import numpy as np
from numpy.typing import NDArray

from unsup_asr.speech.audio import resample
from unsup_asr.speech.callbacks import raised_afterwards
from unsup_asr.speech.espeak_languages import languages, no_such_language
from unsup_asr.speech.phones import fold_espeak, is_modifier
from unsup_asr.types import Float32Array, Seconds

logger = logging.getLogger(__name__)

RATE_WPM_RANGE = (80, 450)
PITCH_RANGE = (0, 100)
WORD_GAP_RANGE = (0, 100)

# Constants of speak_lib.h
_SYNCHRONOUS = 2
_PHONEME_EVENTS_IPA = 3
_EVENT_END_OF_LIST = 0
_EVENT_PHONEME = 7
_POSITION_CHARACTER = 1
_CHARACTERS_UTF8 = 1
_PHONEMES_IPA_SEPARATED = 0x02 | (ord("_") << 8)
_PARAMETER_RATE = 1
_PARAMETER_PITCH = 3
_PARAMETER_WORD_GAP = 7
_LONGEST_DATA_PATH = 140  # of 160 bytes in C, less names of files in it

# Where a word is said in another language: "(en)" before it, "(de)" after it
_LANGUAGE_FLAG = re.compile(r"\([^)]*\)")


@dataclass(frozen=True)
class Speech:
    """Mono float32 samples in [-1, 1] and the phones said, one (start, end) each."""

    samples: Float32Array
    sample_rate: int
    phones: tuple[str, ...]
    starts_s: tuple[Seconds, ...]
    ends_s: tuple[Seconds, ...]


class Espeak:
    """A private copy of espeak-ng."""

    def __init__(self) -> None:
        with tempfile.TemporaryDirectory() as folder:
            copy = Path(folder) / "espeak.so"
            shutil.copyfile(espeakng_loader.get_library_path(), copy)
            self._library = ctypes.CDLL(str(copy))
        self._library.espeak_TextToPhonemes.restype = ctypes.c_char_p
        data = os.fsencode(espeak_data())
        self.sample_rate = int(
            self._library.espeak_Initialize(_SYNCHRONOUS, 0, data, _PHONEME_EVENTS_IPA)
        )
        if self.sample_rate <= 0:
            raise RuntimeError(f"espeak-ng did not start: code {self.sample_rate}, data {data!r}")
        # Breathy voices draw noise from espeak-ng's own generator, which starts from the clock;
        # its Klatt voices draw from C's `rand`, which nothing else here reads.
        self._library.espeak_ng_SetRandSeed(ctypes.c_long(1))
        ctypes.CDLL(None).srand(ctypes.c_uint(1))
        self._chunks: list[bytes] = []
        self._marks: list[tuple[int, str]] = []  # (sample, IPA; empty for a pause)
        self._callback = _Callback(self._receive)  # kept: C holds only its address
        self._library.espeak_SetSynthCallback(self._callback)
        self._voice = ""

    def speak(
        self,
        text: str,
        *,
        voice: str,
        rate_wpm: int = 175,
        pitch: int = 50,
        word_gap: int = 0,
        sample_rate: int = 16000,
    ) -> Speech:
        """Say one sentence. `voice` is espeak-ng's name, `en-us+f3`; pitch 0 to 100; `word_gap`
        between words in 10 ms at the usual rate.
        """
        self._set_voice(voice)
        self._set(_PARAMETER_RATE, rate_wpm, RATE_WPM_RANGE, "rate_wpm")
        self._set(_PARAMETER_PITCH, pitch, PITCH_RANGE, "pitch")
        self._set(_PARAMETER_WORD_GAP, word_gap, WORD_GAP_RANGE, "word_gap")
        self._chunks.clear()
        self._marks.clear()
        encoded = text.encode() + b"\0"
        with raised_afterwards():
            code = self._library.espeak_Synth(
                encoded, len(encoded), 0, _POSITION_CHARACTER, 0, _CHARACTERS_UTF8, None, None
            )
        if code != 0:
            raise RuntimeError(f"espeak-ng failed on {text!r} with voice {voice!r}: code {code}")
        spoken: NDArray[np.int16] = np.frombuffer(b"".join(self._chunks), dtype=np.int16)
        marks = _name_marks(self._marks, self._transcribe(encoded))
        phones, starts_s, ends_s = _spans(marks, len(spoken), self.sample_rate)
        return Speech(
            resample(spoken.astype(np.float32) / 32768.0, self.sample_rate, sample_rate),
            sample_rate,
            phones,
            starts_s,
            ends_s,
        )

    def _transcribe(self, encoded: bytes) -> list[str]:
        """The phonemes espeak-ng writes for a text, without timing."""
        remaining = ctypes.c_char_p(encoded)
        phonemes: list[str] = []
        while remaining.value:
            clause: bytes = self._library.espeak_TextToPhonemes(
                ctypes.byref(remaining), _CHARACTERS_UTF8, _PHONEMES_IPA_SEPARATED
            )
            phonemes.extend(_LANGUAGE_FLAG.sub("", clause.decode()).replace("_", " ").split())
        return phonemes

    def _set_voice(self, voice: str) -> None:
        if voice == self._voice:
            return
        language, plus, variant = voice.partition("+")
        if language not in languages():
            raise ValueError(f"voice {voice!r}: {no_such_language(language)}")
        if plus and variant not in voice_variants():
            raise ValueError(
                f"voice {voice!r}: espeak-ng has no variant {variant!r}. "
                f"Installed: {', '.join(sorted(voice_variants()))}"
            )
        name = languages()[language] + plus + variant
        if self._library.espeak_SetVoiceByName(name.encode()) != 0:
            raise RuntimeError(f"espeak-ng cannot load its own voice {name!r}")
        self._voice = voice

    def _set(self, parameter: int, value: int, allowed: tuple[int, int], name: str) -> None:
        if not allowed[0] <= value <= allowed[1]:
            raise ValueError(f"{name} is {value}; espeak-ng takes {allowed[0]} to {allowed[1]}")
        self._library.espeak_SetParameter(parameter, int(value), 0)

    def _receive(self, samples: int | None, num_samples: int, events: ctypes.Array) -> int:
        if samples and num_samples > 0:
            self._chunks.append(ctypes.string_at(samples, 2 * num_samples))
        for i in itertools.count():
            event = events[i]
            if event.type == _EVENT_END_OF_LIST:
                return 0
            if event.type == _EVENT_PHONEME:
                ipa = event.id.text.decode("utf-8", errors="ignore")
                self._marks.append((event.sample, ipa))
        raise AssertionError("unreachable")


@cache
def espeak_data() -> Path:
    """espeak-ng's data folder, by a path that its C code can hold.

    It copies the path into 160 bytes and ends the process where that is too short, so a long one
    is reached through a link. RuntimeError where no short one can be made.
    """
    data = Path(espeakng_loader.get_data_path())
    if len(os.fsencode(data)) <= _LONGEST_DATA_PATH:
        return data
    folder = Path(tempfile.mkdtemp(prefix="espeak-"))
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    link = folder / "espeak-ng-data"
    if len(os.fsencode(link)) > _LONGEST_DATA_PATH:
        raise RuntimeError(
            f"espeak-ng reads data from paths of at most {_LONGEST_DATA_PATH} bytes; {data} has "
            f"{len(os.fsencode(data))}, and a link in the temporary folder, {link}, "
            f"{len(os.fsencode(link))}. Install into a shorter path, or set TMPDIR to one"
        )
    link.symlink_to(data)
    return link


@lru_cache(maxsize=1)
def voice_variants() -> frozenset[str]:
    """Names that may follow the plus sign of a voice."""
    folder = Path(espeakng_loader.get_data_path()) / "voices" / "!v"
    return frozenset(path.name for path in folder.iterdir())


def _name_marks(marks: list[tuple[int, str]], written: list[str]) -> list[tuple[int, str]]:
    """Marks under the names espeak-ng writes, where they correspond one to one.

    Names of events lack palatalisation and are cut at 8 bytes; written phonemes are what
    phonemizer gives for text.
    """
    named: list[tuple[int, str]] = []
    for sample, name in marks:
        name = _LANGUAGE_FLAG.sub("", name)
        if name and named and all(map(is_modifier, name)):
            named[-1] = (named[-1][0], named[-1][1] + name)  # palatalisation, an event of its own
        else:
            named.append((sample, name))
    if sum(bool(name) for _, name in named) != len(written):
        logger.debug("events %s do not correspond to phonemes %s", named, written)
        return named
    names = iter(written)
    return [(sample, next(names) if name else "") for sample, name in named]


def _spans(
    marks: list[tuple[int, str]], num_samples: int, sample_rate: int
) -> tuple[tuple[str, ...], tuple[Seconds, ...], tuple[Seconds, ...]]:
    """Folded phones with start and end: each lasts until the next mark, pauses included.

    A phoneme that folds into several phones is divided evenly among them.
    """
    phones: list[str] = []
    starts_s: list[Seconds] = []
    ends_s: list[Seconds] = []
    positions = [position for position, _ in marks] + [num_samples]
    for (begin, ipa), end in zip(marks, positions[1:], strict=True):
        folded = fold_espeak(ipa)
        if not folded:
            continue
        edges = np.linspace(begin, max(begin, min(end, num_samples)), len(folded) + 1) / sample_rate
        phones.extend(folded)
        starts_s.extend(float(edge) for edge in edges[:-1])
        ends_s.extend(float(edge) for edge in edges[1:])
    return tuple(phones), tuple(starts_s), tuple(ends_s)


class _EventId(ctypes.Union):
    _fields_ = (("number", ctypes.c_int), ("pointer", ctypes.c_void_p), ("text", ctypes.c_char * 8))


class _Event(ctypes.Structure):
    """espeak_EVENT of speak_lib.h."""

    _fields_ = (
        ("type", ctypes.c_int),
        ("unique_identifier", ctypes.c_uint),
        ("text_position", ctypes.c_int),
        ("length", ctypes.c_int),
        ("audio_position", ctypes.c_int),  # ms
        ("sample", ctypes.c_int),
        ("user_data", ctypes.c_void_p),
        ("id", _EventId),
    )


_Callback = ctypes.CFUNCTYPE(ctypes.c_int, ctypes.c_void_p, ctypes.c_int, ctypes.POINTER(_Event))
