"""The corpus pipeline: speed, memory, and near-duplicates found, against datatrove's MinHash pipeline. One command:

    python bench/data.py --books BOOKS [--mb 450] [--json] [--quick]

BOOKS (or $GROUNDUP_BOOKS) is a folder of real text, *.jsonl, *.jsonl.zst (`text`) or *.txt; about 0.7 times as much as
the corpus to be made of it. Text that a program wrote will not do: its documents are near-duplicates of one another.

1. A corpus is planted (planted.py): documents of real text, and copies with 2 to 10 edits a hundred words.
2. `groundup data` makes a corpus of it: every filter rule but `language`, exact and near duplicates, split, leaks; all
   else as a recipe has it by default. Once more without rules, as a recipe has it by default, and once with rules on
   half of the families, to see how memory grows.
3. On a fifth of the families: `groundup data` without filter rules and datatrove, so that both compare the same
   documents: word 3-grams, bands of 4 rows; datatrove's 32 bands are the setting whose 25-fold cost was to be beaten.
   Ours are more, which costs little. With 40 datatrove finds 0.9994 of the copies at the same cost (docs/log.md).

What the figures mean: scoring.py for recall and precision, measured.py for seconds and memory. MB are 10^6 bytes of
UTF-8 text; mb_per_s counts the wall seconds of the whole command, the start of Python included. cpu_ratio_datatrove is
datatrove's processor seconds by those of our near-duplicate stage, cpu_ratio_whole by those of all of our command.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
from dataclasses import asdict
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from measured import measure
from planted import Planted, plant, read_texts
from scoring import proof, read_outcome, score

from groundup.data.minhash import BANDS, ROWS, WORDS

RULES = ["length", "symbols", "repetition", "c4", "boilerplate"]
HALF, FIFTH = 2, 5
PEER_NEEDS = ("datatrove", "spacy", "orjson", "xxhash")
PEER_BANDS = 32
PEER_FILES = 2  # one for each of its processes
SHOWN = 10  # lost families
HERE = Path(__file__).parent


def part_of(corpus: Path, truth: list[Planted], part: int, paths: list[Path]) -> list[Planted]:
    """Deal every part-th family to some files, and return the truth about those."""
    chosen = [planted for planted in truth if planted.family % part == 0]
    ids = {planted.id for planted in chosen}
    for path in paths:
        path.parent.mkdir(parents=True, exist_ok=True)
    files = [path.open("w", encoding="utf-8", newline="\n") for path in paths]
    with corpus.open(encoding="utf-8", newline="\n") as lines:
        for number, line in enumerate(line for line in lines if json.loads(line)["url"] in ids):
            files[number % len(files)].write(line)
    for file in files:
        file.close()
    return chosen


def text_bytes(corpus: Path) -> int:
    with corpus.open(encoding="utf-8") as lines:
        return sum(len(json.loads(line)["text"].encode()) for line in lines)


def run_ours(corpus: Path, truth: list[Planted], work: Path, rules: list[str]) -> dict[str, Any]:
    """`groundup data` on a corpus."""
    sources = {"planted": {"path": str(corpus), "language": "en", "filters": rules}}
    recipe = {"data": {"sources": sources}, "model": {"size": "20m"}}  # there is no recipe without a model
    work.mkdir(parents=True)
    (work / "recipe.yaml").write_text(json.dumps(recipe))  # JSON is YAML
    command = [sys.executable, "-m", "groundup.cli", "data", str(work / "recipe.yaml"), "--lab", str(work), "--json"]
    try:
        printed, cost = measure(command)
    except subprocess.CalledProcessError as error:
        raise SystemExit(f"groundup data failed with exit code {error.returncode}") from None
    made = json.loads(printed)
    artifact = Path(made["path"])
    outcome = read_outcome(artifact)
    result = score(truth, outcome.duplicates, outcome.filtered)
    threshold = json.loads((artifact / "report.json").read_text())["clusters"]["threshold"]
    lost = proof(result.lost, outcome, corpus, threshold)
    mistakes = sum(not one["natural"] for one in lost)
    mb = text_bytes(corpus) / 1e6
    return asdict(cost) | {
        "mb": mb,
        "documents": len(truth),
        "mb_per_s": mb / cost.wall_s,
        "filtered": len(outcome.filtered),
        "removed": len(outcome.duplicates),
        "threshold": threshold,
        "recall": result.recall,
        "recall_exact": result.recall_exact,
        "precision": result.precision,
        "precision_checked": 1 - mistakes / result.gone if result.gone else 1.0,
        "lost": lost[:SHOWN],
        "stages": made["stages"],
    }


def run_datatrove(corpus: Path, truth: list[Planted], work: Path) -> dict[str, Any] | None:
    """datatrove on the files of a folder; None where it is not installed."""
    missing = [name for name in PEER_NEEDS if find_spec(name) is None]
    if missing:
        print(f"no comparison: {', '.join(missing)} not installed (pip install -e '.[bench]')", file=sys.stderr)
        return None
    work.mkdir(parents=True)
    settings = [str(number) for number in (WORDS, PEER_BANDS, ROWS)]
    command = [sys.executable, str(HERE / "datatrove_minhash.py"), str(corpus), str(work), *settings]
    try:
        _, cost = measure(command, work / "stderr.txt")
    except subprocess.CalledProcessError:
        last = (work / "stderr.txt").read_text(errors="replace").splitlines()[-5:]
        raise SystemExit("datatrove failed:\n" + "\n".join(last)) from None
    removed = set()
    for path in (work / "removed").glob("*.jsonl"):
        with path.open(encoding="utf-8") as lines:
            removed |= {json.loads(line)["id"] for line in lines}
    result = score(truth, removed)
    return asdict(cost) | {
        "removed": len(removed),
        "recall": result.recall,
        "recall_exact": result.recall_exact,
        "precision": result.precision,
    }


def bench(books: Path, mb: float, work: Path) -> dict[str, Any]:
    """All figures."""
    corpus = work / "planted" / "corpus.jsonl"
    truth = plant(read_texts(books), corpus.parent, mb * 1e6)
    whole = run_ours(corpus, truth, work / "whole", RULES)
    plain = run_ours(corpus, truth, work / "plain", [])
    half_truth = part_of(corpus, truth, HALF, [work / "half.jsonl"])
    half = run_ours(work / "half.jsonl", half_truth, work / "half", RULES)
    fifth_truth = part_of(corpus, truth, FIFTH, [work / "fifth.jsonl"])
    fifth = run_ours(work / "fifth.jsonl", fifth_truth, work / "fifth", [])
    part_of(corpus, truth, FIFTH, [work / "peer" / f"{number}.jsonl" for number in range(PEER_FILES)])
    peer = run_datatrove(work / "peer", fifth_truth, work / "datatrove")
    near = fifth["stages"]["near"]["cpu_seconds"]
    known = whole["peak_mb"] and half["peak_mb"]
    return whole | {
        "mb_per_s_plain": plain["mb_per_s"],
        "plain": plain,
        "peak_mb_half": half["peak_mb"],
        "peak_growth": whole["peak_mb"] / half["peak_mb"] if known else None,
        "cpu_ratio_datatrove": peer["cpu_s"] / near if peer else None,
        "cpu_ratio_whole": peer["cpu_s"] / fifth["cpu_s"] if peer else None,
        "near_cpu_s": near,
        "cpu_s_datatrove": peer and peer["cpu_s"],
        "recall_datatrove": peer and peer["recall"],
        "precision_datatrove": peer and peer["precision"],
        "half": half,
        "fifth": fifth,
        "datatrove": peer,
        "minhash": {"words": WORDS, "bands": BANDS, "rows": ROWS, "bands_datatrove": PEER_BANDS},
        "processors": os.cpu_count(),
    }


def table(figures: dict[str, Any]) -> list[str]:
    """The figures as Markdown."""
    head = ["", "MB", "documents", "wall s", "CPU s", "MB/s", "peak MB", "recall", "exact", "precision", "checked"]
    lines = [f"| {' | '.join(head)} |", "|---" * len(head) + "|"]
    rows = {
        "groundup data, all rules": figures,
        "no rules": figures["plain"],
        "half": figures["half"],
        "a fifth, no rules": figures["fifth"],
    }
    if figures["datatrove"]:
        same = {key: figures["fifth"][key] for key in ("mb", "documents")}
        rows["datatrove MinHash, the fifth"] = figures["datatrove"] | same
    for name, row in rows.items():
        speed = row["mb"] / row["wall_s"]
        peak = "?" if row["peak_mb"] is None else f"{row['peak_mb']:,.0f}"
        cells = [name, f"{row['mb']:.0f}", f"{row['documents']:,}", f"{row['wall_s']:.1f}", f"{row['cpu_s']:.1f}"]
        cells += [f"{speed:.2f}", peak, f"{row['recall']:.4f}", f"{row['recall_exact']:.4f}", f"{row['precision']:.5f}"]
        cells.append(f"{row['precision_checked']:.5f}" if "precision_checked" in row else "")
        lines.append(f"| {' | '.join(cells)} |")
    stages = ", ".join(
        f"{name} {cost['seconds']:.1f}/{cost['cpu_seconds']:.1f}" for name, cost in figures["stages"].items()
    )
    lines += [
        "",
        f"stages, wall/CPU s: {stages}; near-duplicates from {figures['threshold']}, {BANDS} bands of {ROWS}",
    ]
    if figures["peak_growth"]:
        lines.append(f"twice the corpus: {figures['peak_growth']:.2f} times the peak memory")
    if figures["datatrove"]:
        near, whole = figures["cpu_ratio_datatrove"], figures["cpu_ratio_whole"]
        lines.append(
            f"CPU seconds of datatrove by those of our near-duplicate stage {near:.1f}, of our command {whole:.1f}"
        )
    if figures["lost"]:
        lines += [
            "",
            "families of which nothing stays, and the document that they are like (similarity measured again):",
        ]
    for one in figures["lost"]:
        lines.append(f"  {one['similarity']:.2f}  {one['begins'][:50]!r} / {one['other_begins'][:50]!r}")
    return lines


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--books", type=Path, default=os.environ.get("GROUNDUP_BOOKS"), help="folder of real text")
    parser.add_argument("--mb", type=float, default=450, help="size of the corpus in 10^6 bytes of text (default: 450)")
    parser.add_argument("--quick", action="store_true", help="10 MB, to see that it works")
    parser.add_argument("--work", type=Path, help="keep what is made in this folder, which must not exist")
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    given = parser.parse_args()
    if given.books is None or not given.books.is_dir():
        parser.error("name a folder of real text, books say, with --books or $GROUNDUP_BOOKS")
    mb = 10 if given.quick else given.mb
    with tempfile.TemporaryDirectory() as temporary:
        try:
            figures = bench(given.books, mb, given.work or Path(temporary))
        except FileNotFoundError as error:
            parser.error(str(error))
    print(json.dumps(figures) if given.json else "\n".join(table(figures)))


if __name__ == "__main__":
    main()
