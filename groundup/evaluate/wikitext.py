"""WikiText by lm-eval's convention: score the page as it is read, divide by the page as it was tokenised.

So models with any tokenizer compare with those of the corpus's own words. Words are what white space separates in the
original page, counted as lm-eval counts them (version 2 of its task): the empty words before a leading and behind a
trailing space count, too. The page is scored in windows of the model's context that do not overlap but for the last one
of a page, which reaches back to be full; the first token is predicted from end-of-text.

Published figures by this convention: GPT-2 (124 million parameters) has a word perplexity of 37.37 on the test split.
"""

import math
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from groundup.data.download import Corpus, fetch
from groundup.data.sources import corpora, expand
from groundup.errors import GroundupError
from groundup.evaluate.score import Documents, text_nats
from groundup.evaluate.windows import sliding, token_nats
from groundup.model.loss import bits_per_byte
from groundup.model.transformer import Transformer
from groundup.store.files import digest, sha256
from groundup.tokens.encoding import Encoding
from groundup.train.precision import Device

VERSION = 1
# What lm-eval's task does to a page, in its order: what is put in the place of what, then the brackets and quotation
# marks within which the outermost white space goes, then more of the first kind. One more rule of it is left out: its
# pattern was written in another language's way and matches `/' 5/` alone, which the corpus does not hold.
FIRST = (
    ("s '", "s'"),
    *((f" @{mark}@ ", mark) for mark in "-,."),
    *((f" {mark} ", f"{mark} ") for mark in ":;.!?,"),
)
BRACKETS = (("(", ")"), ("[", "]"), ("{", "}"), ('"', '"'), ("'", "'"))
THEN = (
    *(("= " * (count - 1) + "=", "=" * count) for count in (4, 3, 2)),
    (" ° ", "°"),
    (" \n", "\n"),
    ("\n ", "\n"),
    (" N ", " 1 "),
    (" 's", "'s"),
)


@dataclass(frozen=True)
class Pages:
    pages: list[str]
    about: dict[str, Any]

    @property
    def sha256(self) -> str:
        return digest([VERSION, self.about])


def detokenise(page: str) -> str:
    """The page as lm-eval has a model read it. Not the corpus's way (data/wikitext.py), which can be undone."""
    for old, new in FIRST:
        page = page.replace(old, new)
    for left, right in BRACKETS:
        within = rf"{re.escape(left)}\s*([^{re.escape(right)}]*?)\s*{re.escape(right)}"
        page = re.sub(within, rf"{left}\1{right}", page)
    for old, new in THEN:
        page = page.replace(old, new)
    return page


def words(page: str) -> int:
    """Words of the original page, empty ones at its ends included."""
    return len(re.split(r"\s+", page))


def pages(lines: Iterator[str]) -> Iterator[str]:
    """Pages of the corpus's lines: one begins at each title, a line that starts with `= ` and ends with ` =` when the
    signs of deeper headings are closed up (as the data set that lm-eval reads was made)."""
    held: list[str] = []
    for line in lines:
        closed = line.replace("= = =", "===").replace("= =", "==").strip()
        if closed.startswith("= ") and closed.endswith(" ="):
            if (page := "\n".join(held)).strip():
                yield page
            held = []
        held.append(line)
    if (page := "\n".join(held)).strip():
        yield page


def open_pages(path: str | None, split: str, mirror: str | None, downloads: Path) -> Pages:
    """Pages of a raw file of the corpus, or of the split of WikiText-103 in a mirror or in the hub.

    WikiText-2 and WikiText-103 have the same valid and test splits.
    Raises GroundupError `no-such-file`, `bad-task`, `download-failed`, `wrong-hash`.
    """
    if path is not None:
        files = expand(path)
    else:
        known = corpora()["wikitext-103"]
        part = {split: known["files"][split]}
        files = fetch(Corpus(known["repository"], known["revision"], part, downloads), mirror)[split]
    found = [page for file in files for page in pages(_lines(file))]
    if not found:
        raise GroundupError("bad-task", f"{files[0]} holds no page", "name a raw file of WikiText, wiki.test.raw say")
    return Pages(found, {"files": [[file.name, sha256(file)] for file in files]})


def _lines(path: Path) -> Iterator[str]:
    if path.suffix == ".parquet":
        try:
            with pq.ParquetFile(path) as table:
                for batch in table.iter_batches(columns=["text"]):
                    rows = batch.column("text").to_pylist()
                    yield from (str(row).removesuffix("\n") for row in rows if row is not None)
        except (pa.ArrowException, KeyError) as error:
            what = f"{path} cannot be read as a table with a column `text`: {str(error).splitlines()[0]}"
            raise GroundupError("bad-task", what, "name a raw file of WikiText, or its Parquet files") from None
        return
    try:
        yield from path.read_text(encoding="utf-8").split("\n")
    except UnicodeDecodeError as error:
        raise GroundupError("bad-task", f"{path} is not UTF-8 text ({error.reason})", "save it as UTF-8") from None


def evaluate(
    model: Transformer, texts: list[str], encoding: Encoding, device: Device
) -> tuple[dict[str, Any], Documents, np.ndarray]:
    """(the scores, what each page came to by its original's bytes, the pages' words)."""
    context, flat, windows, starts = model.config.context, [[encoding.end]], [], []
    at = 0
    for page in texts:
        ids = encoding.encode(detokenise(page))
        starts.append(at)
        windows += sliding(at, len(ids), context, context) if ids else []
        flat.append([*ids, encoding.end])
        at += len(ids) + 1
    tokens = np.concatenate(flat)
    nats, text = text_nats(token_nats(model, tokens, windows, device), tokens[1:], encoding)
    sizes = np.array([len(page.encode()) for page in texts])
    counts = np.array([words(page) for page in texts])
    each = np.add.reduceat(nats, starts)
    documents = Documents(
        np.arange(len(texts), dtype=np.uint64), each, np.add.reduceat(text.astype(np.int64), starts), sizes
    )
    total, size, number = float(each.sum()), int(sizes.sum()), int(counts.sum())
    scores = {
        "word_perplexity": _exp(total / number),
        "byte_perplexity": _exp(total / size),
        "bits_per_byte": bits_per_byte(total, size),
        "bits_per_byte_se": documents.bpb_error(),
        "pages": len(texts),
        "words": number,
        "bytes": size,
        "tokens": int(text.sum()),
        "nats": total,
    }
    return scores, documents, counts


def _exp(value: float) -> float:
    return math.exp(value) if value < 700 else math.inf
