"""Packing: documents to token shards that can be memory-mapped.

A shard is a .npy array of uint16 (uint32 for vocabularies above 65,536), its documents one behind the other, each
followed by the end-of-text token. `SOURCE.SPLIT.NNNNN.npy`, in the order of the corpus.
"""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from groundup.console import progress
from groundup.data.corpus import texts
from groundup.data.finish import SPLITS
from groundup.store.artifacts import Artifact, make
from groundup.store.files import save_array
from groundup.tokens.tokenizer import FILE, Encoding, open_tokenizer

VERSION = 1
SHARD_TOKENS = 1 << 27  # 256 MB in uint16
BATCH_BYTES = 16 << 20  # text encoded in one call: enough for all cores, little enough for any memory


def build(corpus: Artifact, tokenizer: Artifact, lab: Path) -> Artifact:
    """The shards of every source and split of a corpus."""

    def fill(directory: Path) -> dict[str, Any]:
        encoding = open_tokenizer(tokenizer.path / FILE)
        counts: dict[str, Any] = {}
        read = corpus.manifest["counts"]
        total = sum(read[source][split]["bytes"] for source in read for split in SPLITS)
        with progress("pack", total, "B") as advance:
            for source in read:
                counts[source] = {}
                for split in SPLITS:
                    tokens = _pack(texts(corpus, source, split), encoding, directory, f"{source}.{split}", advance)
                    known = read[source][split]
                    counts[source][split] = {
                        "tokens": tokens,
                        "documents": known["documents"],
                        "bytes": known["bytes"],
                    }
        return {"counts": counts, "dtype": dtype(encoding).name}

    return make(lab, "shards", VERSION, {}, [corpus, tokenizer], fill)


def dtype(encoding: Encoding) -> np.dtype:
    """The smallest unsigned type that holds every token id."""
    return np.dtype(np.uint16 if encoding.vocab_size <= 1 << 16 else np.uint32)


def _pack(documents: Iterator[str], encoding: Encoding, directory: Path, name: str, advance: Any) -> int:
    """Write one source and split; returns its number of tokens."""
    parts: list[np.ndarray] = []
    held = total = shard = 0

    def flush() -> None:
        nonlocal parts, held, shard
        array = np.concatenate([np.empty(0, dtype(encoding)), *parts])
        save_array(directory / f"{name}.{shard:05}.npy", array)
        parts, held, shard = [], 0, shard + 1

    for batch in _batches(documents, advance):
        encoded = encoding.tokenizer.encode_batch_fast(batch)
        tokens = np.concatenate([np.array([*one.ids, encoding.end], dtype=dtype(encoding)) for one in encoded])
        parts.append(tokens)
        held += len(tokens)
        total += len(tokens)
        if held >= SHARD_TOKENS:
            flush()
    flush()
    return total


def _batches(documents: Iterator[str], advance: Any) -> Iterator[list[str]]:
    batch: list[str] = []
    size = 0
    for text in documents:
        batch.append(text)
        size += len(text)
        if size >= BATCH_BYTES:
            yield batch
            advance(sum(len(one.encode()) for one in batch))
            batch, size = [], 0
    if batch:
        yield batch
        advance(sum(len(one.encode()) for one in batch))


def read_shards(directory: Path, source: str, split: str) -> list[np.ndarray]:
    """The shards of a source and split as memory maps, in order."""
    return [
        np.load(path, mmap_mode="r", allow_pickle=False) for path in sorted(directory.glob(f"{source}.{split}.*.npy"))
    ]
