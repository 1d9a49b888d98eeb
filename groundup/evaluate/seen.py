"""Whether a model was trained on what it is evaluated on, as far as its lineage can tell.

Two things are looked at: whether a file was read for training (by its SHA-256), and whether a text is a training
document (by the hash that the corpus gives a document, of the text as it came and as the corpus cleans it). A text that
is a part of a training document, or nearly one, is not found: for that the corpus has its leak check (data/leaks.py).
"""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import numpy as np

from groundup.data.clean import normalise, repair
from groundup.data.wikitext import detokenise
from groundup.errors import GroundupError
from groundup.evaluate.texts import document_id
from groundup.store.artifacts import load
from groundup.store.runs import Run
from groundup.tokens.pack import read_documents


@dataclass(frozen=True)
class Trained:
    """What a run, and those that it continues, was trained on. `documents` is None where the shards are gone."""

    documents: np.ndarray | None
    """First 64 bits of the ids of its training documents, sorted."""
    files: dict[str, str]
    """SHA-256 of the files that were read, other than official validation and test files, and their names."""


def trained_on(run: Run) -> Trained:
    """Raises GroundupError `run-damaged`."""
    corpus = run.read_json("corpus.json")
    try:
        records = corpus.get("sources", []) if corpus["counts"] else []
        files = {one["sha256"]: one["file"] for one in records if one.get("split") not in ("valid", "test")}
    except (AttributeError, KeyError, TypeError):
        what = f"{run.path / 'corpus.json'} does not say what the corpus holds"
        raise GroundupError("run-damaged", what, "delete the run and train it again") from None
    ids = [np.empty(0, np.uint64)]
    try:
        for link in run.lineage()["chain"]:
            if link["id"].startswith("shards-"):
                shards = load(run.path.parent.parent / "artifacts" / link["id"])
                for source in shards.manifest["counts"]:
                    ids += [rows["id"] for rows in read_documents(shards.path, source, "train")]
    except GroundupError:
        return Trained(None, files)
    return Trained(np.unique(np.concatenate(ids)), files)


def overlap(trained: Trained, texts: Iterable[str], hashes: Iterable[str] = (), deep: bool = True) -> dict[str, Any]:
    """What an evaluation says of it: `flag` is whether the model saw any of the texts in training, None for unknown.

    `deep`: clean the texts in every way that a corpus does; else only normalise them.
    """
    texts, read = list(texts), sorted(trained.files[sha] for sha in hashes if sha in trained.files)
    about: dict[str, Any] = {"texts": len(texts), "files_read": read, "texts_in_train": None}
    if trained.documents is not None:
        known = [_is_known(_ids(text, deep), trained.documents) for text in texts]
        about["texts_in_train"] = int(sum(known))
    flag = bool(about["texts_in_train"] or read)
    return {"flag": None if trained.documents is None and not read else flag, **about}


def _is_known(ids: np.ndarray, known: np.ndarray) -> bool:
    """Whether any of the ids stands in `known`, which is sorted."""
    if not len(known):
        return False
    return bool((known[np.minimum(np.searchsorted(known, ids), len(known) - 1)] == ids).any())


def _ids(text: str, deep: bool) -> np.ndarray:
    ways = {text, normalise(text)}
    if deep:
        ways |= {normalise(repair(text)), normalise(detokenise(text)[0])}
    return np.array([document_id(way) for way in ways], np.uint64)


def words(about: dict[str, Any]) -> str | None:
    """The warning that goes with it, or None."""
    if about["flag"] is None:
        return "whether the model was trained on this text is not known: its shards are gone"
    if not about["flag"]:
        return None
    parts = []
    if about["files_read"]:
        parts.append(f"{', '.join(about['files_read'])} was read for its training")
    if about["texts_in_train"]:
        parts.append(f"{about['texts_in_train']:,} of {about['texts']:,} texts are training documents")
    return f"the model was trained on this text: {'; '.join(parts)}. Its score says nothing of new text"
