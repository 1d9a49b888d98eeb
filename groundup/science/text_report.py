"""Generated texts in a run's report: their statistics beside human text, some of them, and what they copied."""

import math
from collections.abc import Sequence

from groundup.report import page, plot, units
from groundup.report.dots import Dot, Line, picture
from groundup.report.page import Cell, Key, Piece, Table, Text
from groundup.report.plot import Series
from groundup.report.reading import Row, clip, listing, mapping, number, spread, words

TEXTS, COPIES, CHARACTERS = 6, 10, 4000  # bounds that keep the page light
MODEL, HUMAN = 0, 1  # colours
FILE = "the texts' file in evaluations/"


def statistics(records: list[Row]) -> list[page.Block]:
    """The newest record's figures as a picture of the shares and a table of all, and their course over checkpoints."""
    newest = records[-1]
    rows = listing(newest, "statistics")
    lines = [
        Line(
            words(row, "label"),
            [_dot(mapping(row, "model"), "model", MODEL), _dot(mapping(row, "human"), "human", HUMAN)],
        )
        for row in rows
        if words(row, "unit") == "share"
    ]
    keys = [Key("the model, with its 95 % interval", MODEL), Key("held-out human text", HUMAN)]
    note = "Near human text is good, on either side. What is counted stands in the table."
    plots = picture("texts", "Beside human text", "share", note, lines, units.share, keys, (0.0, 1.0))
    alike = [one for one in records if all(one.get(key) == newest.get(key) for key in ("settings", "prompts"))]
    plots += _course(alike)
    blocks: list[page.Block] = [page.Plots(plots)] if plots else []
    if rows:
        blocks.append(_table(newest, rows))
    notes = newest.get("notes")
    blocks += [Text(note, "warn") for note in notes[:5] if isinstance(note, str)] if isinstance(notes, list) else []
    return blocks


def _dot(figure: Row, label: str, color: int) -> Dot:
    value, half = number(figure, "value"), number(figure, "half_width")
    return Dot(label, value, max(value - half, 0.0), min(value + half, 1.0), color)  # in this order nan stays nan


def _course(records: list[Row]) -> list[page.Plot]:
    series: list[Series] = []
    for name, label in (("repeated_4", "4-grams repeated"), ("loops", "texts in a loop"), ("copied", "tokens copied")):
        points: dict[float, float] = {}
        for record in records:
            for row in listing(record, "statistics"):
                if row.get("name") == name:
                    points[number(record, "step")] = number(mapping(row, "model"), "value")
        if len(points) > 1:
            series.append(Series(label, list(points), list(points.values()), len(series)))
    note = "Figures of the checkpoints that texts were written with."
    return plot.chart("written", "Course of the texts", "share", note, series, zero=True)


def _table(record: Row, rows: list[Row]) -> Table:
    table = []
    for row in rows:
        share = words(row, "unit") == "share"
        meaning = words(row, "meaning")
        tone = "quiet" if meaning == "no clear difference" else "strong"
        cells: list[str | Cell] = [words(row, "label")]
        cells += [_figure(mapping(row, side), share) for side in ("model", "human")]
        table.append([*cells, Cell(meaning or units.ABSENT, tone=tone), Cell(words(row, "about"), tone="quiet")])
    settings = mapping(record, "settings")
    named = ("temperature", "top_k", "top_p", "max_tokens", "seed")
    drawn = ", ".join(f"{key.replace('_', '-')} {words(settings, key)}" for key in named if key in settings)
    note = (
        f"{units.count(number(record, 'texts'), 'texts')} of {words(record, 'checkpoint')} ({drawn}) beside "
        f"{units.count(number(record, 'human_texts'), 'pieces')} of held-out human text of the same lengths; ± is a "
        "95 % interval by prompt, document or block. Of twenty figures about one differs so much by chance. N-grams "
        "of tokens and copied spans depend on the tokenizer, the others do not."
    )
    return Table(["statistic", "model", "human text", "so the model", "what is counted"], table, "lrrlt", note)


def _figure(figure: Row, share: bool) -> str:
    value, half = number(figure, "value"), number(figure, "half_width")
    if not math.isfinite(value):
        return units.ABSENT
    scale, unit, places = (100, " %", 1) if share else (1, "", 2)
    spread_words = f" ± {scale * half:.{places}f}" if math.isfinite(half) else ""
    return f"{scale * value:,.{places}f}{unit}{spread_words}"


def passages(record: Row, texts: list[Row]) -> list[page.Block]:
    """Some of the texts, evenly from those that copied most to those that copied least, with copied spans marked."""
    order = sorted(texts, key=lambda row: -number(row, "longest_copy") if number(row, "longest_copy") > 0 else 0.0)
    shown = [_passage(row) for row in spread(order, TEXTS)]
    if not shown:
        return []
    least = units.count(number(record, "marked_tokens"), "tokens")
    heading = (
        f"{len(shown)} of {len(texts):,} texts, most copied first; spans of {least} or more of training are marked"
    )
    return [page.Passages(heading, shown, "more", open=2)]


def _passage(row: Row) -> page.Passage:
    prompt, text = words(row, "prompt"), words(row, "text")
    lead = prompt if text.startswith(prompt) else ""
    ended = "the model ended it" if row.get("finished") is True else "cut at the limit"
    facts = [
        ended,
        f"longest copied span {units.count(number(row, 'longest_copy'), 'tokens')}",
        f"seed {words(row, 'seed')}",
    ]
    facts += ["ends in a loop"] if isinstance(row.get("loop"), dict) else []
    pieces = _pieces(clip(text, CHARACTERS, FILE), len(lead), row.get("copied"))
    return page.Passage(words(row, "id"), clip(lead, CHARACTERS, FILE), "", " · ".join(facts), pieces)


def _pieces(text: str, begin: int, copied: object) -> Sequence[Piece]:
    """The text from `begin` on, with the spans (begin, end) marked; overlapping ones are one."""
    pieces: list[Piece] = []
    for span in copied if isinstance(copied, list) else []:
        if isinstance(span, list) and len(span) == 2 and all(type(end) is int for end in span):
            first, last = max(begin, span[0]), min(len(text), span[1])
            if first < last:
                pieces += [Piece(text[begin:first]), Piece(text[first:last], "copied")]
                begin = last
    return [piece for piece in [*pieces, Piece(text[begin:])] if piece.text]


def copies(record: Row) -> list[page.Block]:
    """The longest copied spans, and the training documents that they stand in."""
    found = [row for row in listing(record, "copies") if number(row, "tokens") > 0]
    rows: list[list[str | Cell]] = []
    for row in found[:COPIES]:
        around = clip(f"…{words(row, 'before')}[{words(row, 'text')}]{words(row, 'behind')}…", 1000, FILE)
        place = f"{words(row, 'source')}, document {words(row, 'document')}, token {units.count(number(row, 'token'))}"
        length = f"{units.count(number(row, 'tokens'), 'tokens')}, {units.count(number(row, 'words'), 'words')}"
        rows.append([words(row, "id"), length, clip(words(row, "text"), 400, FILE), Cell(place, around)])
    if not rows:
        return []
    longest = mapping(record, "longest_copy")
    note = (
        f"The longest span that a text shares with the {units.count(number(record, 'training_tokens'), 'tokens')} of "
        f"training text has {units.count(number(longest, 'model'), 'tokens')}, that of human text "
        f"{units.count(number(longest, 'human'), 'tokens')}. A pointer shows what surrounds a span in its document."
    )
    return [Table(["text", "longest span", "copied words", "where it stands in training"], rows, "lltt", note)]
