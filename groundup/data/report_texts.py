"""The texts of a corpus's page: examples of what was left out, duplicates side by side, leaks by name."""

import math

from groundup.data.account import Account, Volume, volumes
from groundup.data.report_steps import label, reason_label, volume_words, was_done
from groundup.report import page, plot, units
from groundup.report.diff import differences
from groundup.report.page import Cell, Details, Diff, Passage, Passages, Piece, Table, Text
from groundup.report.reading import Row, finite, listing, mapping, number, numbers, ratio, total, words

# Bounds that keep the page of a very large corpus light; the page says so where one of them cuts.
EXAMPLES, LINES, CLUSTERS, MEMBERS, SIZES, LEAKED, SETS = 5, 20, 12, 3, 12, 100, 200
CHARACTERS, COMPARED, EXCERPT, SENTENCE = 600, 20_000, 240, 300


def cut(text: str, most: int) -> str:
    return text if len(text) <= most else text[:most] + "…"


def where(row: Row, source: str = "source", place: str = "place") -> str:
    """`stories, line 12`."""
    parts = [label(words(row, source)), label(words(row, place), SENTENCE)]
    return ", ".join(part for part in parts if part) or "unknown place"


def reasons(report: Row, everything: Account) -> list[page.Block]:
    """Every reason that hit: how much, what it means, where it comes from; and what it left out, to look at."""
    if not mapping(report, "sources") or not (everything.counted or everything.removed):
        return [Text("report.json does not say what was left out.", "absent")]
    if not everything.removed:
        return [Text("Nothing was left out: every document that was read is kept.", "good"), *_idle(report, everything)]
    explained = mapping(report, "reasons")
    rows: list[list[str | Cell]] = []
    for reason, volume in everything.removed.items():
        told = mapping(explained, reason)
        means = Cell(cut(words(told, "text"), SENTENCE) or "report.json does not explain it")
        origin = Cell(cut(words(told, "origin"), SENTENCE), tone="quiet")
        share = units.share(ratio(volume.bytes, everything.read.bytes))
        numbers = [units.count(volume.documents), units.size(volume.bytes), share]
        rows.append([reason_label(reason), *numbers, means, origin])
    columns = ["reason", "documents", "size", "share", "what it means", "origin"]
    note = "Each document is counted once, for the first reason that it met. Shares are of the bytes read."
    blocks: list[page.Block] = [Table(columns, rows, "lrrrt", note), *_idle(report, everything)]
    shown = [_examples(report, reason, volume) for reason, volume in everything.removed.items()]
    return blocks + [block for block in shown if block]


def _idle(report: Row, everything: Account) -> list[page.Block]:
    """The reasons that were looked for and hit nothing."""
    sources, explained = mapping(report, "sources"), mapping(report, "reasons")
    used = {
        rule
        for name in sources
        if isinstance(rules := mapping(sources, name).get("rules"), list)
        for rule in rules
        if isinstance(rule, str)
    }
    idle = [
        reason_label(reason)
        for reason in explained
        if reason not in everything.removed and words(mapping(explained, reason), "rule") in used
    ]
    return [Text(f"Looked for and not met: {', '.join(idle)}.")] if idle else []


def _examples(report: Row, reason: str, volume: Volume) -> Details | None:
    """Some of the documents that were left out, folded away. A text of `CHARACTERS` was cut when it was recorded."""
    rows = listing(mapping(report, "examples"), reason)[:EXAMPLES]
    if not rows:
        return None
    passages = [
        Passage(
            where(row),
            "",
            cut(words(row, "text"), CHARACTERS - 1) or "(no text)",
            label(words(row, "detail"), SENTENCE),
        )
        for row in rows
    ]
    count = units.count(len(rows), "examples")
    of = f"{count} of {units.count(volume.documents, 'documents')}" if math.isfinite(volume.documents) else count
    return Details(reason_label(reason), [Passages("", passages, open=EXAMPLES)], of)


def boilerplate(report: Row) -> list[page.Block]:
    """The lines that were cut out of documents."""
    sources = mapping(report, "sources")
    changed = total(number(mapping(mapping(sources, name), "changed"), "boilerplate") for name in sources)
    rows = listing(report, "boilerplate")
    if not rows:
        if "boilerplate" not in report:
            return [Text("report.json says nothing about boilerplate lines.", "absent")]
        rules = [mapping(sources, name).get("rules") for name in sources]
        looked = any("boilerplate" in rule for rule in rules if isinstance(rule, list))
        none = "No boilerplate line was found." if looked else "Boilerplate lines were not looked for."
        return [Text(none + ("" if looked else " The rule `boilerplate` takes them out."), "absent")]
    table = [[units.count(number(row, "documents")), cut(words(row, "line"), EXCERPT)] for row in rows[:LINES]]
    note = f"The {len(table)} most frequent lines." if len(table) > 1 else ""
    lines = Table(["documents", "line"], table, "rt", note)
    if not changed > 0:
        return [lines]
    return [Text(f"Lines such as these were cut out of {units.count(changed, 'documents')}, which stay."), lines]


def duplicates(report: Row, everything: Account) -> list[page.Block]:
    """How much of the text stood there twice, and the largest clusters with what differs in them."""
    blocks: list[page.Block] = []
    for stage, name in (("exact", "exact duplicates"), ("near", "near-duplicates")):
        removed = volumes(list(everything.at(report, stage).values()))
        if removed.documents > 0:
            found = volume_words(removed, everything.read.bytes)
            blocks.append(Text(f"{name.capitalize()} removed: {found} of the bytes read."))
        elif stage == "near" and "clusters" in report and not was_done(report, stage):
            how = "data.near_duplicates sets the similarity from which two documents are one."
            blocks.append(Text(f"Near-duplicates were not looked for; {how}", "absent"))
        elif everything.counted and "sources" in report and was_done(report, stage):
            blocks.append(Text(f"No {name} were found."))
        else:
            blocks.append(Text(f"report.json says nothing about {name}.", "absent"))
    clusters = mapping(report, "clusters")
    blocks += _sizes(clusters) + _similarity(clusters)
    largest = listing(clusters, "largest")
    if largest:
        told = "The largest clusters. Of each, the kept text against the removed ones: "
        told += "struck through is only in the kept text, underlined only in the removed one."
        blocks.append(Text(told))
        most = number(clusters, "characters")
        blocks += [_cluster(one, most, open=place == 0) for place, one in enumerate(largest[:CLUSTERS])]
    return blocks


def _sizes(clusters: Row) -> list[page.Block]:
    sizes = mapping(clusters, "sizes")
    found = sorted(
        (int(size), number(sizes, size)) for size in sizes if size.isascii() and size.isdigit() and len(size) < 16
    )
    found = [(size, count) for size, count in found if count > 0]
    if not found:
        return []
    rows = [[units.count(size), units.count(count), units.count((size - 1) * count)] for size, count in found[:SIZES]]
    if rest := found[SIZES:]:
        over = f"{rest[0][0]:,} to {rest[-1][0]:,}"
        rows.append([over, units.count(sum(n for _, n in rest)), units.count(sum((size - 1) * n for size, n in rest))])
    note = "A cluster holds documents of which each is a near-duplicate of another one in it; one of them stays."
    return [Table(["documents in a cluster", "clusters", "documents removed"], rows, "r", note)]


def _similarity(clusters: Row) -> list[page.Block]:
    similarity, threshold = mapping(clusters, "similarity"), number(clusters, "threshold")
    layers = [plot.Steps("pairs", numbers(similarity, "counts"), filled=True)]
    edges = numbers(similarity, "edges")
    note = "Share of their word 3-grams that two documents have in common, of the pairs that were found. "
    note += "If many lie just above the threshold, look at the differences below: are good documents lost?"
    mark = (f"threshold {threshold:g}", threshold) if math.isfinite(threshold) else None
    chart = plot.histogram("similarity", "Similarity", "pairs", note, edges, layers, "similarity", mark)
    return [page.Plots(chart)] if chart else []


def _cluster(cluster: Row, most: float, open: bool) -> Details:
    """Differences in one cluster, whose texts are on record up to so many characters."""
    kept = mapping(cluster, "kept")
    removed = listing(cluster, "removed")
    size = finite(number(cluster, "size"), len(removed) + 1)
    text = words(kept, "text")[:COMPARED]
    split = f" ({label(words(kept, 'split'))})" if words(kept, "split") else ""
    blocks: list[page.Block] = []
    for row in removed[:MEMBERS]:
        similarity = number(row, "similarity")
        note = f"similarity {similarity:.2f}" if math.isfinite(similarity) else ""
        other = words(row, "text")[:COMPARED]
        pieces = differences(text, other)
        if max(len(text), len(other)) >= min(finite(most, COMPARED), COMPARED):
            while pieces and pieces[-1].mark in ("gone", "new"):  # of where the record ends, not of the texts
                pieces.pop()
            pieces.append(Piece("[… the texts go on]", "gap"))
        if not any(piece.mark in ("gone", "new") for piece in pieces):
            pieces = [Piece("[no word differs in what report.json has of them]", "gap"), *pieces[:1]]
        blocks.append(Diff(f"Removed: {where(row)}", pieces, note))
    more = int(size) - 1 - len(removed[:MEMBERS])
    if more > 0:
        blocks.append(
            Text(f"{units.count(more, 'more documents')} of this cluster {'was' if more == 1 else 'were'} removed.")
        )
    return Details(f"{units.count(size, 'documents')} alike", blocks, f"kept: {where(kept)}{split}", open)


def leaks(report: Row) -> list[page.Block]:
    """The leak table, and the documents that leaked."""
    if "leaks" not in report:
        return [Text("report.json says nothing about leaks.", "absent")]
    found = mapping(report, "leaks")
    checked = listing(found, "checked")
    if not checked:
        none = "Leaks were not looked for: there is no validation, test or benchmark text to look for."
        return [Text(none, "absent")]
    length = number(found, "words")
    sequence = f"sequence of {units.count(length, 'words')}" if math.isfinite(length) else "word sequence"
    means = f"A text is touched when any {sequence} of it stands in the training text, which is common among texts "
    means += "of one kind. It is leaked when one training document holds half of its sequences or more: a model can "
    means += "then know it by heart, and its score measures memory."
    rows: list[list[str | Cell]] = []
    for one in checked[:SETS]:
        leaked, documents = number(one, "leaked"), number(one, "documents")
        tone = "bad" if leaked > 0 else "good" if leaked == 0 else ""
        cells = [units.count(documents), units.count(number(one, "short")), units.count(number(one, "touched"))]
        last = [Cell(units.count(leaked), tone=tone), Cell(units.share(ratio(leaked, documents)), tone=tone)]
        rows.append([label(words(one, "name", units.ABSENT)), *cells, *last])
    columns = ["held-out texts", "texts", "too short to look for", "touched", "leaked", "share leaked"]
    blocks: list[page.Block] = [Text(means), Text(_outcome(found, checked)), Table(columns, rows, "lr")]
    if len(checked) > SETS:
        blocks.append(Text(f"{len(checked) - SETS:,} more sets are in report.json."))
    if named := listing(found, "documents"):
        blocks.append(_leaked(named, total(number(one, "leaked") for one in checked)))
    return blocks


def _outcome(found: Row, checked: list[Row]) -> str:
    """What was done about the leaks."""
    leaked = total(number(one, "leaked") for one in checked)
    if not leaked > 0:
        return "No text leaked."
    removed, texts = number(found, "removed"), units.count(leaked, "texts")
    match words(found, "mode"):
        case "remove":
            return f"{texts} leaked. What held them was left out: {units.count(removed, 'training documents')}."
        case "report":
            how = "data.decontaminate=remove leaves them out"
            return f"{texts} leaked. The training documents that hold them stay; {how}."
    return f"{texts} leaked. data.decontaminate says what becomes of the training documents that hold them."


def _leaked(documents: list[Row], leaked: float) -> Table:
    rows: list[list[str | Cell]] = []
    for one in documents[:LEAKED]:
        held = Cell(where(one, "against"), words(one, "id"))
        train = Cell(where(one, "train_source", "train_place"), words(one, "train_id"))
        overlap = units.share(number(one, "overlap"))
        rows.append([held, overlap, train, cut(words(one, "text"), EXCERPT)])
    note = "Overlap: share of the text's sequences that this training document holds."
    if leaked > len(rows):
        note += f" The {len(rows):,} of {units.count(leaked)} with the largest overlap."
    return Table(["held-out text", "overlap", "is in the training document", "how it begins"], rows, "lrlt", note)
