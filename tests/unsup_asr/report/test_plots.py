import math
import re
from xml.etree import ElementTree

import pytest

from unsup_asr.report import plots
from unsup_asr.report.plots import Standing

FIRST, SECOND = "var(--series-1)", "var(--series-2)"


def drawn(svg: str, colour: str) -> list[str]:
    """The `d` of all paths that are drawn or filled in a colour, those of markers left out."""
    paths = ElementTree.fromstring(svg).iter("{http://www.w3.org/2000/svg}path")
    return [p.get("d", "") for p in paths if colour in p.get("style", "") and "id" not in p.attrib]


def texts(svg: str) -> list[str]:
    return [
        t.text or "" for t in ElementTree.fromstring(svg).iter("{http://www.w3.org/2000/svg}text")
    ]


def marks(svg: str, colour: str, *, full: bool | None = None) -> list[tuple[float, float]]:
    """Where the points of a colour lie, from the left and from the top."""
    of_colour = [
        use
        for use in ElementTree.fromstring(svg).iter("{http://www.w3.org/2000/svg}use")
        if f"stroke: {colour}" in use.get("style", "")
    ]
    if full is not None:
        of_colour = [u for u in of_colour if (f"fill: {colour}" in u.get("style", "")) is full]
    return [(float(u.get("x", "nan")), float(u.get("y", "nan"))) for u in of_colour]


def numbers(path: str) -> list[float]:
    return [float(n) for n in re.findall(r"-?\d+\.?\d*", path)]


def test_two_series_have_two_colours():
    svg = plots.curves({"a": [3.0, 2.0, 1.0], "b": [1.0, 2.0, 3.0]})
    assert drawn(svg, FIRST)
    assert drawn(svg, SECOND)
    assert {"a", "b"} <= set(texts(svg))


def test_a_diverged_curve_is_drawn_with_a_gap():
    whole = [3.0, 2.5, 2.0, 1.5, 1.0, 1.5]
    assert drawn(plots.curves({"a": whole}), FIRST)[0].count("M") == 1
    for value in (math.inf, math.nan):
        diverged = [3.0, 2.5, value, value, 1.0, 1.5]
        assert drawn(plots.curves({"a": diverged}), FIRST)[0].count("M") == 2


def test_many_restarts_share_one_colour_and_no_legend():
    svg = plots.curves({f"restart {i}": [3.0, 2.0 - 0.1 * i] for i in range(16)})
    assert not drawn(svg, SECOND)
    assert "restart 0" not in texts(svg)


def test_curves_without_values_are_an_error():
    with pytest.raises(ValueError, match="no values to draw for 'matching'"):
        plots.curves({"restart 1": []}, title="matching")


def test_every_stage_has_its_bar():
    few, many = plots.wall_time({"corpus": 2.0}), plots.wall_time({f"s{i}": 1.0 for i in range(12)})
    assert len(drawn(few, f"fill: {FIRST}")) == 1
    assert len(drawn(many, f"fill: {FIRST}")) == 12
    with pytest.raises(ValueError, match="no stage to draw"):
        plots.wall_time({})


def test_each_layer_has_a_bar_for_its_weight_and_one_for_its_share():
    svg = plots.layer_weights([0, 6, 12], [0.2, 0.5, 0.3], [0.6, 0.1, 0.3])
    heights = [
        [max(numbers(bar)[1::2]) - min(numbers(bar)[1::2]) for bar in drawn(svg, f"fill: {colour}")]
        for colour in (FIRST, SECOND)
    ]
    for bars, expected in zip(heights, [(0.2, 0.5, 0.3), (0.6, 0.1, 0.3)], strict=True):
        shares = [bar / heights[1][0] * 0.6 for bar in bars[:3]]  # the fourth is the legend's
        assert shares == pytest.approx(expected, rel=1e-3)
    with pytest.raises(ValueError, match="2 layers, 1 weights and 2 shares"):
        plots.layer_weights([0, 1], [1.0], [0.5, 0.5])


SYSTEMS = (
    Standing(name="matching", per=60.0, interval=(55.0, 65.0), null=80.0, criterion=500.0),
    Standing(name="gan", per=40.0, null=80.0, criterion=20.0, is_chosen=True),
    Standing(name="supervised", per=10.0),
)


def test_a_system_that_is_better_stands_lower_and_what_is_chosen_is_full():
    svg = plots.standings({"toy": SYSTEMS}, title="systems", criterion_name="perplexity")
    (full_rate, full_criterion) = marks(svg, FIRST, full=True)
    assert full_rate[0] == full_criterion[0]
    rates = sorted(marks(svg, FIRST))[::-1]
    heights = [y for _, y in sorted([*marks(svg, FIRST, full=False), full_rate]) if y < 144]
    assert heights == sorted(heights), "60, 40, 10 %, from the top"
    assert len(rates) == 5  # three rates, two criteria
    assert {"matching", "gan", "supervised", "PER %", "perplexity"} <= set(texts(svg))
    nulls = [numbers(d) for d in drawn(svg, "currentColor") if d.count("L") == 1]
    assert sum(n[1] == n[3] for n in nulls) == 2


def test_a_wide_range_of_criteria_is_drawn_by_powers_that_can_be_read():
    svg = plots.standings({"toy": SYSTEMS}, title="systems", criterion_name="perplexity")
    assert "100" in texts(svg)
    assert not [text for text in texts(svg) if "$" in text]


def test_without_references_the_criterion_alone_is_drawn_beside_that_of_the_text():
    systems = [Standing(name=n, criterion=c) for n, c in (("gan", 9.0), ("end", 7.0))]
    svg = plots.standings({"mine": systems}, title="t", criterion_name="perplexity", of_text=5.0)
    assert "PER %" not in texts(svg)
    assert len(marks(svg, FIRST)) == 2
    assert "stroke-dasharray" in svg
    infinite = [*systems, Standing(name="lost", criterion=math.inf)]
    svg = plots.standings({"mine": infinite}, title="t", criterion_name="perplexity")
    assert len(marks(svg, FIRST)) == 2
    with pytest.raises(ValueError, match="no values to draw for 't'"):
        plots.standings({"mine": [Standing(name="x")]}, title="t", criterion_name="perplexity")


def test_several_runs_have_a_colour_each_and_do_not_hide_one_another():
    svg = plots.standings({"a": SYSTEMS, "b": SYSTEMS}, title="t", criterion_name="perplexity")
    assert {"a", "b"} <= set(texts(svg))
    first, second = ({x for x, _ in marks(svg, colour)} for colour in (FIRST, SECOND))
    assert not first & second


def test_the_same_picture_has_the_same_bytes_and_two_pictures_share_no_id():
    assert plots.wall_time({"corpus": 2.0}) == plots.wall_time({"corpus": 2.0})
    ids = [
        re.findall(r'id="([^"]*)"', plots.curves({"a": [1.0, 2.0]}, title=title)) for title in "ab"
    ]
    assert ids[0]
    assert not set(ids[0]) & set(ids[1])


def test_pictures_have_the_colours_of_the_page():
    for svg in (
        plots.curves({"a": [3.0, 2.0], "b": [1.0, 2.0]}, title="t"),
        plots.reliability([0.1, 0.9], [0.1, 0.9], [1, 100]),
        plots.standings({"toy": SYSTEMS}, title="systems", criterion_name="perplexity"),
    ):
        assert "var(--line)" in svg or "var(--quiet)" in svg
        assert "currentColor" in svg
        assert not re.search(r"#[0-9a-f]{6}", svg.replace('href="#', 'href="')), "black on black"


@pytest.mark.parametrize("name", ["$x_$", "$\\frac{$", "$$", "a_b", "50 % $", "\\alpha", '<b>&"'])
def test_names_are_drawn_as_they_are_written(name: str) -> None:
    """A recording may be called `$x_$`, which is half a formula."""
    svg = plots.curves({name: [1.0, 0.5], "b": [1.0]}, title=name, x_label=name, y_label=name)
    assert texts(svg).count(name) == 4
    assert name in texts(plots.wall_time({name: 1.0}))
    assert name in texts(
        plots.standings({"r": [Standing(name=name, per=1.0)]}, title="t", criterion_name="c")
    )


def test_the_surer_the_righter_is_drawn_along_the_diagonal():
    svg = plots.reliability([0.1, 0.9], [0.1, 0.9], [1, 100])
    circles = [numbers(path) for path in drawn(svg, f"fill: {FIRST}")]
    (x, y), (x_sure, y_sure) = ((max(c[::2]), max(c[1::2])) for c in circles)
    assert x_sure > x
    assert y_sure < y
    few, many = (max(c[::2]) - min(c[::2]) for c in circles)
    assert many > 2 * few, "a larger circle where there are more phones"
