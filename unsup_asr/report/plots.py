"""The pictures of a report, from plain arrays to PNG bytes.

Drawn on matplotlib's own canvas, without pyplot: no window, no global state, no display needed.
"""

from __future__ import annotations

import io
from collections.abc import Mapping, Sequence

import numpy as np
from matplotlib import rc_context
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator
from numpy.typing import NDArray

from unsup_asr.types import Seconds

# Okabe and Ito 2008: told apart by readers with any kind of colour vision.
_COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9")
_INK, _QUIET = "#222222", "#777777"
_WIDTH_INCHES = 8.0
_DOTS_PER_INCH = 110
# Names are the user's: `$` in one does not begin a formula.
_AS_WRITTEN = rc_context({"text.parse_math": False})


@_AS_WRITTEN
def curves(
    series: Mapping[str, Sequence[float]],
    *,
    title: str = "",
    x_label: str = "step",
    y_label: str = "",
    x_step: float = 1.0,
) -> bytes:
    """One line per series, its values `x_step` apart; gaps where a value is not finite.

    Up to six series are named; more are drawn thin and alike, as restarts of one thing.
    """
    if not any(len(values) for values in series.values()):
        raise ValueError(
            f"no values to draw for {title or 'curves'!r}; expected at least one series"
        )
    figure, axes = _figure(height_inches=3.0)
    named = len(series) <= len(_COLOURS)
    for position, (name, values) in enumerate(series.items()):
        axes.plot(
            np.arange(1, len(values) + 1) * x_step,
            np.where(np.isfinite(values), values, np.nan),
            color=_COLOURS[position] if named else _COLOURS[0],
            linewidth=1.6 if named else 0.9,
            alpha=1.0 if named else 0.45,
            marker="o" if named and len(values) <= 20 else "",
            markersize=3.5,
            label=name,
        )
    if named and len(series) > 1:
        axes.legend(frameon=False, fontsize=8)
    axes.grid(axis="y", color="#e6e6e6", linewidth=0.7)
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    _label(axes, title=title, x_label=x_label, y_label=y_label)
    return _png(figure)


@_AS_WRITTEN
def spectrogram(
    log_mel_TF: NDArray,
    *,
    shift_s: Seconds,
    true_boundaries_s: Sequence[Seconds],
    found_boundaries_s: Sequence[Seconds],
    phones: Sequence[str] = (),
    title: str = "",
) -> bytes:
    """Log mel energies with true boundaries in the upper half and found ones in the lower.

    Axes T frames, F mel channels. `phones` names the spans between true boundaries, one each.
    """
    if phones and len(phones) != len(true_boundaries_s) - 1:
        raise ValueError(
            f"{len(phones)} phones for {len(true_boundaries_s)} true boundaries; expected one "
            "phone for each span between two boundaries"
        )
    num_frames, num_channels = log_mel_TF.shape
    figure, axes = _figure(height_inches=3.4)
    axes.imshow(
        log_mel_TF.T,
        origin="lower",
        aspect="auto",
        cmap="Greys",
        interpolation="nearest",
        extent=(0.0, num_frames * shift_s, 0.0, num_channels),
    )
    middle = num_channels / 2
    true_colour, found_colour = _COLOURS[0], _COLOURS[1]
    axes.vlines(
        true_boundaries_s, middle, num_channels, color=true_colour, linewidth=1.3, label="true"
    )
    axes.vlines(found_boundaries_s, 0, middle, color=found_colour, linewidth=1.3, label="found")
    for phone, start, end in zip(
        phones, true_boundaries_s[:-1], true_boundaries_s[1:], strict=False
    ):
        axes.annotate(
            phone,
            ((start + end) / 2, num_channels),
            xytext=(0, 3),
            textcoords="offset points",
            ha="center",
            va="bottom",
            fontsize=7,
            color=_INK,
            annotation_clip=False,
        )
    axes.set_xlim(0, num_frames * shift_s)
    axes.legend(
        loc="upper left", bbox_to_anchor=(0, -0.14), ncols=2, frameon=False, fontsize=8, borderpad=0
    )
    _label(axes, title=title, x_label="time (s)", y_label="mel channel", title_pad=18)
    return _png(figure)


@_AS_WRITTEN
def confusion(counts_RH: NDArray, labels: Sequence[str], *, title: str = "") -> bytes:
    """Rows normalised to 1: for each reference phone, what was recognised in its place.

    Axes R reference, H hypothesis; `labels` names both, the last one is "nothing".
    """
    if counts_RH.shape != (len(labels), len(labels)):
        raise ValueError(
            f"confusion matrix of shape {counts_RH.shape} with {len(labels)} labels; expected "
            "one row and one column a label"
        )
    shares_RH = counts_RH / np.maximum(counts_RH.sum(axis=1, keepdims=True), 1)
    figure, axes = _figure(height_inches=7.0)
    image = axes.imshow(shares_RH, cmap="Blues", vmin=0, vmax=1, interpolation="nearest")
    font_size = min(9.0, 330 / max(len(labels), 1))
    axes.set_xticks(range(len(labels)), labels, fontsize=font_size)
    axes.set_yticks(range(len(labels)), labels, fontsize=font_size)
    axes.tick_params(length=0)
    bar = figure.colorbar(image, ax=axes, fraction=0.04, pad=0.02)
    bar.ax.tick_params(labelsize=8)
    bar.outline.set_visible(False)  # pyright: ignore[reportCallIssue]
    _label(axes, title=title, x_label="recognised (last: deleted)", y_label="said (last: inserted)")
    return _png(figure)


@_AS_WRITTEN
def layer_weights(
    layers: Sequence[int],
    weights: Sequence[float],
    shares: Sequence[float],
    *,
    title: str = "",
) -> bytes:
    """Two bars a layer: its softmax weight, and its share of the sum once its scale counts."""
    if not len(layers) == len(weights) == len(shares):
        raise ValueError(
            f"{len(layers)} layers, {len(weights)} weights and {len(shares)} shares; expected one "
            "of each a layer"
        )
    figure, axes = _figure(height_inches=2.6)
    places = np.arange(len(layers))
    axes.bar(places - 0.2, weights, width=0.4, color=_COLOURS[0], label="weight")
    axes.bar(places + 0.2, shares, width=0.4, color=_COLOURS[1], label="share, by scale")
    axes.set_xticks(places, [str(layer) for layer in layers])
    axes.legend(frameon=False, fontsize=8)
    axes.grid(axis="y", color="#e6e6e6", linewidth=0.7)
    axes.set_axisbelow(True)
    _label(axes, title=title, x_label="layer", y_label="of 1")
    return _png(figure)


@_AS_WRITTEN
def reliability(
    confidences: Sequence[float], shares_right: Sequence[float], counts: Sequence[int]
) -> bytes:
    """The share of right phones over their confidence, both 0 to 1; areas of points are counts."""
    figure, axes = _figure(height_inches=3.6)
    axes.plot([0, 1], [0, 1], color=_QUIET, linewidth=0.9, linestyle="--")
    axes.plot(confidences, shares_right, color=_COLOURS[0], linewidth=1.2)
    largest = max(counts)
    axes.scatter(
        confidences,
        shares_right,
        s=[12 + 200 * count / largest for count in counts],
        color=_COLOURS[0],
        zorder=3,
    )
    axes.set(xlim=(0, 1.02), ylim=(0, 1.02), aspect="equal")
    _label(axes, title="", x_label="confidence", y_label="share that is right")
    return _png(figure)


@_AS_WRITTEN
def wall_time(seconds_by_stage: Mapping[str, Seconds], *, title: str = "") -> bytes:
    """One bar a stage, in the order given, from the top."""
    if not seconds_by_stage:
        raise ValueError("no stage to draw; expected wall times of at least one")
    names, seconds = list(seconds_by_stage), list(seconds_by_stage.values())
    figure, axes = _figure(height_inches=0.8 + 0.26 * len(names))
    bars = axes.barh(names, seconds, color=_COLOURS[0], height=0.65)
    axes.bar_label(bars, [f"{s:.1f}" for s in seconds], padding=3, fontsize=8, color=_QUIET)
    axes.invert_yaxis()
    axes.margins(x=0.1)
    axes.tick_params(axis="y", length=0)
    axes.spines["left"].set_visible(False)
    _label(axes, title=title, x_label="seconds", y_label="")
    return _png(figure)


def _figure(*, height_inches: float) -> tuple[Figure, Axes]:
    figure = Figure(
        figsize=(_WIDTH_INCHES, height_inches), dpi=_DOTS_PER_INCH, layout="constrained"
    )
    axes = figure.add_subplot()
    for side in ("top", "right"):
        axes.spines[side].set_visible(False)
    axes.tick_params(labelsize=8, color=_QUIET, labelcolor=_INK)
    return figure, axes


def _label(axes: Axes, *, title: str, x_label: str, y_label: str, title_pad: float = 6.0) -> None:
    if title:
        axes.set_title(title, fontsize=10, color=_INK, loc="left", pad=title_pad)
    axes.set_xlabel(x_label, fontsize=9, color=_INK)
    axes.set_ylabel(y_label, fontsize=9, color=_INK)


def _png(figure: Figure) -> bytes:
    out = io.BytesIO()
    # without its Software line, the same picture has the same bytes under any matplotlib version
    FigureCanvasAgg(figure).print_png(out, metadata={"Software": None})
    return out.getvalue()
