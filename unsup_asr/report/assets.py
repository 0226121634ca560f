"""What the pictures of a report are drawn from: training curves, one spectrogram, confidences.

Saved by `evaluate` beside `results.json` as `assets.json` and `spectrogram.npy`.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from itertools import pairwise
from pathlib import Path

import numpy as np

from unsup_asr.formats.checked import read_array
from unsup_asr.scoring.boundaries import phone_boundaries
from unsup_asr.scoring.reliability import Reliability
from unsup_asr.types import Float32Array, Seconds, Transcript


@dataclass(frozen=True)
class CurveSet:
    """One plot of training curves; the values of a series lie `x_step` steps apart."""

    title: str
    series: dict[str, list[float]]
    x_label: str = "step"
    y_label: str = "loss"
    x_step: float = 1.0


@dataclass(frozen=True)
class SpectrogramExample:
    """One utterance to look at. `phones` name the spans between true boundaries ('' for pauses)."""

    utterance_id: str
    log_mel_TF: Float32Array
    shift_s: Seconds
    true_boundaries_s: tuple[Seconds, ...]
    found_boundaries_s: tuple[Seconds, ...]
    phones: tuple[str, ...]


def spectrogram_example(
    reference: Transcript,
    *,
    log_mel_TF: Float32Array,
    shift_s: Seconds,
    found_boundaries_s: Sequence[Seconds],
) -> SpectrogramExample:
    """The example of one aligned utterance; stretches between its phones get an empty name."""
    edges = phone_boundaries(reference.starts_s, reference.ends_s)
    return SpectrogramExample(
        reference.utterance_id,
        log_mel_TF,
        shift_s,
        edges,
        tuple(float(time) for time in found_boundaries_s),
        tuple(_phone_at((start + end) / 2, reference) for start, end in pairwise(edges)),
    )


@dataclass(frozen=True)
class Assets:
    """All that the pictures need; parts that a run does not have are left empty."""

    curves: tuple[CurveSet, ...] = ()
    spectrogram: SpectrogramExample | None = None
    reliability: Reliability | None = None

    def write(self, folder: Path) -> None:
        """Write `assets.json` and, with a spectrogram, `spectrogram.npy`."""
        data: dict[str, object] = {"curves": [asdict(c) for c in self.curves], "spectrogram": None}
        if self.reliability is not None:
            data["reliability"] = asdict(self.reliability)
        if self.spectrogram is not None:
            np.save(
                folder / "spectrogram.npy",
                np.asarray(self.spectrogram.log_mel_TF, dtype=np.float32),
                allow_pickle=False,
            )
            kept = {k: v for k, v in vars(self.spectrogram).items() if k != "log_mel_TF"}
            data["spectrogram"] = kept
        # a diverged curve holds NaN, which Python reads back; nobody else reads this file
        (folder / "assets.json").write_text(json.dumps(data, ensure_ascii=False), "utf-8")

    @classmethod
    def read(cls, folder: Path) -> Assets:
        """Read what `write` wrote; ValueError when it is damaged."""
        path = folder / "assets.json"
        try:
            data = json.loads(path.read_text("utf-8"))
            curve_sets = tuple(CurveSet(**curve) for curve in data["curves"])
            kept, example = data["spectrogram"], None
            if kept is not None:
                example = SpectrogramExample(
                    utterance_id=kept["utterance_id"],
                    log_mel_TF=read_array(folder / "spectrogram.npy"),
                    shift_s=kept["shift_s"],
                    true_boundaries_s=tuple(kept["true_boundaries_s"]),
                    found_boundaries_s=tuple(kept["found_boundaries_s"]),
                    phones=tuple(kept["phones"]),
                )
            bins = data.get("reliability")
            found = None if bins is None else Reliability(**{k: tuple(v) for k, v in bins.items()})
        except (
            *(OSError, EOFError, LookupError, TypeError, ValueError, SyntaxError),
            *(AttributeError, RecursionError),
        ) as error:
            raise ValueError(
                f"{path}: not the assets of a report ({error}); run `evaluate` again"
            ) from error
        return cls(curve_sets, example, found)


def _phone_at(time: Seconds, reference: Transcript) -> str:
    for phone, start, end in zip(
        reference.phones, reference.starts_s, reference.ends_s, strict=True
    ):
        if start <= time < end:
            return phone
    return ""
