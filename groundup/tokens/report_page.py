"""A tokenizer as one page, drawn from its figures (`groundup.tokens.report`)."""

import json
from typing import Any

from groundup.data.report_steps import label
from groundup.report import page, plot, units
from groundup.report.page import Cell, Chips, Details, Fact, Masthead, Plots, Pre, Section, Table, Text
from groundup.report.reading import NOTHING, ratio
from groundup.tokens.commonest import SPACED

Row = dict[str, Any]
Cells = list[str | Cell | Chips]

SOURCES = 40  # the page says so where this bound cuts
MANY_SELDOM = 0.25  # share of the vocabulary that is seldom used: worth a look
MUCH_EMBEDDING = 1 / 3  # of a model's parameters
NAMES = {
    "words": "commonest words",
    "numbers": "commonest numbers",
    "dates": "commonest dates",
    "marks": "commonest runs of marks",
    "contractions": "commonest contractions and possessives",
}
SIGNS = "Each frame is a token. ␣ is a space, ↵ a line end, ⇥ a tab, ⟨E2⟩ a byte that is no character by "
SIGNS += "itself, ⟨U+00A0⟩ a character without a picture."


def render(figures: Row) -> str:
    """The page as HTML."""
    tokenizer, use = figures["tokenizer"], figures["use"]
    context = "How much text a model of each size sees at once, and what the vocabulary costs it (family modern, tied)."
    seldom = f"Uses in the training text, {units.count(use['tokens'], 'tokens')}. "
    seldom += f"A token used fewer than {use['threshold']} times is seldom used: the model hardly learns what it means."
    spells = "The tokens by what they spell. Letters behind a space are words and beginnings of words."
    sections = [
        Section("Overview", findings(figures)),
        Section("By source", by_source(figures), "Measured on every document. Words are what white space separates."),
        Section("In a model", in_a_model(figures), context),
        Section("Use of the tokens", use_of_tokens(use), seldom),
        Section("Vocabulary", vocabulary(figures), spells),
        Section("Splits", splits(figures), SIGNS),
        Section("Round trip", round_trip(figures)),
        Section("How it was made", making(figures)),
    ]
    found = findings(figures)
    tone = found[0].tone
    state = "nothing suspicious was found" if tone == "good" else f"{units.count(len(found), 'findings')} to look at"
    head = Masthead(label(tokenizer["id"]), "groundup tokenizer", state, tone, "", facts(figures))
    return page.page(head, sections, ["This page makes no request and holds no script."])


def lines(figures: Row) -> list[str]:
    """The figures in short, for a terminal."""
    use, trip, pooled = figures["use"], figures["round_trip"], figures["all"]
    found = [f"{source}: {_per(splits['train'])}" for source, splits in figures["sources"].items()]
    found += [f"all: {_per(pooled['train'])}"] if len(found) > 1 else []
    bytes_ = f", {use['unused_bytes']:,} of them single bytes" if use["unused_bytes"] else ""
    seldom = f"{use['seldom']:,} used fewer than {use['threshold']} times"
    found.append(f"tokens: {use['unused']:,} of {use['vocabulary']:,} unused{bytes_}; {seldom}")
    for row in figures["rungs"]:
        share = units.share(ratio(row["embedding"], row["total"]))
        found.append(f"{row['rung']}: the embedding is {share} of {row['total']:,} parameters")
    whole = f"{trip['broken']:,} of {trip['documents']:,} documents are not given back as they were"
    return [*found, f"round trip: {whole if trip['broken'] else 'exact'}"]


def _per(count: Row) -> str:
    per_token, per_word = (
        units.decimals(known(count["bytes_per_token"])),
        units.decimals(known(count["tokens_per_word"])),
    )
    return f"{per_token} bytes per token, {per_word} tokens per word"


def known(value: float | None) -> float:
    return NOTHING if value is None else value


def facts(figures: Row) -> list[Fact]:
    train, use, rung = figures["all"]["train"], figures["use"], figures["rungs"][0]
    trip, vocabulary = figures["round_trip"], figures["tokenizer"]
    bad = trip["broken"] > 0
    bytes_unused = f", {units.count(use['unused_bytes'])} of them bytes" if use["unused_bytes"] else ""
    seldom = f"{units.count(use['seldom'])} used fewer than {use['threshold']} times"
    share = units.share(ratio(rung["embedding"], rung["total"]))
    measured = "training text, all sources by size"
    return [
        Fact("Vocabulary", units.count(vocabulary["vocab_size"], "tokens"), f"kind {label(vocabulary['kind'])}"),
        Fact("Bytes per token", units.decimals(known(train["bytes_per_token"])), measured),
        Fact("Tokens per word", units.decimals(known(train["tokens_per_word"])), measured),
        Fact(
            "Unused tokens", units.count(use["unused"]), f"of {units.count(use['vocabulary'])}{bytes_unused}; {seldom}"
        ),
        Fact(f"Of a {rung['rung']} model", share, f"{units.count(rung['embedding'])} parameters of the embedding"),
        Fact(
            "Round trip",
            f"{units.count(trip['broken'])} broken" if bad else "exact",
            f"of {units.count(trip['documents'], 'documents')}" if bad else units.count(trip["documents"], "documents"),
            "bad" if bad else "good",
        ),
    ]


def findings(figures: Row) -> list[Text]:
    """What to look at before training with this tokenizer, worst first."""
    trip, use = figures["round_trip"], figures["use"]
    found = []
    if trip["broken"]:
        why = "characters are not in the vocabulary" if trip["unknown"] else "their tokens spell another text"
        told = (
            f"{units.count(trip['broken'], 'documents')} of {units.count(trip['documents'])} cannot be given back as "
        )
        found.append(Text(f"{told}they were: {why}. The first ones are named below.", "bad"))
    if use["seldom_share"] > MANY_SELDOM and figures["tokenizer"]["kind"] != "bytes":  # whose vocabulary is fixed
        told = f"{units.share(use['seldom_share'])} of the tokens are used fewer than {use['threshold']} times in the "
        found.append(Text(told + "training text. A smaller vocabulary, or more text, would use them.", "warn"))
    large = [row for row in figures["rungs"] if row["embedding"] > MUCH_EMBEDDING * row["total"]]
    if large:
        share = units.share(ratio(large[0]["embedding"], large[0]["total"]))
        told = f"The embedding is {share} of the parameters of a {large[0]['rung']} model. They look tokens up, "
        found.append(
            Text(told + "and compute nothing: with a smaller vocabulary the same size has more layers.", "warn")
        )
    return found or [Text("Nothing suspicious was found.", "good")]


def by_source(figures: Row) -> list[page.Block]:
    rows: list[list[str | Cell]] = []
    shown = dict(list(figures["sources"].items())[:SOURCES])
    for name, each in (shown | ({} if len(shown) == 1 else {"all": figures["all"]})).items():
        for split, count in each.items():
            numbers = [units.count(count[key]) for key in ("documents", "words", "tokens")]
            per = [units.decimals(known(count[key])) for key in ("bytes_per_token", "tokens_per_word")]
            rows.append(
                [
                    label(name),
                    label(split),
                    units.size(count["bytes"]),
                    *numbers,
                    *(Cell(p, tone="strong") for p in per),
                ]
            )
    columns = ["source", "split", "size", "documents", "words", "tokens", "bytes per token", "tokens per word"]
    note = "No end-of-text token is counted. All: pooled by size, not by the mix."
    if len(figures["sources"]) > SOURCES:
        note += f" The first {SOURCES} of {len(figures['sources']):,} sources."
    return [Table(columns, rows, "llr", note)]


def in_a_model(figures: Row) -> list[page.Block]:
    rungs, names = figures["rungs"], list(figures["sources"])[:SOURCES]
    shares = []
    for row in rungs:
        share = Cell(units.share(ratio(row["embedding"], row["total"])), tone="strong")
        shares.append([row["rung"], units.count(row["total"]), units.count(row["embedding"]), share])
    contexts = {row["context"]: row for row in rungs}
    rows = [[label(name), *fitting([row["fits"][name] for row in contexts.values()])] for name in names]
    if len(names) > 1:
        rows.append(["all", *fitting([row["fits_all"] for row in contexts.values()])])
    columns = [f"{what} in {length:,} tokens" for length in contexts for what in ("words", "text")]
    return [
        Table(["rung", "parameters", "of the embedding", "share"], shares, "lr"),
        Table(["source", *columns], rows, "lr", "On average over the training text."),
    ]


def fitting(fits: list[Row]) -> list[str]:
    return [cell for one in fits for cell in (whole(one["words"]), units.size(known(one["bytes"])))]


def whole(value: float | None) -> str:
    return units.count(round(value)) if value else units.ABSENT


def use_of_tokens(use: Row) -> list[page.Block]:
    curve = use["curve"]
    rank = "rank of the token, the commonest first"
    note = f"Tokens that are never used are left out: {units.count(use['unused'])} of {units.count(use['vocabulary'])}."
    level = [plot.Level(f"{use['threshold']} uses", use["threshold"], 7)]
    series = [plot.Series("uses", curve["rank"], curve["uses"])]
    plots = plot.chart("uses", "How often each token is used", "uses", note, series, level, rank, log=True)
    series = [plot.Series("share", curve["rank"], [100 * share for share in curve["share"]])]
    note = "How much of the text the commonest tokens make up together."
    plots += plot.chart("share", "What the commonest make up", "% of all tokens", note, series, (), rank, zero=True)
    if not plots:
        return [Text("No token was used: the training text is empty.", "absent")]
    made_up = ", ".join(f"the {int(n):,} commonest {units.share(one)}" for n, one in use["commonest_share"].items())
    told = f"Of all tokens of the text, {made_up}."
    return [
        Text(told),
        Plots(plots),
        listed("commonest tokens", use["commonest"], use["vocabulary"] - use["unused"]),
        listed("rarest tokens", use["rarest"], use["vocabulary"] - use["unused"]),
        listed("unused tokens", use["unused_tokens"], use["unused"], use["unused_bytes"]),
    ]


def listed(name: str, rows: list[Row], of: int, single_bytes: int = 0) -> page.Block:
    if not rows:
        return Text(f"There are no {name}.", "absent")
    cells: list[Cells] = [
        [Chips([cut(row["token"])]), units.count(row["uses"]), units.count(row["id"])] for row in rows
    ]
    note = f"{units.count(single_bytes)} of them single bytes, which come last" if single_bytes else ""
    title = f"{units.count(len(rows))} {name}" + (f" of {units.count(of)}" if of > len(rows) else "")
    return Details(title, [Table(["token", "uses", "id"], cells, "lr")], note)


def cut(token: str, most: int = 80) -> str:
    return token if len(token) <= most else token[:most] + "…"


def vocabulary(figures: Row) -> list[page.Block]:
    size = figures["tokenizer"]["vocab_size"]
    rows: list[Cells] = [
        [
            row["class"],
            units.count(row["tokens"]),
            units.share(ratio(row["tokens"], size)),
            units.count(known(row["unused"])),
            units.count(known(row["seldom"])),
            units.share(row["share_of_text"]),
            Chips([cut(example) for example in row["examples"]]),
        ]
        for row in figures["vocabulary"]
        if row["tokens"]
    ]
    columns = ["spells", "tokens", "share", "unused", "seldom used", "share of the text's tokens", "commonest"]
    cells: list[Cells] = [
        [Chips([cut(row["token"])]), units.count(row["bytes"]), units.count(row["uses"])] for row in figures["longest"]
    ]
    longest = Table(["token", "bytes", "uses"], cells, "lr")
    return [Table(columns, rows, "lrrrrrl"), Details(f"The {units.count(len(cells))} longest tokens", [longest])]


def splits(figures: Row) -> list[page.Block]:
    blocks: list[page.Block] = []
    sample = f"counted in {units.size(figures['sample_bytes'])} of training text, drawn by the mix"
    for key, name in NAMES.items():
        rows = figures["commonest"][key]
        if not rows:
            blocks.append(Text(f"No {name.removeprefix('commonest ')} were found in the text.", "absent"))
            continue
        whole = sum(len(row["ids"]) == 1 for row in rows)
        behind = ", each behind a space" if key in SPACED else ""
        title = f"The {units.count(len(rows))} {name}: {units.count(whole)} are one token"
        cells: list[Cells] = [
            [label(row["text"]), units.count(row["count"]), units.count(len(row["ids"])), Chips(row["tokens"])]
            for row in rows
        ]
        table = Table(["text", "times", "tokens", "split"], cells, "lrrl")
        blocks.append(Details(title, [table], sample + behind, open=False))
    hard: list[Cells] = [
        [row["label"], row["text"], units.count(len(row["ids"])), Chips(row["tokens"])] for row in figures["hard_cases"]
    ]
    told = "the same for every tokenizer, whatever its text"
    blocks.append(Details("Hard cases", [Table(["what", "text", "tokens", "split"], hard, "ltrl")], told, open=True))
    return blocks


def round_trip(figures: Row) -> list[page.Block]:
    trip = figures["round_trip"]
    how = f"What the tokens of each of {units.count(trip['documents'], 'documents')} spell was compared with its text, "
    how += f"byte by byte; one document in {trip['decoded_one_in']} was decoded by the tokenizer itself besides. "
    if not trip["broken"]:
        return [Text(how + "All are the same.")]
    unknown = units.count(trip["unknown"], "tokens")
    how += f"{units.count(trip['broken'])} differ; {unknown} stand for characters outside the vocabulary."
    cells = [[label(row["source"]), label(row["split"]), row["place"], label(row["text"])] for row in trip["first"]]
    note = "The first ones." if trip["broken"] > len(cells) else ""
    table = Table(["source", "split", "place", "around the first difference"], cells, "lllt", note)
    return [Text(how), table]


def making(figures: Row) -> list[page.Block]:
    tokenizer = figures["tokenizer"]
    rows: list[list[str | Cell]] = [
        ["tokenizer", Cell(label(tokenizer["id"]), code=True)],
        ["corpus", Cell(label(figures["corpus"]), code=True)],
        ["created", label(tokenizer["created"])],
        ["encoded by", label(figures["encoder"])],
    ]
    recipe = json.dumps(tokenizer["recipe"], indent=2, ensure_ascii=False)
    return [Table([], rows, "l"), Details("The part of the recipe that it was made from", [Pre(recipe)])]
