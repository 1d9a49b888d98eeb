"""The numbers of a corpus's page: the flow picture, the steps from read to kept, the lengths of documents."""

import math
import re

from groundup.data.account import STAGES, Account, Volume, amount, together, volumes
from groundup.report import flow, page, plot, units
from groundup.report.flow import Band, Origin, Stage
from groundup.report.page import Cell, Details, Table, Text
from groundup.report.reading import NOTHING, Row, finite, mapping, number, numbers, ratio

# Bounds that keep the page of a very large corpus light; the page says so where one of them cuts.
DRAWN, LEAVING, HISTOGRAMS, TABLES, COLUMNS, NAME = 6, 5, 12, 40, 12, 80
SILENT = Text("report.json says nothing about sources.", "absent")
INSIDE = "cleaned away inside documents"


def label(name: str, most: int = NAME) -> str:
    """A name as it is shown: short, and unable to turn round the words after it."""
    plain = re.sub("[\u202a-\u202e\u2066-\u2069]", "\N{REPLACEMENT CHARACTER}", name)
    return plain if len(plain) <= most else plain[: most - 1] + "…"


def reason_label(reason: str) -> str:
    return label(reason.replace("-", " ").replace("near duplicate", "near-duplicate"))


def volume_words(volume: Volume, whole: float = NOTHING) -> str:
    """Such as `412 documents · 3.2 MB · 0.90 %`, the last of so many bytes; what is not known is left out."""
    parts = [units.count(volume.documents, "documents")] if math.isfinite(volume.documents) else []
    parts += [units.size(volume.bytes)] if math.isfinite(volume.bytes) else []
    parts += [units.share(share)] if math.isfinite(share := ratio(volume.bytes, whole)) else []
    return " · ".join(parts) or units.ABSENT


def was_cut(account: Account) -> bool:
    """Whether long documents were cut into pieces, which are the documents from there on."""
    return math.isfinite(account.pieces) and account.pieces != account.read.documents


def was_done(report: Row, stage: str) -> bool:
    """Whether a stage of `STAGES` was part of the work at all."""
    sources = mapping(report, "sources")
    match stage:
        case "filter":
            return any(mapping(sources, name).get("rules") for name in sources)
        case "near":
            return math.isfinite(number(mapping(report, "clusters"), "threshold"))
        case "leak":
            return bool(mapping(report, "leaks").get("checked"))
    return True


def picture(report: Row, each: list[Account], everything: Account) -> list[page.Block]:
    """The flow picture."""
    largest = sorted(each, key=lambda one: -finite(one.read.bytes, 0))
    drawn, others = each, largest[DRAWN:]
    if len(others) > 1:
        rest = together(report, f"{len(others):,} other sources", others)
        drawn = [*(one for one in each if one not in others), rest]
    whole = everything.read.bytes
    stages = [(stage, _leaving(report, stage, drawn, everything)) for stage in STAGES]
    done = [
        Stage(STAGES[stage], _share_left_out(bands, whole), bands)
        for stage, bands in stages
        if bands or was_done(report, stage)
    ]
    arriving = [
        Band(label(split), volume_words(volume, whole), [amount(one.kept.get(split, Volume())) for one in drawn])
        for split, volume in everything.kept.items()
        if amount(volume)
    ]
    if not arriving and not any(bands for _, bands in stages):
        return [Text("There is no flow to draw: report.json counts no bytes.", "absent")]
    title = "From what was read to what was kept"
    describe = f"{volume_words(everything.read)} read from {units.count(len(each), 'sources')}. "
    describe += f"Kept: {volume_words(everything.stays, whole)}. Removed: {volume_words(everything.gone, whole)}."
    origins = [Origin(label(one.name), volume_words(one.read)) for one in drawn]
    left = ratio(everything.stays.bytes, whole)
    done.append(Stage("split", f"{units.share(left)} left" if math.isfinite(left) else ""))
    svg = flow.flow("flow", title, describe, origins, done, arriving, units.size)
    note = "A band is as thick as its bytes, in the colour of its source; pale bands leave. Shares are of the bytes "
    note += f"read. {flow.THIN} A pointer brings up the number of a band; all numbers are in the tables below."
    return [page.Plots([page.Plot(title, "in bytes", svg, note)], wide=True)]


def _leaving(report: Row, stage: str, drawn: list[Account], everything: Account) -> list[Band]:
    """What leaves at a stage: the largest reasons, and the others together."""
    whole, removed = everything.read.bytes, everything.at(report, stage)
    reasons = [reason for reason in removed if amount(removed[reason])]
    if len(reasons) > LEAVING + 1:
        reasons.sort(key=lambda reason: -amount(removed[reason]))
    groups = [(reason_label(reason), [reason]) for reason in reasons]
    if len(reasons) > LEAVING + 1:
        groups[LEAVING:] = [(f"{len(reasons) - LEAVING} other reasons", reasons[LEAVING:])]
    bands = [
        Band(
            name,
            volume_words(volumes([removed[reason] for reason in group]), whole),
            [sum(amount(one.removed.get(reason, Volume())) for reason in group) for one in drawn],
        )
        for name, group in groups
    ]
    if stage == "read" and any(cleaned := [max(0.0, finite(one.cleaned, 0.0)) for one in drawn]):
        bands.append(Band(INSIDE, volume_words(Volume(NOTHING, sum(cleaned)), whole), cleaned))
    return bands


def _share_left_out(bands: list[Band], whole: float) -> str:
    share = ratio(sum(sum(band.amounts) for band in bands), whole)
    return f"−{units.share(share)}" if bands and math.isfinite(share) else "none left out"


def steps(report: Row, each: list[Account], everything: Account) -> list[page.Block]:
    """What every stage left out: of all sources, by source side by side, and of each source."""
    if not each:
        return [SILENT]
    note = "Shares are of the bytes read. "
    if everything.cleaned < 0:
        note += "Repair and normalising made the text longer than it was read. "
    if len(each) == 1:
        return [_ledger(report, each[0], note)]
    blocks: list[page.Block] = [_ledger(report, everything, note), _side_by_side(each, everything)]
    blocks += [
        Details(label(one.name), [_ledger(report, one)], volume_words(one.stays, one.read.bytes) + " kept")
        for one in each[:TABLES]
    ]
    if len(each) > TABLES:
        blocks.append(Text(f"{len(each) - TABLES:,} more sources are in report.json."))
    return blocks


def _ledger(report: Row, account: Account, note: str = "") -> Table:
    """From read to kept, from top to bottom."""
    whole = account.read.bytes
    rows: list[list[str | Cell]] = []

    def add(stage: str, what: str, volume: Volume, tone: str = "") -> None:
        share = units.share(ratio(volume.bytes, whole))
        cells = [stage, what, units.count(volume.documents), units.size(volume.bytes), share]
        rows.append([Cell(text, tone=tone) for text in cells])

    add("reading", "read", account.read, "strong")
    if was_cut(account):
        add("", "= in pieces, after long documents were cut", Volume(account.pieces, account.read.bytes))
    for stage, name in STAGES.items():
        shown = "" if stage == "read" else name
        for reason, volume in account.at(report, stage).items():
            add(shown, f"− {reason_label(reason)}", volume)
            shown = ""
        if stage == "read" and account.cleaned:
            what = f"− {INSIDE}" if account.cleaned > 0 else "+ grown by repair inside documents"
            add("", what, Volume(NOTHING, abs(account.cleaned)))
        elif shown:
            what = (
                "nothing left out"
                if was_done(report, stage)
                else "not looked for"
                if stage != "filter"
                else "no rules set"
            )
            rows.append([Cell(text, tone="quiet") for text in (shown, what, "", "", "")])
    add("split", "= kept", account.stays, "strong")
    for split, volume in account.kept.items():
        add("", f"→ {label(split)}", volume)
    return Table(["stage", "what", "documents", "size", "share"], rows, "llr", note)


def _side_by_side(each: list[Account], everything: Account) -> Table:
    """Shares of the bytes of each source."""
    shown = each[:COLUMNS]
    rows: list[list[str | Cell]] = []

    def add(what: str, parts: list[Volume | None], tone: str = "") -> None:
        cells = [Cell(what, tone=tone)]
        for one, part in zip(shown, parts, strict=True):
            share = units.share(ratio(part.bytes, one.read.bytes)) if part else units.ABSENT
            cells.append(Cell(share, volume_words(part) if part else "", tone=tone if part else "quiet"))
        rows.append([*cells])

    for reason in everything.removed:
        add(f"− {reason_label(reason)}", [one.removed.get(reason) for one in shown])
    add(f"− {INSIDE}", [Volume(NOTHING, one.cleaned) if one.cleaned > 0 else None for one in shown])
    add("= kept", [one.stays for one in shown], "strong")
    note = "Shares of each source's own bytes; a pointer brings up documents and bytes."
    if len(each) > COLUMNS:
        note += f" The first {COLUMNS} of {len(each):,} sources."
    return Table(["by source", *(label(one.name) for one in shown)], rows, "lr", note)


def lengths(report: Row) -> list[page.Block]:
    """A histogram for each source, what was read against what was kept."""
    sources = mapping(report, "sources")
    if not sources:
        return [SILENT]
    drawn: list[page.Plot] = []
    empty: list[str] = []
    for place, name in enumerate(list(sources)[:HISTOGRAMS]):
        counted = mapping(mapping(sources, name), "lengths")
        read, kept = numbers(counted, "read"), numbers(counted, "kept")
        layers = [plot.Steps("read", read, 7, filled=True), plot.Steps("kept", kept, place)]
        note = f"{units.count(sum(read), 'documents')} read, {units.count(sum(kept))} kept."
        edges = numbers(counted, "edges")
        chart = plot.histogram(f"words{place}", label(name), "documents", note, edges, layers, "words")
        drawn += chart
        empty += [] if chart else [label(name)]
    blocks: list[page.Block] = [page.Plots(drawn)] if drawn else []
    if empty:
        blocks.append(Text(f"No lengths were counted for {', '.join(empty)}.", "absent"))
    if len(sources) > HISTOGRAMS:
        blocks.append(Text(f"The first {HISTOGRAMS} of {len(sources):,} sources are drawn; report.json has all."))
    return blocks
