"""Curves and histograms as inline SVG. matplotlib draws; the page's CSS colours, for light, dark and paper alike."""

import contextlib
import io
import re
import warnings
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any
from xml.etree import ElementTree

import matplotlib
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, LogLocator, MaxNLocator, NullFormatter

from groundup.report.page import Key, Plot
from groundup.report.units import tick

POINTS = 1000  # most points of one curve
LARGEST = 1e30  # a diverging curve can reach values whose axis would overflow
COLORS = 8  # --c0 is the text colour, for the curve that matters most
THINNING = (
    f"A curve of more than {POINTS:,} values is thinned: of each of {(POINTS - 2) // 2} equal stretches its lowest "
    "and its highest value are drawn, and the first and the last value always."
)
WIDTH, HEIGHT = 480, 270  # CSS pixels: half a desktop page, or a phone held upright at nearly full size
LEFT, RIGHT, TOP, BOTTOM = 50, 10, 10, 38

# Placeholders that matplotlib writes and `_restyle` turns into CSS variables.
CSS = {"#0000e0": "var(--muted)", "#0000e1": "var(--line)"} | {f"#0000f{i}": f"var(--c{i})" for i in range(COLORS)}
MUTED, LINE = list(CSS)[:2]
STYLE: dict[Any, Any] = {"svg.fonttype": "none", "svg.hashsalt": "groundup", "font.size": 11, "path.simplify": False}


@dataclass(frozen=True)
class Series:
    """One curve: x ascending, y of the same length; values that are not finite are left out."""

    label: str
    x: Sequence[float]
    y: Sequence[float]
    color: int = 0
    faint: bool = False


@dataclass(frozen=True)
class Steps:
    """Counts of a histogram, one for each bin; `filled` ones lie behind the others as an area."""

    label: str
    counts: Sequence[float]
    color: int = 0
    filled: bool = False


@dataclass(frozen=True)
class Level:
    """A dashed horizontal line with its name written on it."""

    label: str
    y: float
    color: int = 0


def thin(x: np.ndarray, y: np.ndarray, points: int = POINTS) -> tuple[np.ndarray, np.ndarray]:
    """At most `points` of the points (n,), by the rule in `THINNING`: spikes stay, and so do both ends."""
    if len(x) <= points:
        return x, y
    stretches = np.array_split(np.arange(1, len(x) - 1), (points - 2) // 2)
    inner = {int(i) for part in stretches for i in (part[y[part].argmin()], part[y[part].argmax()])}
    keep = np.array([0, *sorted(inner), len(x) - 1])
    return x[keep], y[keep]


def noisy(series: Series, stretches: int = 100) -> list[Series]:
    """A long curve as a faint one and the mean of each of `stretches` equal parts; a short one as it is."""
    x, y = _finite(series)
    if len(x) <= 2 * stretches:
        return [series]
    parts = np.array_split(np.arange(len(x)), stretches)
    faint = Series(f"{series.label}, each value", series.x, series.y, series.color, faint=True)
    mean_x, mean_y = ([float(values[part].mean()) for part in parts] for values in (x, y))
    return [faint, Series(f"{series.label}, mean of each 1/{stretches} of the run", mean_x, mean_y, series.color)]


def chart(
    name: str,
    title: str,
    unit: str,
    note: str,
    series: Sequence[Series],
    levels: Sequence[Level] = (),
    x_label: str = "step",
    **shape: Any,
) -> list[Plot]:
    """The picture of `series` with its legend, or nothing where there is nothing to draw. shape: see `curve`."""
    seen = [one for one in series if len(_finite(one)[0])]
    if not seen:
        return []
    keys = [Key(one.label, one.color, "faint" if one.faint else "solid") for one in seen]
    keys += [Key(level.label, level.color, "dashed") for level in levels]
    describe = f"{title} in {unit} by {x_label}: " + ", ".join(key.label for key in keys)
    svg = curve(name, seen, describe=describe, x_label=x_label, levels=levels, **shape)
    return [Plot(title, unit, svg, note, keys if len(keys) > 1 else ())]


def curve(
    name: str,
    series: Sequence[Series],
    *,
    describe: str,
    x_label: str,
    levels: Sequence[Level] = (),
    log: bool = False,
    zero: bool = False,
    settle: float = 0.0,
) -> str:
    """An <svg> element. Its ids begin with `name`, so that several fit on one page; `describe` is for screen readers.

    log: logarithmic y where the values span more than a factor of ten. zero: y begins at 0. settle: the values
    within this first share of the x axis do not stretch the y axis; they may lie above the frame.
    """
    curves = [(one, *thin(*_finite(one))) for one in series if len(_finite(one)[0])]
    levels = [level for level in levels if abs(level.y) < LARGEST]
    if not curves:
        raise ValueError("a picture needs at least one finite value")
    with _frame() as (axes, buffer):
        for one, x, y in curves:
            few = len(x) <= 40 and not one.faint
            axes.plot(
                x,
                y,
                color=f"#0000f{one.color % COLORS}",
                linewidth=1.0 if one.faint else 1.7,
                alpha=0.35 if one.faint else 1.0,
                marker="o" if few else "",
                markersize=3.5,
                solid_joinstyle="round",
            )
        _limits(axes, [(x, y) for _, x, y in curves], levels, log, zero, settle)
        for level in levels:
            axes.axhline(level.y, color=f"#0000f{level.color % COLORS}", linewidth=1.2, linestyle=(0, (5, 3)))
        axes.xaxis.set_major_locator(MaxNLocator(6, integer=True, steps=[1, 2, 2.5, 5, 10]))
        axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: tick(value)))
        _furnish(axes, x_label)
        places = [(level, float(axes.transData.transform((0, level.y))[1])) for level in levels]
    return _restyle(buffer.getvalue(), name, describe, places)


def histogram(
    name: str,
    title: str,
    unit: str,
    note: str,
    edges: Sequence[float],
    layers: Sequence[Steps],
    x_label: str,
    mark: tuple[str, float] | None = None,
) -> list[Plot]:
    """A picture of counts by bin, bins equally wide whatever they span, or nothing where there is nothing to draw.

    edges: (n + 1,), ascending; each layer has n counts, 0 or more. Empty bins at both ends are cut off. mark: name
    and value of a dashed vertical line.
    """
    borders, counts = np.asarray(edges, dtype=float), [np.asarray(layer.counts, dtype=float) for layer in layers]
    sound = len(borders) > 1 and np.isfinite(borders).all() and (np.diff(borders) > 0).all()
    if not sound or any(one.shape != (len(borders) - 1,) or not (abs(one) < LARGEST).all() for one in counts):
        return []
    full = np.flatnonzero(sum(counts, np.zeros(len(borders) - 1)) > 0)
    if not len(full):
        return []
    at = round(float(np.interp(mark[1], borders, np.arange(len(borders)))), 9) if mark else 0.0
    first, last = int(full[0]), int(full[-1]) + 1
    if mark and np.isfinite(mark[1]):
        first, last = min(first, int(np.floor(at))), max(last, int(np.ceil(at)))
    with _frame() as (axes, buffer):
        for layer, one in zip(layers, counts, strict=True):
            color, bins = f"#0000f{layer.color % COLORS}", np.arange(first, last + 1)
            if layer.filled:
                axes.stairs(one[first:last], bins, color=color, fill=True, alpha=0.28, linewidth=0)
            if not layer.filled or len(layers) == 1:
                axes.stairs(one[first:last], bins, color=color, linewidth=1.7)
        if mark:
            axes.axvline(at, color=MUTED, linewidth=1.2, linestyle=(0, (5, 3)))
        axes.set_xlim(first - 0.01 * (last - first), last + 0.03 * (last - first))
        axes.set_ylim(0, 1.06 * max(float(one.max()) for one in counts))
        axes.yaxis.set_major_locator(MaxNLocator(5, integer=True, steps=[1, 2, 2.5, 5, 10]))
        ticks = range(first, last + 1, -(-(last - first) // 9))
        axes.set_xticks(list(ticks), [_edge(borders[place]) for place in ticks])
        _furnish(axes, x_label)
    keys = [Key(layer.label, layer.color, "area" if layer.filled else "solid") for layer in layers]
    keys += [Key(mark[0], 7, "dashed")] if mark else []
    describe = f"{title}, {unit} by {x_label}: " + ", ".join(key.label for key in keys)
    return [Plot(title, unit, _restyle(buffer.getvalue(), name, describe, []), note, keys if len(keys) > 1 else ())]


def _edge(value: float) -> str:
    """16384 -> "16.4k": a power of two in full would run into the next one."""
    return tick(float(f"{value:.3g}") if abs(value) >= 1e4 else value)


@contextlib.contextmanager
def _frame() -> Iterator[tuple[Axes, io.StringIO]]:
    """Empty axes; what is drawn on them is in the buffer afterwards, as SVG."""
    with matplotlib.rc_context(), warnings.catch_warnings():
        matplotlib.rcdefaults()  # a user's matplotlibrc must not change the page
        matplotlib.rcParams.update(STYLE)
        warnings.simplefilter("ignore", UserWarning)
        figure = Figure(figsize=(WIDTH / 72, HEIGHT / 72), dpi=72)
        box = (LEFT / WIDTH, BOTTOM / HEIGHT, (WIDTH - LEFT - RIGHT) / WIDTH, 1 - (TOP + BOTTOM) / HEIGHT)
        axes, buffer = figure.add_axes(box), io.StringIO()
        yield axes, buffer
        figure.savefig(buffer, format="svg", transparent=True, metadata={"Date": None})


def _finite(series: Series) -> tuple[np.ndarray, np.ndarray]:
    x, y = np.asarray(series.x, dtype=float), np.asarray(series.y, dtype=float)
    keep = (np.abs(x) < LARGEST) & (np.abs(y) < LARGEST)
    return x[keep], y[keep]


def _limits(
    axes: Axes,
    curves: list[tuple[np.ndarray, np.ndarray]],
    levels: Sequence[Level],
    log: bool,
    zero: bool,
    settle: float,
) -> None:
    xs, ys = np.concatenate([x for x, _ in curves]), np.concatenate([y for _, y in curves])
    settle = settle if len(xs) >= 100 else 0.0  # of a short run everything is seen
    settled = ys[xs >= xs.min() + settle * np.ptp(xs)]
    marks = [level.y for level in levels]
    low, high = min([ys.min(), *marks]), max([settled.max(), *marks])
    if np.ptp(xs):
        axes.set_xlim(xs.min() - 0.01 * np.ptp(xs), xs.max() + 0.02 * np.ptp(xs))
    if log and low > 0 and high / low > 10:
        axes.set_yscale("log")
        axes.yaxis.set_major_locator(LogLocator(subs=(1, 2, 5) if high / low < 1e3 else (1,)))
        axes.yaxis.set_minor_formatter(NullFormatter())
        axes.set_ylim(low / 1.15, high * 1.15)
        return
    axes.yaxis.set_major_locator(MaxNLocator(6, steps=[1, 2, 2.5, 5, 10]))
    pad = (0.1 if marks else 0.06) * (high - low) or abs(high) * 0.1 or 1.0
    axes.set_ylim(0 if zero else low - pad, high + pad)


def _furnish(axes: Axes, x_label: str) -> None:
    axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _: tick(value)))
    for axis in (axes.xaxis, axes.yaxis):
        axis.set_tick_params(which="both", length=0, pad=6, labelcolor=MUTED)
    axes.grid(axis="y", which="major", color=LINE, linewidth=1)
    axes.set_axisbelow(True)
    axes.spines[:].set_visible(False)
    axes.spines["bottom"].set(visible=True, color=MUTED, linewidth=1)
    axes.set_xlabel(x_label, color=MUTED, loc="right", labelpad=2)


def _restyle(svg: str, name: str, describe: str, levels: list[tuple[Level, float]]) -> str:
    """matplotlib's document as an element of a page: no namespaces, no fonts, no metadata, own ids, CSS colours."""
    root = ElementTree.fromstring(svg)
    for parent in list(root.iter()):
        for child in list(parent):
            if child.tag.endswith(("}metadata", "}style")):  # the style would apply to the whole page
                parent.remove(child)
    used = set(re.findall(r'(?:url\(|href=")#([\w-]+)', svg))
    for element in root.iter():
        element.tag = element.tag.rpartition("}")[2]
        old = {key.rpartition("}")[2]: value for key, value in element.attrib.items()}
        element.attrib.clear()
        for key, value in old.items():
            if key == "id":
                if value not in used:
                    continue
                value = f"{name}-{value}"
            elif key == "d":
                value = re.sub(r"\s+", " ", re.sub(r"-?\d+\.\d+", lambda m: f"{float(m[0]):.1f}", value)).strip()
            elif key == "style":
                value = re.sub(r"#[0-9a-f]{6}", lambda m: CSS.get(m[0], m[0]), value)
                value = re.sub(r"font-family:[^;]*;?|font: [\d.]+px [^;]*;?", "", value).strip()
            element.set(key, value.replace("url(#", f"url(#{name}-") if key != "href" else f"#{name}-{value[1:]}")
        element.tail = None
        if element.tag != "text":
            element.text = None
    root.attrib = {"viewBox": f"0 0 {WIDTH} {HEIGHT}", "class": "plot", "role": "img", "aria-label": describe}
    for i, (level, height) in enumerate(levels):
        under = [other for _, other in levels[:i] if height - 16 < other <= height]
        under += [other for _, other in levels[i + 1 :] if height - 16 < other < height]
        if not under:  # a name that would cover another line is in the legend only
            beneath = f"{HEIGHT - height + 14:.1f}"  # a floor has its curves above
            style = f"fill: var(--c{level.color % COLORS})"
            place = {"class": "level", "x": str(WIDTH - RIGHT - 4), "y": beneath, "style": style}
            ElementTree.SubElement(root, "text", place).text = level.label
    return ElementTree.tostring(root, encoding="unicode")
