"""The pictures of a report, from plain arrays to SVG that stands inside a page.

Drawn on matplotlib's own canvas, without pyplot: no window, no global state, no display needed.
Ink and lines have the page's colours (`currentColor`, `--quiet`, `--line`), so that they follow its
light and dark, as do the series (`--series-1`, ...).
"""

from __future__ import annotations

import io
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TypeGuard

import numpy as np
from matplotlib import rc_context
from matplotlib.axes import Axes
from matplotlib.backends.backend_svg import FigureCanvasSVG
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator, NullFormatter

from unsup_asr.types import Seconds

# Okabe and Ito 2008: told apart by readers with any kind of colour vision.
COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9")
# Colours of the page, as matplotlib is told of them.
_INK, _QUIET, _LINE = "#010203", "#040506", "#070809"
_OF_PAGE = {
    **{_INK: "currentColor", _QUIET: "var(--quiet)", _LINE: "var(--line)"},
    **{colour.lower(): f"var(--series-{n})" for n, colour in enumerate(COLOURS, start=1)},
}
_WIDTH_INCHES = 8.0
_POINTS_PER_INCH = 72
_MOST_FOR_LOG = 20  # times the smallest, above which values are drawn on a logarithmic scale
_AS_WRITTEN = rc_context(
    {
        "text.parse_math": False,  # names are the user's: `$` in one does not begin a formula
        "svg.fonttype": "none",  # text stays text
        "font.family": "sans-serif",
        "font.sans-serif": ["DejaVu Sans"],
        **dict.fromkeys(("text.color", "axes.labelcolor", "legend.labelcolor"), _INK),
    }
)


@dataclass(frozen=True, kw_only=True)
class Standing:
    """One system, or member: what it reached, in percent with its interval and nulls where
    references are, and its criterion. None where it has none; `is_chosen` marks it.
    """

    name: str
    per: float | None = None
    interval: tuple[float, float] | None = None
    null: float | None = None  # the lower of its nulls
    criterion: float | None = None
    is_chosen: bool = False


@_AS_WRITTEN
def curves(
    series: Mapping[str, Sequence[float]],
    *,
    title: str = "",
    x_label: str = "step",
    y_label: str = "",
    x_step: float = 1.0,
) -> str:
    """One line per series, its values `x_step` apart; gaps where a value is not finite.

    Up to six series are named; more are drawn thin and alike, as restarts of one thing.
    """
    if not any(len(values) for values in series.values()):
        raise ValueError(
            f"no values to draw for {title or 'curves'!r}; expected at least one series"
        )
    figure, axes = _figure(height_inches=3.0)
    named = len(series) <= len(COLOURS)
    for position, (name, values) in enumerate(series.items()):
        axes.plot(
            np.arange(1, len(values) + 1) * x_step,
            np.where(np.isfinite(values), values, np.nan),
            color=COLOURS[position] if named else COLOURS[0],
            linewidth=1.6 if named else 0.9,
            alpha=1.0 if named else 0.45,
            marker="o" if named and len(values) <= 20 else "",
            markersize=3.5,
            label=name,
        )
    if named and len(series) > 1:
        axes.legend(frameon=False, fontsize=8)
    axes.grid(axis="y", color=_LINE, linewidth=0.7)
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    _label(axes, title=title, x_label=x_label, y_label=y_label)
    return _svg(figure, title)


@_AS_WRITTEN
def standings(
    runs: Mapping[str, Sequence[Standing]],
    *,
    title: str,
    criterion_name: str,
    of_text: float | None = None,
) -> str:
    """Error rates above criteria of the systems of each run, by its name; one panel where only one
    of both is known.

    Bars are 95 % intervals, short lines the lower null, full points what was chosen. `of_text` is
    the criterion of the text itself. ValueError where nothing is known.
    """
    systems = [system for of_run in runs.values() for system in of_run]
    has_rates = any(system.per is not None for system in systems)
    has_criteria = any(_is_finite(system.criterion) for system in systems)
    if not has_rates and not has_criteria:
        raise ValueError(f"no values to draw for {title!r}; expected an error rate or a criterion")
    num_panels = has_rates + has_criteria
    figure = Figure(
        figsize=(_WIDTH_INCHES, 0.9 + 2.0 * num_panels),
        dpi=_POINTS_PER_INCH,
        layout="constrained",
    )
    panels = list(figure.subplots(num_panels, 1, sharex=True, squeeze=False)[:, 0])
    for axes in panels:
        _plain(axes)
        axes.grid(axis="y", color=_LINE, linewidth=0.7)
    names = list(dict.fromkeys(system.name for system in systems))
    for number, (run, of_run) in enumerate(runs.items()):
        shift = 0.3 * ((number + 1) / (len(runs) + 1) - 0.5) * (len(runs) > 1)
        places = {name: place + shift for place, name in enumerate(names)}
        colour = COLOURS[number % len(COLOURS)]
        if has_rates:
            _rates(panels[0], of_run, places, colour, label=run)
        if has_criteria:
            _criteria(panels[-1], of_run, places, colour)
    if has_rates:
        panels[0].set_ylim(bottom=0)
        _label(panels[0], title=title, x_label="", y_label="PER %")
    if has_criteria:
        _label(panels[-1], title="" if has_rates else title, x_label="", y_label=criterion_name)
        if _is_finite(of_text):
            panels[-1].axhline(of_text, color=_QUIET, linestyle="--", linewidth=1.0)
        shown = [s.criterion for s in systems if s.criterion is not None and s.criterion > 0]
        if max(shown, default=0) > _MOST_FOR_LOG * min(shown, default=1):
            panels[-1].set_yscale("log")
            panels[-1].yaxis.set_major_formatter("{x:g}")  # the usual one is a formula
            panels[-1].yaxis.set_minor_formatter(NullFormatter())
    if len(runs) > 1:
        figure.legend(loc="outside lower left", ncols=3, frameon=False, fontsize=8)
    panels[-1].set_xticks(range(len(names)), names, rotation=35, ha="right", fontsize=8)
    return _svg(figure, title)


@_AS_WRITTEN
def layer_weights(layers: Sequence[int], weights: Sequence[float], shares: Sequence[float]) -> str:
    """Two bars a layer: its softmax weight, and its share of the sum once its scale counts."""
    if not len(layers) == len(weights) == len(shares):
        raise ValueError(
            f"{len(layers)} layers, {len(weights)} weights and {len(shares)} shares; expected one "
            "of each a layer"
        )
    figure, axes = _figure(height_inches=2.6)
    places = np.arange(len(layers))
    axes.bar(places - 0.2, weights, width=0.4, color=COLOURS[0], label="weight")
    axes.bar(places + 0.2, shares, width=0.4, color=COLOURS[1], label="share, by scale")
    axes.set_xticks(places, [str(layer) for layer in layers])
    axes.legend(frameon=False, fontsize=8)
    axes.grid(axis="y", color=_LINE, linewidth=0.7)
    axes.set_axisbelow(True)
    _label(axes, title="", x_label="layer", y_label="of 1")
    return _svg(figure, "layer weights")


@_AS_WRITTEN
def reliability(
    confidences: Sequence[float], shares_right: Sequence[float], counts: Sequence[int]
) -> str:
    """The share of right phones over their confidence, both 0 to 1; areas of points are counts."""
    figure, axes = _figure(height_inches=3.6)
    axes.plot([0, 1], [0, 1], color=_QUIET, linewidth=0.9, linestyle="--")
    axes.plot(confidences, shares_right, color=COLOURS[0], linewidth=1.2)
    largest = max(counts)
    axes.scatter(
        confidences,
        shares_right,
        s=[12 + 200 * count / largest for count in counts],
        color=COLOURS[0],
        zorder=3,
    )
    axes.set(xlim=(0, 1.02), ylim=(0, 1.02), aspect="equal")
    _label(axes, title="", x_label="confidence", y_label="share that is right")
    return _svg(figure, "confidences")


@_AS_WRITTEN
def wall_time(seconds_by_stage: Mapping[str, Seconds]) -> str:
    """One bar a stage, in the order given, from the top."""
    if not seconds_by_stage:
        raise ValueError("no stage to draw; expected wall times of at least one")
    names, seconds = list(seconds_by_stage), list(seconds_by_stage.values())
    figure, axes = _figure(height_inches=0.8 + 0.26 * len(names))
    bars = axes.barh(names, seconds, color=COLOURS[0], height=0.65)
    axes.bar_label(bars, [f"{s:.1f}" for s in seconds], padding=3, fontsize=8, color=_QUIET)
    axes.invert_yaxis()
    axes.margins(x=0.1)
    axes.tick_params(axis="y", length=0)
    axes.spines["left"].set_visible(False)
    _label(axes, title="", x_label="seconds", y_label="")
    return _svg(figure, "wall time")


def _rates(
    axes: Axes,
    systems: Sequence[Standing],
    places: Mapping[str, float],
    colour: str,
    *,
    label: str,
) -> None:
    axes.plot([], [], "o", color=colour, label=label)  # for the legend
    for system in systems:
        if system.per is None:
            continue
        place = places[system.name]
        if system.interval is not None:
            axes.vlines(place, *system.interval, color=colour, linewidth=1.6)
        _point(axes, place, system.per, colour, is_full=system.is_chosen)
        if system.null is not None:
            axes.hlines(system.null, place - 0.3, place + 0.3, color=_INK, linewidth=1.2)


def _criteria(
    axes: Axes, systems: Sequence[Standing], places: Mapping[str, float], colour: str
) -> None:
    there = [
        (places[system.name], system.criterion, system.is_chosen)
        for system in systems
        if _is_finite(system.criterion)
    ]
    axes.plot([p for p, _, _ in there], [c for _, c, _ in there], color=colour, linewidth=1.0)
    for place, criterion, is_chosen in there:
        _point(axes, place, criterion, colour, is_full=is_chosen)


def _point(axes: Axes, place: float, value: float, colour: str, *, is_full: bool) -> None:
    face = colour if is_full else "none"
    axes.plot([place], [value], "o", color=colour, markerfacecolor=face, markersize=6)


def _is_finite(value: float | None) -> TypeGuard[float]:
    return value is not None and bool(np.isfinite(value))


def _figure(*, height_inches: float) -> tuple[Figure, Axes]:
    figure = Figure(
        figsize=(_WIDTH_INCHES, height_inches), dpi=_POINTS_PER_INCH, layout="constrained"
    )
    axes = figure.add_subplot()
    _plain(axes)
    return figure, axes


def _plain(axes: Axes) -> None:
    for side in ("top", "right"):
        axes.spines[side].set_visible(False)
    for side in ("bottom", "left"):
        axes.spines[side].set_color(_QUIET)
    axes.tick_params(which="both", labelsize=8, color=_QUIET, labelcolor=_INK)


def _label(axes: Axes, *, title: str, x_label: str, y_label: str) -> None:
    if title:
        axes.set_title(title, fontsize=10, color=_INK, loc="left")
    axes.set_xlabel(x_label, fontsize=9, color=_INK)
    axes.set_ylabel(y_label, fontsize=9, color=_INK)


def _svg(figure: Figure, name: str) -> str:
    """One element `<svg>`, whose ids have `name` in them: no two on a page are equal."""
    figure.patch.set_visible(False)
    for axes in figure.axes:
        axes.set_facecolor("none")
    out = io.StringIO()
    with rc_context({"svg.hashsalt": name}):
        nothing = dict.fromkeys(("Date", "Creator", "Format", "Type"))
        FigureCanvasSVG(figure).print_svg(out, metadata=nothing)
    text = out.getvalue()
    text = text[text.index("<svg ") :]
    text = re.sub(r" <defs>\s*<style.*?</style>\s*</defs>\n", "", text, count=1, flags=re.DOTALL)
    text = re.sub(r'(<svg [^>]*?) width="[^"]*" height="[^"]*"', r"\1", text, count=1)
    text = re.sub(r'<g id="[^"]*"', "<g", text)
    return re.sub("|".join(_OF_PAGE), lambda found: _OF_PAGE[found[0]], text)
