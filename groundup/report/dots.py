"""A picture of figures with their intervals, one row each: dots on a common axis, and marks to hold them against.

The elements are written here, not by matplotlib, so that every dot and mark can name itself to a pointer.
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from xml.etree.ElementTree import Element, SubElement, tostring

from matplotlib.ticker import MaxNLocator

from groundup.report.page import Key, Plot
from groundup.report.plot import COLORS, LARGEST, WIDTH

LEFT, RIGHT = 168, 412  # x of the axis' ends; the labels stand before it, the values behind it (CSS pixels)
TOP, LINE, NOTES, BOTTOM = 6, 24, 13, 24  # above the rows, of a row, for the names of marks under it, for the axis
LONGEST = 26  # characters of a label


@dataclass(frozen=True)
class Dot:
    """A figure; low and high: its interval, not-a-number where that is not known."""

    label: str
    value: float
    low: float = math.nan
    high: float = math.nan
    color: int = 0


@dataclass(frozen=True)
class Mark:
    """A value to compare with. name: some letters written under it, if any."""

    label: str
    value: float
    name: str = ""
    color: int = 7
    dashed: bool = False


@dataclass(frozen=True)
class Line:
    """One row: its dots, of which the first one's value is written behind it, and its marks."""

    label: str
    dots: Sequence[Dot]
    marks: Sequence[Mark] = ()


def picture(
    name: str,
    title: str,
    unit: str,
    note: str,
    lines: Sequence[Line],
    measure: Callable[[float], str],
    legend: Sequence[Key] = (),
    span: tuple[float, float] | None = None,
) -> list[Plot]:
    """The picture of the lines that have a finite value, or nothing where none has.

    measure: a value with its unit. span: what the axis shows at least.
    """
    seen = [line for line in lines if line.dots and _seen(line.dots[0].value)]
    if not seen:
        return []
    values = [v for line in seen for dot in line.dots for v in (dot.value, dot.low, dot.high)]
    values = [v for v in [*values, *(m.value for line in seen for m in line.marks), *(span or ())] if _seen(v)]
    ticks = MaxNLocator(5, steps=[1, 2, 2.5, 5, 10]).tick_values(min(values), max(values))
    low, high = float(ticks[0]), float(ticks[-1])

    def x(value: float) -> float:
        return LEFT + (RIGHT - LEFT) * (min(max(value, low), high) - low) / (high - low)

    heights = [LINE + (NOTES if any(mark.name for mark in line.marks) else 0) for line in seen]
    bottom = TOP + sum(heights)
    describe = f"{title}: " + "; ".join(f"{line.label} {measure(line.dots[0].value)}" for line in seen)
    box = {"viewBox": f"0 0 {WIDTH} {bottom + BOTTOM}", "class": "plot dots", "role": "img", "aria-label": describe}
    svg = Element("svg", box)
    for tick in ticks:
        _line(svg, x(tick), TOP, x(tick), bottom, "var(--line)", 1)
        _text(svg, measure(float(tick)).replace(".0 ", " "), x(tick), bottom + 15, "middle")
    y = float(TOP)
    for line, height in zip(seen, heights, strict=True):
        _row(svg, line, y, x, measure)
        y += height
    _line(svg, LEFT, bottom, RIGHT, bottom, "var(--muted)", 1)
    return [Plot(title, unit, tostring(svg, encoding="unicode"), note, legend)]


def _seen(value: float) -> bool:
    """Whether a value can be drawn."""
    return abs(value) < LARGEST


def _row(svg: Element, line: Line, y: float, x: Callable[[float], float], measure: Callable[[float], str]) -> None:
    label = line.label if len(line.label) <= LONGEST else line.label[: LONGEST - 1] + "…"
    middle = y + LINE / 2
    _text(svg, label, LEFT - 10, middle + 4, "end", line.label)
    for mark in line.marks:
        if _seen(mark.value):
            at = x(mark.value)
            drawn = _line(svg, at, y + 3, at, y + LINE - 3, f"var(--c{mark.color % COLORS})", 1.5, mark.dashed)
            SubElement(drawn, "title").text = f"{mark.label}: {measure(mark.value)}"
            if mark.name:
                _text(svg, mark.name, at, y + LINE + 7, "middle", mark.label)
    count = sum(_seen(dot.value) for dot in line.dots)
    for number, dot in enumerate(dot for dot in line.dots if _seen(dot.value)):
        height = middle + (number - (count - 1) / 2) * 8
        color = f"var(--c{dot.color % COLORS})"
        group = SubElement(svg, "g")
        words = f"{line.label}, {dot.label}: {measure(dot.value)}"
        if _seen(dot.low) and _seen(dot.high):
            words += f", 95 % interval {measure(dot.low)} to {measure(dot.high)}"
            _line(group, x(dot.low), height, x(dot.high), height, color, 2)
        SubElement(group, "title").text = words
        place = {"cx": f"{x(dot.value):.1f}", "cy": f"{height:.1f}", "r": "3.5", "style": f"fill: {color}"}
        SubElement(group, "circle", place)
    _text(svg, measure(line.dots[0].value), WIDTH - 4, middle + 4, "end", css="value")


def _line(
    parent: Element, x1: float, y1: float, x2: float, y2: float, color: str, width: float, dashed: bool = False
) -> Element:
    place = {"x1": f"{x1:.1f}", "y1": f"{y1:.1f}", "x2": f"{x2:.1f}", "y2": f"{y2:.1f}"}
    dash = "; stroke-dasharray: 3 2" if dashed else ""
    return SubElement(parent, "line", place | {"style": f"stroke: {color}; stroke-width: {width:g}{dash}"})


def _text(parent: Element, text: str, x: float, y: float, anchor: str, title: str = "", css: str = "") -> None:
    place = {"x": f"{x:.1f}", "y": f"{y:.1f}", "style": f"text-anchor: {anchor}"} | ({"class": css} if css else {})
    element = SubElement(parent, "text", place)
    element.text = text
    if title and title != text:
        SubElement(element, "title").text = title
