"""Who decides how many segments there are."""

from dataclasses import dataclass, field
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from omegaconf import OmegaConf

from unsup_asr.formats.ragged import RaggedArray, RaggedWriter
from unsup_asr.speech.timing import write_timing
from unsup_asr.steps.units import run_segments
from unsup_asr.types import SPLITS, FrameTiming

PEAKS = "segmentation.change_peaks.SpectralPeaks"
VITERBI = "segmentation.boundaries.SwitchPenaltyViterbi"


@dataclass
class Context:
    """A stage's view of features every 20 ms, and of sentences of four phones."""

    root: Path
    segmentation: dict[str, Any]
    out: Path = field(init=False)

    def __post_init__(self) -> None:
        self.out = self.root / "segments"
        self.config = OmegaConf.create({"segmentation": self.segmentation})
        rng = np.random.default_rng(0)
        for split in SPLITS:
            with RaggedWriter(self.root / "features" / "boundary" / split) as writer:
                for i in range(6):
                    centres = rng.normal(size=(10, 3)).repeat(5, axis=0)
                    writer.append(f"u{i}", centres + rng.normal(0, 0.1, centres.shape))
        write_timing(self.root / "features" / "timing.json", FrameTiming(0.02, 0.0125))
        (self.root / "text").mkdir()
        (self.root / "text" / "phones.txt").write_text("a b | c d\n" * 3, "utf-8")

    def input(self, stage: str) -> SimpleNamespace:
        return SimpleNamespace(file=lambda name: self.root / stage / name)


def segment(root: Path, **segmentation: Any) -> float:
    """Segments a second of the training features."""
    context = Context(root, segmentation)
    run_segments(context)  # type: ignore[arg-type]
    found = RaggedArray.open(context.out / "boundaries" / "train")
    return (len(found.values_array) - len(found)) / (6 * 50 * 0.02)


def test_the_rate_of_segments_comes_from_the_text_at_every_frame_shift(tmp_path: Path) -> None:
    rate = segment(tmp_path, segmenter={"_target_": PEAKS}, segments_per_phone=1.5)
    assert rate == pytest.approx(1.5 * 4, abs=1.1)  # four phones a second; one more at each end


def test_a_rate_of_the_recipe_is_used(tmp_path: Path) -> None:
    segmenter = {"_target_": PEAKS, "segments_per_second": 9.0}
    rate = segment(tmp_path, segmenter=segmenter, segments_per_phone=None)
    assert rate == pytest.approx(9.0, abs=1.1)


def test_two_rates_are_an_error(tmp_path: Path) -> None:
    segmenter = {"_target_": PEAKS, "segments_per_second": 9.0}
    with pytest.raises(ValueError, match="two rates of segments"):
        segment(tmp_path, segmenter=segmenter, segments_per_phone=1.05)


def test_a_segmenter_without_a_rate_is_used_and_one_that_would_not_be_used_refused(
    tmp_path: Path,
) -> None:
    segmenter = {"_target_": VITERBI, "kmeans": {"_target_": "segmentation.kmeans.KMeans"}}
    segmenter["kmeans"] |= {"num_clusters": 4}  # type: ignore[operator]
    with pytest.raises(ValueError, match="SwitchPenaltyViterbi finds its own rate"):
        segment(tmp_path / "a", segmenter=segmenter, segments_per_phone=1.05)
    assert segment(tmp_path / "b", segmenter=segmenter, segments_per_phone=None) > 0


def test_no_rate_at_all_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="no rate of segments; set segmentation"):
        segment(tmp_path, segmenter={"_target_": PEAKS}, segments_per_phone=None)
