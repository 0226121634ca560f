import io
import math

import numpy as np
import pytest
from matplotlib.image import imread

from unsup_asr.report import plots


def pixels(png: bytes) -> np.ndarray:
    """Height, width, RGBA in 0 to 1."""
    return imread(io.BytesIO(png), format="png")


def has_colour(image: np.ndarray, hexadecimal: str) -> bool:
    colour = np.array([int(hexadecimal[i : i + 2], 16) for i in (1, 3, 5)]) / 255
    return bool((np.abs(image[..., :3] - colour) < 0.02).all(axis=-1).any())


BLUE, VERMILION = "#0072B2", "#D55E00"


def test_two_series_have_two_colours():
    image = pixels(plots.curves({"a": [3.0, 2.0, 1.0], "b": [1.0, 2.0, 3.0]}))
    assert has_colour(image, BLUE)
    assert has_colour(image, VERMILION)


def blue_columns(png: bytes) -> np.ndarray:
    """Which columns of the picture have the colour of the first curve."""
    colour = np.array([int(BLUE[i : i + 2], 16) for i in (1, 3, 5)]) / 255
    return (np.abs(pixels(png)[..., :3] - colour) < 0.02).all(axis=-1).any(axis=0)


def longest_gap(columns: np.ndarray) -> int:
    """Columns without the colour between the first and the last that have it."""
    inside = np.flatnonzero(columns)
    return int(np.diff(inside).max()) - 1


def test_a_diverged_curve_is_drawn_with_a_gap():
    whole = [3.0, 2.5, 2.0, 1.5, 1.0, 1.5]
    for value in (math.inf, math.nan):
        diverged = [3.0, 2.5, value, value, 1.0, 1.5]
        gap = longest_gap(blue_columns(plots.curves({"a": diverged})))
        assert gap > 10 * max(longest_gap(blue_columns(plots.curves({"a": whole}))), 1)


def test_many_restarts_share_one_colour_and_no_legend():
    image = pixels(plots.curves({f"restart {i}": [3.0, 2.0 - 0.1 * i] for i in range(16)}))
    assert not has_colour(image, VERMILION)


def test_curves_without_values_are_an_error():
    with pytest.raises(ValueError, match="no values to draw for 'matching'"):
        plots.curves({"restart 1": []}, title="matching")


def test_true_boundaries_are_above_found_ones():
    png = plots.spectrogram(
        np.zeros((100, 40)),
        shift_s=0.01,
        true_boundaries_s=[0.0, 0.5, 1.0],
        found_boundaries_s=[0.25],
        phones=["tʃ", "n̩"],
    )
    image = pixels(png)
    height = len(image)
    assert has_colour(image[: height // 4], BLUE)
    assert not has_colour(image[: height // 4], VERMILION)
    assert has_colour(image[height // 2 : 3 * height // 4], VERMILION)


def test_phones_that_do_not_fit_their_boundaries_are_an_error():
    with pytest.raises(ValueError, match="3 phones for 3 true boundaries"):
        plots.spectrogram(
            np.zeros((10, 4)),
            shift_s=0.01,
            true_boundaries_s=[0, 0.05, 0.1],
            found_boundaries_s=[],
            phones=["a", "b", "c"],
        )


def test_confusions_are_drawn_per_reference_phone_and_an_unseen_one_does_not_divide_by_zero():
    def drawn(seen_often: int) -> np.ndarray:
        counts = np.array([[seen_often, 0, 0], [0, 1, 1], [0, 0, 0]])
        return pixels(plots.confusion(counts, ["a", "b", "∅"]))

    assert np.isfinite(drawn(1000)).all()
    np.testing.assert_array_equal(drawn(1000), drawn(1))  # shares, however often it was said
    with pytest.raises(ValueError, match=r"shape \(2, 2\) with 3 labels"):
        plots.confusion(np.zeros((2, 2)), ["a", "b", "∅"])


def test_every_stage_has_its_bar():
    few = pixels(plots.wall_time({"corpus": 2.0}))
    many = pixels(plots.wall_time({f"stage {i}": float(i) for i in range(12)}))
    assert len(many) > len(few)
    with pytest.raises(ValueError, match="no stage to draw"):
        plots.wall_time({})


def test_each_layer_has_a_bar_for_its_weight_and_one_for_its_share():
    image = pixels(plots.layer_weights([0, 6, 12], [0.2, 0.5, 0.3], [0.6, 0.1, 0.3]))
    assert has_colour(image, BLUE)
    assert has_colour(image, VERMILION)
    tall, low = (
        pixels(plots.layer_weights([0], [1.0], [share], title="share")) for share in (1.0, 0.01)
    )
    vermilion = [
        (np.abs(i[..., :3] - np.array([0xD5, 0x5E, 0]) / 255) < 0.02).all(axis=-1).sum()
        for i in (tall, low)
    ]
    assert vermilion[0] > 5 * vermilion[1]
    with pytest.raises(ValueError, match="2 layers, 1 weights and 2 shares"):
        plots.layer_weights([0, 1], [1.0], [0.5, 0.5])


def test_the_same_picture_has_the_same_bytes():
    assert plots.wall_time({"corpus": 2.0}) == plots.wall_time({"corpus": 2.0})


@pytest.mark.parametrize("name", ["$x_$", "$\\frac{$", "$$", "a_b", "50 % $", "\\alpha"])
def test_names_are_drawn_as_they_are_written(name: str) -> None:
    """A recording may be called `$x_$`, which is half a formula."""
    mel = np.ones((40, 20), np.float32)
    times = {"true_boundaries_s": (0.0, 0.2), "found_boundaries_s": (0.1,)}
    assert plots.spectrogram(mel, shift_s=0.01, phones=(name,), title=name, **times)
    assert plots.curves({name: [1.0, 0.5], "other": [1.0]}, title=name, x_label=name, y_label=name)
    assert plots.wall_time({name: 1.0}, title=name)
    assert plots.confusion(np.ones((2, 2)), [name, "b"], title=name)


def test_the_surer_the_righter_is_drawn_along_the_diagonal():
    image = pixels(plots.reliability([0.1, 0.9], [0.1, 0.9], [1, 100]))
    colour = np.array([int(BLUE[i : i + 2], 16) for i in (1, 3, 5)]) / 255
    rows, columns = np.nonzero((np.abs(image[..., :3] - colour) < 0.02).all(axis=-1))
    right = columns > np.median(columns)
    assert rows[right].mean() < rows[~right].mean(), "higher on the right"
    lowest, highest = (rows > rows.max() - 6).sum(), (rows < rows.min() + 6).sum()
    assert highest > 2 * lowest, "a larger point where there are more phones"
