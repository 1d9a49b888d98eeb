"""A corpus as one page: what was read, what was left out and why, what is left. What is absent is said to be."""

import json
import math
from pathlib import Path

from groundup.data import report_steps, report_texts
from groundup.data.account import Account, accounts, amount, together
from groundup.data.report_steps import SILENT, label, reason_label, was_cut, was_done
from groundup.errors import GroundupError
from groundup.report import page, units
from groundup.report.page import Cell, Details, Fact, Pre, Section, Table, Text
from groundup.report.reading import Folder, Row, clip, finite, listing, mapping, number, ratio, total, words
from groundup.store.files import write_output

# Bounds that keep the page of a very large corpus light; the page says so where one of them cuts.
SOURCES, FILES, OPEN, DEFECTS, RECIPE, FINDINGS, STAGES = 40, 100, 8, 1000, 50_000, 12, 20
MUCH = 0.5  # of a source's bytes removed: worth a look at the examples


def write(artifact_path: Path, target: Path) -> Path:
    """Write the page of a corpus artifact to `target`, whole or not at all, and return that path.

    Raises GroundupError `no-such-file` where there is no such directory, `not-writable`.
    """
    if not artifact_path.is_dir():
        fix = "`groundup data RECIPE` makes the corpus of a recipe"
        raise GroundupError("no-such-file", f"{artifact_path} is not a corpus directory.", fix)
    folder = Folder(artifact_path)
    manifest, report = folder.table("manifest.json"), folder.table("report.json")
    return write_output(target, _page(manifest, report, folder.notes))


def figures(artifact_path: Path) -> Row:
    """What the page shows, for programs: report.json, and of the manifest what says when and how it was made."""
    folder = Folder(artifact_path)
    manifest, report = folder.table("manifest.json"), folder.table("report.json")
    about = {key: manifest[key] for key in ("id", "created", "seconds", "stages", "versions") if key in manifest}
    return about | report | ({"notes": folder.notes} if folder.notes else {})


def render(manifest: Row, report: Row) -> str:
    """The page as HTML: `manifest` is the artifact's manifest.json, `report` its report.json."""
    return _page(manifest, report, [])


def _page(manifest: Row, report: Row, notes: list[str]) -> str:
    each = accounts(report)
    everything = together(report, "all sources", each)
    found = findings(report, each)
    more = [Text(f"{len(found) - FINDINGS:,} more findings of these kinds.", "warn")] if len(found) > FINDINGS else []
    flow = report_steps.picture(report, each, everything) if each else [SILENT]
    words_intro = "Documents by their number of words, after cleaning. Each bin is twice as wide as the one before."
    reasons_intro = "What each rule removed, where the rule comes from, and documents that it hit, to look at."
    sections = [
        Section("Overview", [*found[:FINDINGS], *more, *flow]),
        Section("Step by step", report_steps.steps(report, each, everything), "What every stage left out."),
        Section("Lengths", report_steps.lengths(report), words_intro),
        Section("Left out, and why", report_texts.reasons(report, everything), reasons_intro),
        Section("Boilerplate lines", report_texts.boilerplate(report)),
        Section("Duplicates", report_texts.duplicates(report, everything)),
        Section("Leaks", report_texts.leaks(report)),
        Section("Sources and licences", sources(report)),
        Section("How it was made", making(manifest)),
    ]
    footer = [" ".join(notes), "This page makes no request and holds no script."]
    return page.page(masthead(manifest, report, everything, found), sections, [line for line in footer if line])


def masthead(manifest: Row, report: Row, everything: Account, found: list[Text]) -> page.Masthead:
    read, stays, gone = everything.read, everything.stays, everything.gone
    known = bool(mapping(report, "sources"))
    of = f"of {units.count(read.documents, 'documents')} read"
    if was_cut(everything):
        of = f"of {units.count(everything.pieces)} pieces cut from {units.count(read.documents, 'documents')}"
    share = ratio(gone.bytes, read.bytes)
    most = max(everything.removed, key=lambda reason: amount(everything.removed[reason]), default="")
    largest = f"; most of it: {reason_label(most)}" if most else ""
    removed = f"of the bytes read, {units.count(gone.documents, 'documents')}{largest}"
    seconds = number(manifest, "seconds")
    speed = ratio(read.bytes, seconds)
    facts = [
        Fact("Documents kept", units.count(stays.documents), of if known else ""),
        Fact("Text kept", units.size(stays.bytes), f"of {units.size(read.bytes)} read" if known else ""),
        Fact("Removed", units.share(share), removed if known else "", "warn" if share > MUCH else ""),
        near_fact(report, everything),
        leak_fact(report),
        Fact("Time", units.duration(seconds), f"{units.size(speed)} per second" if math.isfinite(speed) else ""),
    ]
    state, tone = ("nothing suspicious was found", "good") if known else ("nothing is known of its text", "warn")
    if found:
        tone = "bad" if any(one.tone == "bad" for one in found) else "warn"
        state = f"{units.count(len(found), 'findings')} to look at"
    made = words(manifest, "created")
    kicker = f"groundup corpus, made {label(made)}" if made else "groundup corpus"
    title = label(words(manifest, "id", "corpus without a manifest"))
    return page.Masthead(title, kicker, state, tone, "", facts)


def near_fact(report: Row, everything: Account) -> Fact:
    clusters = mapping(report, "clusters")
    near, exact = (total(v.documents for v in everything.at(report, stage).values()) for stage in ("near", "exact"))
    known = "sources" in report
    also = f"; {units.count(finite(exact, 0), 'exact duplicates')} besides" if known else ""
    if not was_done(report, "near") and not near > 0:
        return Fact(
            "Near-duplicates", "not looked for" if "clusters" in report else units.ABSENT, also.removeprefix("; ")
        )
    sizes = total(number(mapping(clusters, "sizes"), size) for size in mapping(clusters, "sizes"))
    groups = f"in {units.count(sizes, 'clusters')}" if math.isfinite(sizes) else ""
    threshold = f"{number(clusters, 'threshold'):g} or more alike" if was_done(report, "near") else ""
    note = ", ".join(part for part in (groups, threshold) if part)
    return Fact("Near-duplicates", units.count(finite(near, 0) if known else near, "documents"), note + also)


def leak_fact(report: Row) -> Fact:
    found = mapping(report, "leaks")
    checked = listing(found, "checked")
    if not checked:
        return Fact("Leaks", "not looked for" if "leaks" in report else units.ABSENT)
    leaked = total(number(one, "leaked") for one in checked)
    texts = total(number(one, "documents") for one in checked)
    of = f"of {units.count(texts, 'held-out texts')}"
    if not leaked > 0:
        return Fact("Leaks", "none" if leaked == 0 else units.ABSENT, f"{of} stands in the training text", "good")
    if words(found, "mode") == "remove":
        removed = units.count(number(found, "removed"), "training documents")
        return Fact("Leaks", "removed", f"{removed} that held {units.count(leaked)} {of}", "good")
    stand = "stands" if leaked == 1 else "stand"
    return Fact("Leaks", units.count(leaked, "texts"), f"{of} {stand} in the training text", "bad")


def findings(report: Row, each: list[Account]) -> list[Text]:
    """What a user should look at before training, worst first."""
    found: list[Text] = []
    leaks, sources = mapping(report, "leaks"), mapping(report, "sources")
    for one in listing(leaks, "checked") if words(leaks, "mode") != "remove" else ():
        if (leaked := number(one, "leaked")) > 0:
            count = f"{units.count(leaked)} of {units.count(number(one, 'documents'))} texts"
            told = f"{label(words(one, 'name'))}: {count} stand in the training text, by half or more. A score on them "
            found.append(Text(told + "measures memory. data.decontaminate=remove leaves the copies out.", "bad"))
    for account in each:
        name = label(account.name)
        for split in ("train", "valid"):
            if account.kept[split].documents == 0:
                missing = "training" if split == "train" else "validation"
                found.append(Text(f"{name}: there is no text for {missing}.", "warn"))
        share = ratio(account.gone.bytes, account.read.bytes)
        if share > MUCH:
            most = max(account.removed, key=lambda reason: amount(account.removed[reason]))
            told = f"{name}: {units.share(share)} of its bytes were left out, most of them for the reason "
            found.append(
                Text(f"{told}“{reason_label(most)}”. Look at the examples: does that rule suit this text?", "warn")
            )
        unreadable = account.removed["unreadable"].documents if "unreadable" in account.removed else 0
        if unreadable > 0:
            told = f"{name}: {units.count(unreadable, 'documents')} could not be read and"
            found.append(Text(f"{told} {'was' if unreadable == 1 else 'were'} skipped.", "warn"))
        if not words(mapping(sources, account.name), "license"):
            told = f"{name}: its licence is not known. data.sources.{name}.license writes it into the record."
            found.append(Text(told, "warn"))
    found.sort(key=lambda one: one.tone != "bad")
    return found


def sources(report: Row) -> list[page.Block]:
    """Where the text comes from, what one may do with it, and what is known to be wrong with it."""
    described = mapping(report, "sources")
    if not described:
        return [SILENT]
    rows: list[list[str | Cell]] = []
    files: list[list[str | Cell]] = []
    total_files = 0
    defects: list[list[str]] = []
    for name in list(described)[:SOURCES]:
        source = mapping(described, name)
        changed = mapping(source, "changed")
        did = [f"{label(key)} {units.count(number(changed, key))}" for key in changed if number(changed, key) > 0]
        rules = source.get("rules")
        used = ", ".join(label(str(rule)) for rule in rules[:FINDINGS]) if isinstance(rules, list) else ""
        revision = words(source, "revision")
        rows.append(
            [
                label(name),
                label(words(source, "license", "not known")),
                label(words(source, "language", "not stated")),
                label(words(source, "corpus", "own files")),
                short(revision) if revision else units.ABSENT,
                used or "none",
                ", ".join(did) or "none",
            ]
        )
        if "defects" in source:
            known = "Nothing is on record." if source["defects"] is None else ""
            defects.append([label(name), clip(known or words(source, "defects"), DEFECTS, "report.json")])
        entries = listing(source, "files")
        total_files += len(entries)
        for file in entries[: FILES - len(files)]:
            split = label(words(file, "split", units.ABSENT))
            size = units.size(number(file, "bytes"))
            files.append(
                [label(name), label(words(file, "file", units.ABSENT)), split, size, short(words(file, "sha256"))]
            )
    columns = ["source", "licence", "language", "corpus", "revision", "rules", "documents changed"]
    note = "A shortened hash shows all of itself when pointed at."
    if len(described) > SOURCES:
        note += f" The first {SOURCES} of {len(described):,} sources."
    blocks: list[page.Block] = [Table(columns, rows, "l", note)]
    if defects:
        blocks.append(Table(["source", "what is known to be wrong with it"], defects, "lt"))
    if not files:
        return [
            *blocks,
            Text("No raw file is recorded: the text was generated, or report.json does not say.", "absent"),
        ]
    caption = f"The first {len(files)} of {total_files:,} files." if total_files > len(files) else ""
    table = Table(["source", "raw file", "official split", "size", "SHA-256"], files, "lllrl", caption)
    return [*blocks, Details(units.count(total_files, "raw files"), [table], open=total_files <= OPEN)]


def making(manifest: Row) -> list[page.Block]:
    """When, by what, and for how long."""
    if not manifest:
        return [Text("The manifest is absent.", "absent")]
    versions = mapping(manifest, "versions")
    facts: list[list[str | Cell]] = [
        ["artifact", Cell(label(words(manifest, "id", units.ABSENT)), code=True)],
        ["manifest SHA-256", short(words(manifest, "sha256"))],
        ["created", label(words(manifest, "created", units.ABSENT))],
        ["versions", ", ".join(label(f"{name} {words(versions, name)}") for name in versions) or units.ABSENT],
    ]
    blocks: list[page.Block] = [Table([], facts, "l")]
    stages, whole = mapping(manifest, "stages"), number(manifest, "seconds")
    rows: list[list[str]] = []
    for name in list(stages)[:STAGES]:  # seconds alone, or with those of the processors
        clock = {"seconds": stages[name]} | mapping(stages, name)
        time = number(clock, "seconds")
        busy = units.duration(number(clock, "cpu_seconds"))
        rows.append([label(name), units.duration(time), units.share(ratio(time, whole)), busy])
    if rows:
        rows.append(["all", units.duration(whole), units.share(ratio(whole, whole)), units.ABSENT])
        blocks.append(Table(["stage", "time", "share", "processor time"], rows, "lr"))
    if recipe := mapping(manifest, "recipe"):
        text = json.dumps(recipe, indent=2, ensure_ascii=False)
        blocks.append(
            Details("The part of the recipe that it was made from", [Pre(clip(text, RECIPE, "manifest.json"))])
        )
    return blocks


def short(sha: str) -> Cell:
    return Cell(sha[:12] or units.ABSENT, clip(sha, 200, "report.json"), code=True)
