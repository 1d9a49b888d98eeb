"""A flow picture (Sankey 1898): origins at the left, stages where bands leave, destinations at the right.

The elements are written here, not by matplotlib, so that every band can name itself and the page's CSS colours it.
"""

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from xml.etree.ElementTree import Element, SubElement, tostring

from groundup.report.plot import COLORS

WIDTH = 1070  # CSS pixels on a desktop page, nearly, as is every length here
LEFT, FIRST, LAST, RIGHT = 196, 274, 724, 812  # x of the origins, of the first and last stage, of the destinations
TOP, TALLEST, BAR = 68, 250, 7  # y of the first band, height of all bands together, width of a bar
THINNEST = 2.0
THICK = 12.0  # from here on a band is an area: a line this thick would fold over itself in a tight bend
LINE, GAP = 15, 10  # height of a line of text, space between two labels
NARROW = 11  # characters of a stage's label on one line
LONGEST = 24  # characters of an origin's label; a destination has room for half as many again
THIN = f"A band that would be thinner than {THINNEST:g} pixels is drawn {THINNEST:g} pixels thick."


@dataclass(frozen=True)
class Origin:
    label: str
    note: str = ""


@dataclass(frozen=True)
class Band:
    """What leaves at a stage or arrives at the end; `amounts`: one number from each origin, finite, 0 or more."""

    label: str
    note: str
    amounts: Sequence[float]


@dataclass(frozen=True)
class Stage:
    label: str
    note: str = ""
    leaving: Sequence[Band] = ()


@dataclass(frozen=True)
class _Drawing:
    origins: Sequence[Origin]
    stages: Sequence[Stage]
    arriving: Sequence[Band]
    measure: Callable[[float], str]
    scale: float
    links: Element
    marks: Element

    def tall(self, amount: float) -> float:
        return max(THINNEST, amount * self.scale) if amount > 0 else 0.0


def flow(
    name: str,
    title: str,
    describe: str,
    origins: Sequence[Origin],
    stages: Sequence[Stage],
    arriving: Sequence[Band],
    measure: Callable[[float], str],
    headings: tuple[str, str] = ("kept", "removed"),
) -> str:
    """An <svg> element. An origin sends out what leaves and arrives of it: nothing is lost or made on the way.

    name: what its ids begin with. title, describe: for screen readers. measure: an amount with its unit, for the
    words that a pointer brings up. headings: over the arriving and over the leaving bands. Raises ValueError where
    no amount is above 0.
    """
    bands = [*arriving, *(band for stage in stages for band in stage.leaving)]
    totals = [sum(band.amounts[i] for band in bands) for i in range(len(origins))]
    if not stages or not sum(totals) > 0:
        raise ValueError("a flow needs a stage and an amount above 0")
    svg = Element("svg", {"class": "plot flow", "role": "img", "aria-labelledby": f"{name}-title {name}-desc"})
    SubElement(svg, "title", {"id": f"{name}-title"}).text = title
    SubElement(svg, "desc", {"id": f"{name}-desc"}).text = describe
    links, marks = SubElement(svg, "g"), SubElement(svg, "g")
    drawing = _Drawing(origins, stages, arriving, measure, TALLEST / sum(totals), links, marks)
    left_end = _origins(drawing, totals)
    ends, right_end = _destinations(drawing, headings)
    trunk_end = _stages(drawing, totals, ends)
    svg.set("viewBox", f"0 0 {WIDTH} {max(left_end, right_end, trunk_end) + GAP:.0f}")
    return tostring(svg, encoding="unicode")


def _origins(drawing: _Drawing, totals: Sequence[float]) -> float:
    """Draws the left side, up to the first stage; returns the y where it ends."""
    heights = [drawing.tall(total) for total in totals]
    starts, end = _column(heights, TOP)
    y = float(TOP)
    for i, (origin, start, height) in enumerate(zip(drawing.origins, starts, heights, strict=True)):
        tip = f"{origin.label}: {drawing.measure(totals[i])}"
        _link(drawing.links, (LEFT + BAR, start), (FIRST, y), height, i, tip)
        _bar(drawing.marks, LEFT, start, height, f"var(--c{i % COLORS})")
        _label(drawing.marks, LEFT - 8, start + height / 2, origin.label, origin.note, "end", LONGEST)
        y += height
    return end


def _destinations(drawing: _Drawing, headings: tuple[str, str]) -> tuple[list[list[float]], float]:
    """Draws the right side; returns the y of what leaves at each stage, last that of what arrives, and the end."""
    groups = [drawing.arriving, *(stage.leaving for stage in reversed(drawing.stages))]  # the first to leave runs
    found: list[list[float]] = []  # lowest, so that no band crosses another
    _text(drawing.marks, RIGHT, TOP - 14, headings[0], "start", "heading")
    end = float(TOP)
    for number, group in enumerate(groups):
        if group and number and not any(groups[1:number]):
            end += LINE
            _text(drawing.marks, RIGHT, end, headings[1], "start", "heading")
            end += GAP
        heights = [drawing.tall(sum(band.amounts)) for band in group]
        starts, end = _column(heights, end)
        for band, start, height in zip(group, starts, heights, strict=True):
            _bar(drawing.marks, RIGHT, start, height)
            at = start + height / 2
            _label(drawing.marks, RIGHT + BAR + 8, at, band.label, band.note, "start", LONGEST * 3 // 2)
        found.append(starts)
    return found[::-1], end


def _stages(drawing: _Drawing, totals: Sequence[float], ends: list[list[float]]) -> float:
    """Draws the stages and the bands from each of them; returns the y where they end."""
    space = (LAST - FIRST) / max(1, len(drawing.stages) - 1)
    rest = list(totals)
    lowest = 0.0
    for number, stage in enumerate(drawing.stages):
        x, last = FIRST + space * number, number == len(drawing.stages) - 1
        came = TOP + sum(drawing.tall(amount) for amount in rest)
        y = float(TOP)
        if last:
            y = _bands(drawing, x, y, drawing.arriving, ends[-1])
        for i, amount in enumerate(rest if not last else ()):
            gone = sum(band.amounts[i] for band in stage.leaving)
            rest[i] = amount - gone if gone < amount * (1 - 1e-12) else 0.0  # no band for a rounding error
            height, tip = drawing.tall(rest[i]), f"{drawing.origins[i].label}: {drawing.measure(rest[i])}"
            _link(drawing.links, (x + BAR, y), (x + space, y), height, i, tip)
            y += height
        y = _bands(drawing, x, y, stage.leaving, ends[number], faint=True)
        _bar(drawing.marks, x, TOP, max(y, came) - TOP)
        for line, part in enumerate(reversed(_lines(stage.label))):
            _text(drawing.marks, x + BAR / 2, TOP - 14 - LINE * (line + 1), part, "middle", "name")
        _text(drawing.marks, x + BAR / 2, TOP - 14, stage.note, "middle")
        lowest = max(lowest, y)
    return lowest


def _bands(
    drawing: _Drawing, x: float, y: float, bands: Sequence[Band], ends: Sequence[float], faint: bool = False
) -> float:
    """Bands from a stage at x, from y downwards, to the right side, each with a part for every origin."""
    for band, end in zip(bands, ends, strict=True):
        whole = sum(band.amounts)
        for i, amount in enumerate(band.amounts):
            height = drawing.tall(whole) * amount / whole if whole else 0.0
            tip = f"{drawing.origins[i].label} → {band.label}: {drawing.measure(amount)}"
            _link(drawing.links, (x + BAR, y), (RIGHT, end), height, i, tip, faint)
            y, end = y + height, end + height
    return y


def _column(heights: Sequence[float], top: float) -> tuple[list[float], float]:
    """The y of bars below one another with room for a label of two lines beside each, and the y where they end."""
    starts = []
    for height in heights:
        room = max(height, 2 * LINE)
        starts.append(top + (room - height) / 2)
        top += room + GAP
    return starts, top


def _link(
    parent: Element,
    start: tuple[float, float],
    end: tuple[float, float],
    height: float,
    color: int,
    tip: str,
    faint: bool = False,
) -> None:
    """A band between two upper corners. A thin one is a line, which stays as thick where it is steep."""
    if not height:
        return
    (x, y), (to_x, to_y) = start, end
    bend, hue = (x + to_x) / 2, f"var(--c{color % COLORS})"
    if height < THICK:
        y, to_y = y + height / 2, to_y + height / 2
        style, back = f"fill: none; stroke: {hue}; stroke-width: {height:.2f}", ""
    else:
        low, to_low = y + height, to_y + height
        style, back = f"fill: {hue}", f"V{to_low:.1f}C{bend:.1f} {to_low:.1f} {bend:.1f} {low:.1f} {x:.1f} {low:.1f}Z"
    kind = ("faint" if faint else "") + (" line" if height < THICK else "")
    way = f"M{x:.1f} {y:.1f}C{bend:.1f} {y:.1f} {bend:.1f} {to_y:.1f} {to_x:.1f} {to_y:.1f}{back}"
    path = SubElement(parent, "path", {"d": way, "style": style, "class": kind})
    SubElement(path, "title").text = tip


def _bar(parent: Element, x: float, y: float, height: float, fill: str = "var(--soft)") -> None:
    if height:
        place = {"x": f"{x:.1f}", "y": f"{y:.1f}", "width": str(BAR), "height": f"{height:.1f}"}
        SubElement(parent, "rect", {**place, "style": f"fill: {fill}"})


def _label(parent: Element, x: float, middle: float, label: str, note: str, anchor: str, most: int) -> None:
    short = label if len(label) <= most else label[: most - 1] + "…"
    lift = 0.0 if note else LINE / 2
    _text(parent, x, middle - 2 + lift, short, anchor, "name", label if short != label else "")
    _text(parent, x, middle - 2 + LINE, note, anchor)


def _lines(label: str) -> list[str]:
    """A long label in two lines, broken where two words meet."""
    if len(label) <= NARROW:
        return [label]
    breaks = [match.end() for match in re.finditer("[ -]", label)]
    at = min(breaks, key=lambda place: abs(place - len(label) / 2), default=len(label))
    return [part for part in (label[:at].strip(), label[at:].strip()) if part]


def _text(parent: Element, x: float, y: float, text: str, anchor: str, kind: str = "note", full: str = "") -> None:
    if text:
        element = SubElement(parent, "text", {"x": f"{x:.1f}", "y": f"{y:.1f}", "class": f"{kind} {anchor}"})
        element.text = text
        if full:
            SubElement(element, "title").text = full
