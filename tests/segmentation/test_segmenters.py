"""Every segmenter keeps the contract: fit, boundaries that tile, save and load."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from segmentation.boundaries import ClusterRuns, SwitchPenaltyViterbi, cheapest_path
from segmentation.change_peaks import MultiScalePeaks, SpectralPeaks
from segmentation.contrastive import ContrastivePeaks
from segmentation.kmeans import KMeans
from segmentation.saved import write_arrays
from segmentation.uniform import UniformSegments
from unsup_asr.formats.ragged import RaggedArray
from unsup_asr.protocols import Segmenter
from unsup_asr.types import FrameTiming

DIM = 20
SEGMENT_FRAMES = 8


def made_of_segments(num_utterances: int = 12, seed: int = 0) -> tuple[RaggedArray, list[int]]:
    """Utterances of 15 noisy constant segments of 8 frames, and their true inner edges."""
    generator = np.random.default_rng(seed)
    centres = np.random.default_rng(99).normal(size=(3, DIM)) * 3
    arrays = {}
    for i in range(num_utterances):
        labels = (np.cumsum(generator.integers(1, 3, size=15))) % 3  # neighbours differ
        frames = np.repeat(centres[labels], SEGMENT_FRAMES, axis=0)
        frames = frames + generator.normal(0, 0.3, frames.shape)
        arrays[f"u{i}"] = frames.astype(np.float32)
    return RaggedArray.from_arrays(arrays), list(range(SEGMENT_FRAMES, 120, SEGMENT_FRAMES))


TIMING = FrameTiming(shift_s=0.01, first_centre_s=0.0125)
RATE = 100 / SEGMENT_FRAMES
MAKERS: dict[str, Callable[[], Segmenter]] = {
    "runs": lambda: ClusterRuns(KMeans(num_clusters=3, niter=20, nredo=20)),
    "viterbi": lambda: SwitchPenaltyViterbi(KMeans(num_clusters=3, niter=20, nredo=20)),
    "spectral": lambda: SpectralPeaks(segments_per_second=RATE),
    "multi_scale": lambda: MultiScalePeaks(segments_per_second=RATE),
    "uniform": lambda: UniformSegments(segment_s=0.01 * SEGMENT_FRAMES),
    "contrastive": lambda: ContrastivePeaks(
        hidden_dim=16, encoding_dim=8, num_updates=60, crop_frames=64, segments_per_second=RATE
    ),
}


@pytest.mark.parametrize("name", MAKERS)
def test_true_edges_of_clean_segments_are_found(name: str) -> None:
    train, edges = made_of_segments()
    segmenter = MAKERS[name]()
    assert isinstance(segmenter, Segmenter)
    segmenter.fit(train, TIMING)
    fresh, _ = made_of_segments(seed=1)
    hits = found = 0
    for frames in fresh.values():
        boundaries = segmenter.boundaries(frames)
        assert boundaries.dtype == np.int32
        assert (boundaries[0], boundaries[-1]) == (0, 120)
        assert np.all(np.diff(boundaries) > 0)
        hits += len(set(boundaries[1:-1].tolist()) & set(edges))
        found += len(boundaries) - 2
    assert hits / (len(fresh) * len(edges)) > 0.95
    assert hits / found > 0.9


@pytest.mark.parametrize("name", MAKERS)
def test_a_saved_segmenter_gives_the_same_boundaries(name: str, tmp_path: Path) -> None:
    train, _ = made_of_segments()
    segmenter, loaded = MAKERS[name](), MAKERS[name]()
    segmenter.fit(train, TIMING)
    segmenter.save(tmp_path)
    loaded.load(tmp_path)
    for frames in train.values():
        np.testing.assert_array_equal(loaded.boundaries(frames), segmenter.boundaries(frames))


@pytest.mark.parametrize("name", MAKERS)
def test_fitting_twice_gives_the_same_boundaries(name: str) -> None:
    train, _ = made_of_segments()
    first, second = MAKERS[name](), MAKERS[name]()
    first.fit(train, TIMING)
    second.fit(train, TIMING)
    for frames in train.values():
        np.testing.assert_array_equal(first.boundaries(frames), second.boundaries(frames))


@pytest.mark.parametrize("name", sorted(set(MAKERS) - {"uniform"}))  # which has nothing to learn
def test_use_before_fit_and_load_from_an_empty_folder_are_errors(name: str, tmp_path: Path) -> None:
    segmenter = MAKERS[name]()
    with pytest.raises(ValueError, match="call fit or load first"):
        segmenter.boundaries(np.zeros((5, DIM), np.float32))
    with pytest.raises(ValueError, match="call fit or load first"):
        segmenter.save(tmp_path)
    with pytest.raises(ValueError, match="does not exist"):
        segmenter.load(tmp_path)


@pytest.mark.parametrize("name", MAKERS)
def test_nan_features_are_an_error_in_fit_and_in_use(name: str) -> None:
    train, _ = made_of_segments(3)
    bad = {i: x.copy() for i, x in train.items()}
    bad["u1"][4, 2] = np.nan
    with pytest.raises(ValueError, match="rows hold NaN"):
        MAKERS[name]().fit(RaggedArray.from_arrays(bad), TIMING)
    segmenter = MAKERS[name]()
    segmenter.fit(train, TIMING)
    with pytest.raises(ValueError, match="1 of 120 rows hold NaN"):
        segmenter.boundaries(bad["u1"])


@pytest.mark.parametrize("name", ["spectral", "multi_scale", "contrastive"])
def test_the_number_of_segments_follows_the_expected_rate(name: str) -> None:
    train, _ = made_of_segments()
    counts = []
    for rate in (6.0, 12.0):
        segmenter = MAKERS[name]()
        segmenter.segments_per_second = rate  # pyright: ignore
        segmenter.fit(train, TIMING)
        counts.append(sum(len(segmenter.boundaries(x)) - 2 for x in train.values()))
    seconds = len(train.values_array) / 100
    np.testing.assert_allclose(counts, [6 * seconds, 12 * seconds], rtol=0.02)


def test_zero_utterances_are_an_error() -> None:
    empty = RaggedArray(np.zeros((0, DIM), np.float32), [], np.zeros(1, np.int64))
    with pytest.raises(ValueError, match="0 utterances to fit on"):
        MultiScalePeaks(segments_per_second=RATE).fit(empty, TIMING)


def test_a_one_frame_utterance_is_one_segment() -> None:
    train, _ = made_of_segments()
    for make in MAKERS.values():
        segmenter = make()
        segmenter.fit(train, TIMING)
        assert segmenter.boundaries(train["u0"][:1]).tolist() == [0, 1]


def test_impossible_options_are_refused() -> None:
    with pytest.raises(ValueError, match="by is 'width'"):
        SpectralPeaks(by="width")
    train, _ = made_of_segments(2)
    with pytest.raises(ValueError, match="expected fewer than one a frame"):
        SpectralPeaks(segments_per_second=100).fit(train, TIMING)
    with pytest.raises(ValueError, match="no rate of segments; set segmentation"):
        SpectralPeaks().fit(train, TIMING)
    with pytest.raises(ValueError, match="segments_per_second is 0; expected more than 0"):
        SpectralPeaks(segments_per_second=0)
    with pytest.raises(ValueError, match="crop_frames is 10"):
        ContrastivePeaks(crop_frames=10)
    with pytest.raises(ValueError, match="no windows"):
        MultiScalePeaks(RATE, mel_windows=[], cepstral_windows=[]).fit(train, TIMING)
    narrow = RaggedArray.from_arrays({"a": np.ones((9, 8), np.float32)})
    with pytest.raises(ValueError, match="8 dims for 13 cepstra"):
        MultiScalePeaks(RATE).fit(narrow, TIMING)


def test_an_encoder_of_another_size_is_refused(tmp_path: Path) -> None:
    train, _ = made_of_segments(3)
    segmenter = MAKERS["contrastive"]()
    segmenter.fit(train, TIMING)
    segmenter.save(tmp_path)
    with pytest.raises(ValueError, match="does not fit hidden_dim 128"):
        ContrastivePeaks().load(tmp_path)


def test_a_saved_viterbi_keeps_the_scale_of_its_penalty(tmp_path: Path) -> None:
    train, _ = made_of_segments(3)
    segmenter = SwitchPenaltyViterbi(KMeans(num_clusters=3))
    segmenter.fit(train, TIMING)
    segmenter.save(tmp_path)
    loaded = SwitchPenaltyViterbi(KMeans(num_clusters=3))
    loaded.load(tmp_path)
    assert segmenter.mean_distance == loaded.mean_distance
    assert segmenter.mean_distance == pytest.approx(0.3**2 * DIM, rel=0.1)
    (tmp_path / "mean_distance.npy").unlink()
    with pytest.raises(ValueError, match=r"mean_distance\.npy does not exist"):
        loaded.load(tmp_path)


def test_frames_that_all_lie_on_centroids_are_an_error() -> None:
    constant = RaggedArray.from_arrays({"a": np.repeat(np.eye(3, dtype=np.float32), 20, axis=0)})
    with pytest.raises(ValueError, match="every frame lies on a centroid"):
        SwitchPenaltyViterbi(KMeans(num_clusters=3, nredo=20)).fit(constant, TIMING)


def test_spectral_peaks_see_only_the_static_dims() -> None:
    train, _ = made_of_segments(3)
    frames = train["u0"]
    other_deltas = np.concatenate([frames[:, :13], frames[:, 13:] + 5 * frames[:, :7]], axis=1)
    other_statics = np.concatenate([frames[:, :12], 2 * frames[:, 12:]], axis=1)
    segmenter = SpectralPeaks()
    np.testing.assert_array_equal(segmenter.curve(other_deltas), segmenter.curve(frames))
    assert not np.allclose(segmenter.curve(other_statics), segmenter.curve(frames))


def test_multi_scale_curves_do_not_depend_on_the_scale_of_the_features() -> None:
    train, _ = made_of_segments(3)
    louder = RaggedArray.from_arrays({i: 10 * x for i, x in train.items()})
    first, second = (
        MultiScalePeaks(segments_per_second=RATE),
        MultiScalePeaks(segments_per_second=RATE),
    )
    first.fit(train, TIMING)
    second.fit(louder, TIMING)
    assert first.cepstral_scale is not None
    assert second.cepstral_scale is not None
    np.testing.assert_allclose(first.cepstral_scale, 10 * second.cepstral_scale, rtol=1e-4)
    np.testing.assert_allclose(first.curve(train["u0"]), second.curve(louder["u0"]), rtol=1e-4)


def test_a_diverged_encoder_is_an_error() -> None:
    train, _ = made_of_segments(3)
    segmenter = ContrastivePeaks(num_updates=5, crop_frames=64, learning_rate=float("inf"))
    with pytest.raises(ValueError, match="the loss became nan; lower learning_rate"):
        segmenter.fit(train, TIMING)


def test_a_saved_file_without_its_numbers_is_an_error(tmp_path: Path) -> None:
    write_arrays(tmp_path, "spectral_peaks", {"other": np.zeros(1)})
    with pytest.raises(ValueError, match=r"has no \['threshold'\]; found \['other'\]"):
        SpectralPeaks().load(tmp_path)


def test_the_switch_penalty_path_is_the_cheapest_of_all_paths() -> None:
    costs = np.random.default_rng(0).random((7, 3))
    paths = np.array(np.meshgrid(*[range(3)] * 7)).reshape(7, -1).T
    totals = costs[np.arange(7), paths].sum(1) + 0.3 * (np.diff(paths, axis=1) != 0).sum(1)
    found = cheapest_path(costs, 0.3)
    assert found.tolist() == paths[totals.argmin()].tolist()
    assert len(set(cheapest_path(costs, 100.0))) == 1
    assert cheapest_path(costs, 0.0).tolist() == costs.argmin(1).tolist()


def test_uniform_segments_of_an_empty_folder_are_an_error(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"uniform\.json does not exist"):
        UniformSegments().load(tmp_path)


def uniform(segment_s: float, timing: FrameTiming = TIMING) -> UniformSegments:
    segmenter = UniformSegments(segment_s=segment_s)
    segmenter.fit(made_of_segments(1)[0], timing)
    return segmenter


def test_uniform_segments_end_with_a_shorter_one() -> None:
    seven = np.zeros((7, DIM), dtype=np.float32)
    assert uniform(0.03).boundaries(seven).tolist() == [0, 3, 6, 7]
    assert uniform(0.07).boundaries(seven).tolist() == [0, 7]
    with pytest.raises(ValueError, match="segment_s is 0; expected more than 0 seconds"):
        UniformSegments(segment_s=0)


AT_20_MS = FrameTiming(shift_s=0.02, first_centre_s=0.0125)


def test_uniform_segments_last_as_long_at_every_frame_shift() -> None:
    four = np.zeros((4, DIM), dtype=np.float32)
    assert uniform(0.02).boundaries(four).tolist() == [0, 2, 4]
    assert uniform(0.02, AT_20_MS).boundaries(four).tolist() == [0, 1, 2, 3, 4]
    for impossible_s in (0.01, 0.03):
        with pytest.raises(
            ValueError, match=r"one frame every 0\.02 s; expected that, or a multiple"
        ):
            uniform(impossible_s, AT_20_MS)


@pytest.mark.parametrize("name", ["spectral", "multi_scale", "contrastive"])
def test_the_rate_of_segments_is_kept_at_another_frame_shift(name: str) -> None:
    train, _ = made_of_segments()
    segmenter = MAKERS[name]()
    segmenter.segments_per_second = 5.0  # pyright: ignore
    segmenter.fit(train, AT_20_MS)
    found = sum(len(segmenter.boundaries(x)) - 2 for x in train.values())
    assert found == pytest.approx(5.0 * len(train.values_array) * 0.02, rel=0.02)
