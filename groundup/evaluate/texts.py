"""Texts of a user's own to score: files, or the documents of a corpus, as packed tokens."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from groundup.data.corpus import texts as corpus_texts
from groundup.data.prepare import key_of
from groundup.data.readers import Bad, Layout, read
from groundup.data.sources import expand
from groundup.errors import GroundupError
from groundup.store.artifacts import load
from groundup.store.files import sha256
from groundup.tokens.encoding import Encoding
from groundup.tokens.pack import DOCUMENT


@dataclass(frozen=True)
class Texts:
    """Documents by source (a file's name, or a corpus's source), and what identifies them."""

    name: str
    sources: dict[str, list[str]]
    split: dict[str, str]
    """Of each source, where the documents are a corpus's."""
    about: dict[str, Any]
    files: dict[str, list[str]]
    """SHA-256 of the file of each source, where it is one."""


def open_texts(given: str, lab: Path, splits: list[str], delimiter: str | None = None, column: str = "text") -> Texts:
    """A file, folder or glob (txt, md, raw, jsonl, parquet, csv, .gz, .zst), or a corpus artifact's splits.

    Documents are scored as they stand in the file, less the white space at their ends.
    Raises GroundupError `no-such-file`, `no-text`, `bad-file`, `artifact-damaged`.
    """
    artifact = next((path for path in (lab / "artifacts" / given, Path(given)) if _is_corpus(path)), None)
    if artifact is not None:
        corpus = load(artifact)
        parts = [(source, split) for source in corpus.manifest["counts"] for split in splits]
        sources = {f"{source}.{split}": list(corpus_texts(corpus, source, split)) for source, split in parts}
        about: dict[str, Any] = {"corpus": corpus.reference(), "splits": splits}
        of_split = {f"{source}.{split}": split for source, split in parts}
        found = Texts(corpus.id, {name: texts for name, texts in sources.items() if texts}, of_split, about, {})
    else:
        paths, layout = expand(given), Layout(delimiter, column=column)
        hashes = [sha256(path) for path in paths]
        named = [[path.name, sha] for path, sha in zip(paths, hashes, strict=True)]
        about = {"files": named, "delimiter": delimiter, "column": column}
        alone = len({path.name for path in paths}) == len(paths)
        files = [path.name if alone else str(path) for path in paths]
        single = {file: list(_documents(path, layout)) for file, path in zip(files, paths, strict=True)}
        read_from = {file: [sha] for file, sha in zip(files, hashes, strict=True)}
        name = Path(given).stem if len(paths) == 1 else Path(given).name
        found = Texts(name, {file: texts for file, texts in single.items() if texts}, {}, about, read_from)
    if not found.sources:
        raise GroundupError("no-text", f"{given} holds no text", "name a file with text in it")
    return found


def _is_corpus(path: Path) -> bool:
    return path.name.startswith("corpus-") and (path / "manifest.json").is_file()


def _documents(path: Path, layout: Layout) -> Iterator[str]:
    for document in read(path, 0, None, layout):
        if isinstance(document, Bad):
            raise GroundupError("bad-file", f"{path}, {document.place}: {document.why}", "mend or remove it")
        try:
            text = document.raw.decode("utf-8-sig").strip()
        except UnicodeDecodeError as error:
            what = f"{path}, {document.place}: not UTF-8 ({error.reason})"
            raise GroundupError("bad-file", what, "save it as UTF-8") from None
        if text:
            yield text


def pack(texts: Iterable[str], encoding: Encoding) -> tuple[np.ndarray, np.ndarray]:
    """(tokens, records of `pack.DOCUMENT`): documents one behind the other, each followed by end-of-text."""
    tokens, rows, at = [np.empty(0, np.int64)], [], 0
    for text in texts:
        ids = encode(encoding, text)
        tokens.append(np.array([*ids, encoding.end], np.int64))
        rows.append((at, len(text.encode()), document_id(text)))
        at += len(ids) + 1
    return np.concatenate(tokens), np.array(rows, DOCUMENT)


def encode(encoding: Encoding, text: str) -> list[int]:
    """A text's ids, part by part: tokenizers is slow on a long one."""
    return [id for part, _ in encoding.parts(text) for id in encoding.encode(part)]


def document_id(text: str) -> int:
    """First 64 bits of the id that a document of this very text has in a corpus."""
    return int.from_bytes(key_of(text)[:8], "big")
