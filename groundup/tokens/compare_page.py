"""Tokenizers side by side as one page, drawn from their figures (`groundup.tokens.compare`)."""

from collections.abc import Callable
from typing import Any

from groundup.data.report_steps import label
from groundup.report import page, units
from groundup.report.page import Cell, Chips, Fact, Masthead, Section, Table, Text
from groundup.report.reading import ratio
from groundup.tokens.report_page import SIGNS, SOURCES, known, whole

Row = dict[str, Any]

CAUTION = (
    "Loss per token and perplexity cannot be compared across tokenizers: where text is cut into smaller tokens, each "
    "is easier to guess, and there are more of them. Bits per byte can be compared: they are of the same bytes."
)
OVERLAP = "Tokens of more than one byte that both vocabularies have, by those that either of them has (Jaccard)."


def render(figures: Row) -> str:
    """The page as HTML."""
    train, valid = figures["text"]["train"], figures["text"]["valid"]
    same = f"The same text for each: {units.size(train['bytes'])} of training text, drawn by the mix "
    same += f"({units.count(train['words'], 'words')}), and all validation text ({units.size(valid['bytes'])})."
    sections = [
        Section("Overview", [Text(CAUTION), overview(figures)], same),
        Section("By source", by_source(figures), "Words are what white space separates."),
        Section("Overlap of the vocabularies", [overlap(figures)], OVERLAP),
        Section("Hard cases", [hard_cases(figures)], SIGNS),
    ]
    rows = figures["tokenizers"]
    facts = [
        Fact(
            heading(row),
            units.decimals(known(row["all"]["train"]["bytes_per_token"]), 3, "bytes per token"),
            kind(row),
        )
        for row in rows
    ]
    broken = [row for row in rows if row["round_trip"]["broken"]]
    state = "each gives every document back as it was"
    if broken:
        state = f"{', '.join(heading(row) for row in broken)}: not every document is given back as it was"
    head = Masthead(
        f"{len(rows)} tokenizers on the same text",
        f"groundup tokenizers, {label(figures['corpus'])}",
        state,
        "bad" if broken else "good",
        "",
        facts,
    )
    return page.page(head, sections, ["This page makes no request and holds no script."])


def lines(figures: Row) -> list[str]:
    """The figures in short, for a terminal."""
    width = max(len(row["name"]) for row in figures["tokenizers"])
    found = []
    for row in figures["tokenizers"]:
        train = row["all"]["train"]
        per_token, per_word = (units.decimals(known(train[key])) for key in ("bytes_per_token", "tokens_per_word"))
        found.append(
            f"{row['name']:{width}}  {per_token} bytes per token, {per_word} tokens per word, "
            f"{whole(row['words_in_context_all'])} words in {figures['context']} tokens, "
            f"embedding {units.share(ratio(row['embedding'], row['parameters']))} of a {figures['rung']} model"
        )
    return [*found, CAUTION]


def kind(row: Row) -> str:
    return f"{label(row['kind'])}, {units.count(row['vocab_size'], 'tokens')}"


def overview(figures: Row) -> Table:
    rung, context, words = figures["rung"], figures["context"], figures["words"]
    lines: dict[str, Callable[[Row], str | Cell]] = {
        "kind": lambda row: label(row["kind"]),
        "vocabulary": lambda row: units.count(row["vocab_size"]),
        "bytes per token, training text": lambda row: strong(row["all"]["train"]["bytes_per_token"]),
        "bytes per token, validation text": lambda row: strong(row["all"]["valid"]["bytes_per_token"]),
        "tokens per word, training text": lambda row: units.decimals(known(row["all"]["train"]["tokens_per_word"])),
        f"words in {context:,} tokens": lambda row: whole(row["words_in_context_all"]),
        f"parameters of the embedding, {rung}": lambda row: units.count(row["embedding"]),
        "share of that model": lambda row: units.share(ratio(row["embedding"], row["parameters"])),
        "unused tokens of more than a byte": lambda row: units.count(row["unused"]),
        f"of the {words:,} commonest words one token": lambda row: units.count(row["words_of_one_token"]),
        "documents not given back as they were": broken,
        "tokenizer": lambda row: Cell(label(row["id"].removeprefix("tokenizer-"), 13), row["id"], code=True),
        "encoded by": lambda row: label(row["encoder"]),
    }
    rows = [[name, *(value(row) for row in figures["tokenizers"])] for name, value in lines.items()]
    return Table(["", *names(figures)], rows, "lr", "Unused: in this text, of which the training text is a sample.")


def names(figures: Row) -> list[str]:
    return [heading(row) for row in figures["tokenizers"]]


def heading(row: Row) -> str:
    """A tokenizer's name with places where a narrow column can break it."""
    return label(row["name"].replace(",", ", "))


def strong(value: float | None) -> Cell:
    return Cell(units.decimals(known(value)), tone="strong")


def broken(row: Row) -> Cell:
    number = row["round_trip"]["broken"]
    return Cell(units.count(number), tone="bad" if number else "good")


def by_source(figures: Row) -> list[page.Block]:
    tokenizers, sources = figures["tokenizers"], list(figures["tokenizers"][0]["sources"])
    more = f" The first {SOURCES} of {len(sources):,} sources." if len(sources) > SOURCES else ""
    blocks: list[page.Block] = []
    for title, key in (("Bytes per token", "bytes_per_token"), ("Tokens per word", "tokens_per_word")):
        rows = [
            [label(name), split, *(units.decimals(known(one["sources"][name][split][key])) for one in tokenizers)]
            for name in sources[:SOURCES]
            for split in figures["text"]
        ]
        blocks += [Text(f"{title}:"), Table(["source", "split", *names(figures)], rows, "llr", more)]
    fits = [[label(name), *(whole(one["words_in_context"][name]) for one in tokenizers)] for name in sources[:SOURCES]]
    told = f"Words in {figures['context']:,} tokens, on average over the training text:"
    return [*blocks, Text(told), Table(["source", *names(figures)], fits, "lr", more)]


def overlap(figures: Row) -> Table:
    rows = [
        [name, *("" if row == column else units.share(one) for column, one in enumerate(line))]
        for row, (name, line) in enumerate(zip(names(figures), figures["overlap"], strict=True))
    ]
    return Table(["", *names(figures)], rows, "lr")


def hard_cases(figures: Row) -> Table:
    rows: list[list[str | Cell | Chips]] = []
    for case in figures["hard_cases"]:
        counts = [len(one["ids"]) for one in case["splits"]]
        cells = [
            Chips(one["tokens"], units.count(count, "tokens"))
            for one, count in zip(case["splits"], counts, strict=True)
        ]
        rows.append([Cell(case["label"], case["text"]), *cells])
    return Table(["what", *names(figures)], rows, "l", "A pointer on the first column shows the text.")
