"""One self-contained HTML page: no script, no request, every text escaped. The parts of a page are plain records."""

import functools
import pathlib
import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import ClassVar

import jinja2


@dataclass(frozen=True)
class Fact:
    """One number of the headline strip. tone: "", good, warn or bad."""

    label: str
    value: str
    note: str = ""
    tone: str = ""


@dataclass(frozen=True)
class Cell:
    text: str
    title: str = ""
    """What a pointer shows: the full value of a shortened one."""
    code: bool = False
    tone: str = ""
    """ "", strong, quiet, good, warn or bad."""


@dataclass(frozen=True)
class Chips:
    """A cell of runs of text, each in a frame of its own. `after`: a remark behind them."""

    parts: Sequence[str]
    after: str = ""


@dataclass(frozen=True)
class Text:
    kind: ClassVar[str] = "text"
    text: str
    tone: str = ""
    """ "", absent, good, warn or bad."""


@dataclass(frozen=True)
class Table:
    """align: one letter for each column, l, r or t (running text); the last one holds for the columns that remain."""

    kind: ClassVar[str] = "table"
    columns: Sequence[str]
    rows: Sequence[Sequence[str | Cell | Chips]]
    align: str = "lr"
    caption: str = ""

    def side(self, column: int) -> str:
        return self.align[min(column, len(self.align) - 1)]


@dataclass(frozen=True)
class Key:
    """One entry of a legend: a swatch in colour `color` of the page."""

    label: str
    color: int = 0
    line: str = "solid"
    """solid, faint or dashed."""


@dataclass(frozen=True)
class Plot:
    """svg comes from `groundup.report.plot` or `.flow`: it is the only part of a page that is not escaped again."""

    title: str
    unit: str
    svg: str
    note: str
    legend: Sequence[Key] = ()


@dataclass(frozen=True)
class Plots:
    kind: ClassVar[str] = "plots"
    plots: Sequence[Plot]
    wide: bool = False
    """Each as wide as the page; where that is narrow, the picture can be pushed sideways."""


@dataclass(frozen=True)
class Passage:
    """A piece of running text; `lead` is its beginning, set apart. pieces: what follows the text, some of it marked."""

    label: str
    lead: str
    text: str
    note: str = ""
    pieces: "Sequence[Piece]" = ()


@dataclass(frozen=True)
class Passages:
    """The first `open` passages are seen, the others are folded away."""

    kind: ClassVar[str] = "passages"
    heading: str
    passages: Sequence[Passage]
    older: str = "older"
    open: int = 1


@dataclass(frozen=True)
class Piece:
    """A run of words. mark: gone, new, or gap for a note on what is left out of a difference; copied; or ""."""

    text: str
    mark: str = ""


@dataclass(frozen=True)
class Diff:
    """One text against another, as pieces in order (`groundup.report.diff`)."""

    kind: ClassVar[str] = "diff"
    label: str
    pieces: Sequence[Piece]
    note: str = ""


@dataclass(frozen=True)
class Pre:
    kind: ClassVar[str] = "pre"
    text: str


@dataclass(frozen=True)
class Details:
    kind: ClassVar[str] = "details"
    summary: str
    blocks: "Sequence[Block]"
    note: str = ""
    open: bool = False


Block = Text | Table | Plots | Passages | Diff | Pre | Details


@dataclass(frozen=True)
class Section:
    heading: str
    blocks: Sequence[Block]
    intro: str = ""

    @property
    def anchor(self) -> str:
        return re.sub(r"[^a-z0-9]+", "-", self.heading.lower()).strip("-")


@dataclass(frozen=True)
class Masthead:
    title: str
    kicker: str = ""
    state: str = ""
    tone: str = ""
    note: str = ""
    facts: Sequence[Fact] = field(default_factory=tuple)


def page(masthead: Masthead, sections: Sequence[Section], footer: Sequence[str] = ()) -> str:
    """The whole document. The same parts give the same bytes."""
    html = _template().render(masthead=masthead, sections=sections, footer=footer)
    # control characters and lone surrogates have no place in HTML, nor in a UTF-8 file
    return re.sub("[\x00-\x08\x0b-\x1f\x7f\ud800-\udfff]", "\N{REPLACEMENT CHARACTER}", html.replace("\r", "\n"))


@functools.cache
def _template() -> jinja2.Template:
    folder = jinja2.FileSystemLoader(pathlib.Path(__file__).parent)
    environment = jinja2.Environment(
        loader=folder, autoescape=True, trim_blocks=True, lstrip_blocks=True, undefined=jinja2.StrictUndefined
    )
    return environment.get_template("page.html")
