"""What the suites give away to those who know no language. One command:

    python bench/suites.py stories.txt encyclopedia.jsonl [--delimiter "<|endoftext|>"] [--items FILE ...] [--json]

The texts (txt, jsonl, parquet, csv) are what counts are learned from. For each suite, or for files of items given
instead, and for each phenomenon: the number of items, chance, its standard error, and the accuracy of each baseline of
`groundup/evaluate/bias.py`. `association` counts which words stand in one document: it has no bound to stay under.
"""

import argparse
import json
from pathlib import Path
from typing import Any

from groundup.data.readers import Layout, RawDocument, read
from groundup.evaluate import suites
from groundup.evaluate.bias import association, baselines, learn, review
from groundup.evaluate.items import SuiteItem, read_items

COLUMNS = ("unigram", "trigram", "commonest", "shortest", "overlap", "association")


def texts(paths: list[Path], delimiter: str) -> list[str]:
    found = []
    for path in paths:
        for document in read(path, 0, None, Layout(delimiter=delimiter)):
            if isinstance(document, RawDocument):
                found.append(document.raw.decode("utf-8", "replace"))
    return found


def table(name: str, rows: list[dict[str, Any]], reach: dict[str, str]) -> list[str]:
    """One suite's rows as Markdown."""
    lines = [f"| {name} | reach | n | chance | " + " | ".join(COLUMNS) + " |", "|---" * (4 + len(COLUMNS)) + "|"]
    for row in rows:
        cells = [row["phenomenon"], reach.get(row["phenomenon"], ""), str(row["n"])]
        cells.append(f"{row['chance']:.2f} ± {row['error']:.3f}")
        lines.append(f"| {' | '.join(cells + [f'{row[column]:.3f}' for column in COLUMNS])} |")
    return lines


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("texts", nargs="+", type=Path, help="files to count words in")
    parser.add_argument("--delimiter", default="<|endoftext|>", help="what separates the documents of a txt file")
    parser.add_argument("--items", nargs="+", type=Path, default=[], help="files of items instead of the suites")
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    given = parser.parse_args()
    documents = texts(given.texts, given.delimiter)
    groups: dict[str, tuple[list[SuiteItem], dict[str, str]]] = {
        path.stem: (read_items(path), {}) for path in given.items
    }
    if not groups:
        groups = {name: (list(suites.load(name).items), suites.load(name).reach) for name in suites.names()}
    scorers = baselines(learn(documents))
    result = {}
    for name, (items, reach) in groups.items():
        result[name] = review(items, scorers | {"association": association(documents, items)})
        if not given.json:
            print("\n".join([*table(name, result[name], reach), ""]))
    if given.json:
        print(json.dumps({"documents": len(documents), "suites": result}))


if __name__ == "__main__":
    main()
