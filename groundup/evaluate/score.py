"""Loss, perplexity and bits per byte of a model on packed text, as sums and document by document."""

import math
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from groundup.evaluate.estimate import ratio
from groundup.evaluate.windows import side_by_side, sliding, token_nats
from groundup.model.loss import bits_per_byte, perplexity
from groundup.model.transformer import Transformer
from groundup.tokens.encoding import Encoding
from groundup.tokens.pack import DOCUMENT, read_documents, read_shards
from groundup.train.precision import Device

# A character that the vocabulary cannot spell costs what the model gives for <|unk|>, and then a choice among all of
# Unicode's 1,112,064 scalar values (the Unicode Standard, D76). So bits per byte are those of a code that gives back
# the text, and a small alphabet cannot look good by not saying which character it was.
UNKNOWN_NATS = math.log(1_112_064)


@dataclass(frozen=True)
class Documents:
    """What each document of a text came to, so that two runs can be compared pair by pair. Arrays of one length."""

    ids: np.ndarray
    """First 64 bits of the documents' ids, uint64."""
    nats: np.ndarray
    tokens: np.ndarray
    bytes: np.ndarray

    def bpb_error(self) -> float | None:
        """Standard error of bits per byte over documents; None for fewer than two.

        Of the ratio of nats to bytes (`estimate.ratio`), in bits.
        """
        error = ratio(self.nats, self.bytes, np.arange(len(self.nats))).standard_error
        return None if error is None else error / math.log(2)


@dataclass(frozen=True)
class Score:
    """What a model makes of a text. Special tokens count in none of these sums, but <|unk|> in all."""

    source: str
    nats: float  # sum of -ln p over the text's tokens
    tokens: int
    bytes: int  # UTF-8 bytes of the text
    documents: Documents | None = None

    def to_json(self) -> dict[str, Any]:
        loss = self.nats / self.tokens
        bpb = bits_per_byte(self.nats, self.bytes)
        about = {"source": self.source, "loss": loss, "ppl": perplexity(loss), "bpb": bpb}
        return about | {"tokens": self.tokens, "bytes": self.bytes}


def pooled(scores: list[Score]) -> Score:
    """All sources as one text. It does not depend on the mix, so runs with different mixes can be compared by it."""
    parts = [score.documents for score in scores if score.documents is not None]
    joined = None
    if parts and len(parts) == len(scores):
        joined = Documents(*(np.concatenate([getattr(part, key) for part in parts]) for key in vars(parts[0])))
    return Score(
        "all", sum(s.nats for s in scores), sum(s.tokens for s in scores), sum(s.bytes for s in scores), joined
    )


def score(
    model: Transformer,
    tokens: np.ndarray,
    encoding: Encoding,
    device: Device,
    source: str,
    document_mask: bool = False,
    stride: int | None = None,
    documents: np.ndarray | None = None,
    between: Callable[[], None] = lambda: None,
) -> Score:
    """Score packed documents in windows of the model's context: each token once.

    `tokens` (N,) are documents that each finish with the end-of-text token. A token sees what precedes it in its
    window, or with `document_mask` only what precedes it in its document. Windows lie side by side, or move on by
    `stride` tokens (`windows.sliding`). Sums are kept in fp64. `documents`: records of `pack.DOCUMENT`, which know the
    text's own bytes; without them unknown characters are in no byte count.
    Raises GroundupError `out-of-memory`, `not-finite`.
    """
    flat = np.concatenate([[encoding.end], np.asarray(tokens, dtype=np.int64)])
    count, context = len(tokens), model.config.context
    windows = sliding(0, count, context, stride) if stride else side_by_side(0, count, context)
    nats = token_nats(model, flat, windows if count else [], device, encoding.end if document_mask else None, between)
    values, text = text_nats(nats, flat[1:], encoding)
    size, by_document = int(encoding.token_bytes[flat[1:]].sum()), None
    if documents is not None:
        starts = documents["start"].astype(np.int64)
        nats_of, tokens_of = np.add.reduceat(values, starts), np.add.reduceat(text.astype(np.int64), starts)
        by_document = Documents(documents["id"], nats_of, tokens_of, documents["bytes"].astype(np.int64))
        size = int(documents["bytes"].sum())
    return Score(source, float(values.sum()), int(text.sum()), size, by_document)


def text_nats(nats: np.ndarray, tokens: np.ndarray, encoding: Encoding) -> tuple[np.ndarray, np.ndarray]:
    """What each token costs in nats, float64, and whether it counts: special tokens cost nothing, <|unk|> more."""
    text = encoding.token_bytes[tokens] > 0
    if encoding.unknown is None:
        return np.where(text, nats, 0.0).astype(np.float64), text
    unknown = tokens == encoding.unknown
    return np.where(text | unknown, nats, 0.0).astype(np.float64) + UNKNOWN_NATS * unknown, text | unknown


def score_split(
    model: Transformer,
    shards: Path,
    sources: list[str],
    split: str,
    encoding: Encoding,
    device: Device,
    document_mask: bool = False,
    limit: int | None = None,
    stride: int | None = None,
    between: Callable[[], None] = lambda: None,
) -> list[Score]:
    """A score for each source that has text in the split, and their pool; empty if none has.

    `limit` is in bytes of text: the first documents that it holds, at least one, the same with every tokenizer.
    """
    scores = []
    for source in sources:
        tokens, documents = _first_documents(shards, source, split, limit)
        if len(documents):
            scores.append(score(model, tokens, encoding, device, source, document_mask, stride, documents, between))
    return [*scores, pooled(scores)] if scores else []


def _first_documents(shards: Path, source: str, split: str, limit: int | None) -> tuple[np.ndarray, np.ndarray]:
    """(tokens, their records) of the documents that `limit` bytes of text hold, at least one; None: of all."""
    parts, records = [np.empty(0, np.uint16)], [np.empty(0, DOCUMENT)]
    size = start = 0
    for tokens, documents in zip(
        read_shards(shards, source, split), read_documents(shards, source, split), strict=True
    ):
        ends = size + np.cumsum(documents["bytes"], dtype=np.int64)
        keep = len(ends) if limit is None else int(np.searchsorted(ends, limit, side="right"))
        if keep == 0 and size == 0 and len(ends):
            keep = 1
        parts.append(tokens[: documents["start"][keep] if keep < len(ends) else None])
        mine = documents[:keep].copy()
        mine["start"] += np.uint64(start)
        records.append(mine)
        start += len(tokens)
        size = int(ends[keep - 1]) if keep else size
        if keep < len(ends):
            break
    return np.concatenate(parts), np.concatenate(records)
