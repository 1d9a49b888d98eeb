"""Loss, perplexity and bits per byte of a model on packed text."""

import math
from collections import deque
from collections.abc import Callable
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch

from groundup.errors import GroundupError
from groundup.model.attention import document_ids
from groundup.model.loss import bits_per_byte, perplexity, token_losses
from groundup.model.transformer import Transformer
from groundup.tokens.encoding import Encoding
from groundup.tokens.pack import read_documents, read_shards
from groundup.train.precision import Device

BATCH_TOKENS = {"cpu": 4096, "mps": 16_384, "cuda": 65_536}  # tokens scored at once: bounded by the logits' memory


# A character that the vocabulary cannot spell costs what the model gives for <|unk|>, and then a choice among all of
# Unicode's 1,112,064 scalar values (the Unicode Standard, D76). So bits per byte are those of a code that gives back
# the text, and a small alphabet cannot look good by not saying which character it was.
UNKNOWN_NATS = math.log(1_112_064)


@dataclass(frozen=True)
class Score:
    """What a model makes of a text. Special tokens count in none of these sums, but <|unk|> in all."""

    source: str
    nats: float  # sum of -ln p over the text's tokens
    tokens: int
    bytes: int  # UTF-8 bytes of those tokens

    def to_json(self) -> dict[str, Any]:
        loss = self.nats / self.tokens
        bpb = bits_per_byte(self.nats, self.bytes)
        return {"source": self.source, "loss": loss, "ppl": perplexity(loss), "bpb": bpb} | {
            key: value for key, value in asdict(self).items() if key in ("tokens", "bytes")
        }


def pooled(scores: list[Score]) -> Score:
    """All sources as one text. It does not depend on the mix, so runs with different mixes can be compared by it."""
    return Score("all", sum(s.nats for s in scores), sum(s.tokens for s in scores), sum(s.bytes for s in scores))


@torch.no_grad()
def score(
    model: Transformer,
    tokens: np.ndarray,
    encoding: Encoding,
    device: Device,
    source: str,
    document_mask: bool = False,
    between: Callable[[], None] = lambda: None,
) -> Score:
    """Score packed documents in windows of the model's context, side by side: each token once.

    `tokens` (N,) are documents that each finish with the end-of-text token. A token sees what precedes it in its
    window, or with `document_mask` only what precedes it in its document. Sums are kept in fp64. Unknown characters are
    in no byte count here: `score_split` knows the text's own. Where memory runs out, fewer windows go side by side.
    `between` is called before each group of them, and may break it off by raising. Raises GroundupError `out-of-memory`
    where one does not fit.
    """
    was_training = model.training
    model.eval()
    context = model.config.context
    padded = np.concatenate([[encoding.end], np.asarray(tokens, dtype=np.int64)])  # the first is predicted from it
    lengths = torch.from_numpy(encoding.token_bytes).to(device.device)
    nats, count, size = 0.0, 0, 0
    rows = max(1, BATCH_TOKENS[device.device.type] // context)
    full = (len(padded) - 1) // context
    groups = deque((start, min(full, start + rows), context) for start in range(0, full, rows))
    if rest := (len(padded) - 1) % context:
        groups.append((full, full + 1, rest))
    while groups:
        between()
        first, last, length = groups.popleft()
        begin = first * context
        batch = np.stack([padded[begin + row * context :][: length + 1] for row in range(last - first)])
        window = torch.from_numpy(batch).to(device.device)
        targets = window[:, 1:]
        try:
            losses = _losses(model, window, encoding.end if document_mask else None, device)
        except torch.OutOfMemoryError:
            if last - first == 1:
                raise GroundupError(
                    "out-of-memory", f"{device.name} has too little memory to score one window", "another device"
                ) from None
            middle = (first + last) // 2
            groups.extendleft([(middle, last, length), (first, middle, length)])
            continue
        text = lengths[targets] > 0
        if encoding.unknown is not None:
            unknown = targets == encoding.unknown
            text |= unknown
            nats += UNKNOWN_NATS * int(unknown.sum())
        nats += float(losses[text].double().sum())
        count += int(text.sum())
        size += int(lengths[targets].sum())
    model.train(was_training)
    return Score(source, nats, count, size)


def _losses(model: Transformer, window: torch.Tensor, end: int | None, device: Device) -> torch.Tensor:
    """-ln p of each token of windows (B, T + 1) but the first, (B, T); end: what keeps documents apart, if it does."""
    documents = None if end is None else document_ids(window[:, :-1], end)
    with device.autocast():
        logits = model(window[:, :-1], documents)
    return token_losses(logits, window[:, 1:])


def score_split(
    model: Transformer,
    shards: Path,
    sources: list[str],
    split: str,
    encoding: Encoding,
    device: Device,
    document_mask: bool = False,
    limit: int | None = None,
    between: Callable[[], None] = lambda: None,
) -> list[Score]:
    """A score for each source that has text in the split, and their pool; empty if none has.

    `limit` is in bytes of text: the first documents that it holds, at least one, the same with every tokenizer.
    """
    scores = []
    for source in sources:
        tokens, size = _first_documents(shards, source, split, limit)
        if size:
            scored = score(model, tokens, encoding, device, source, document_mask, between)
            scores.append(replace(scored, bytes=size))
    return [*scores, pooled(scores)] if scores else []


def _first_documents(shards: Path, source: str, split: str, limit: int | None) -> tuple[np.ndarray, int]:
    """(tokens, bytes of text) of the documents that `limit` bytes hold, at least one; None: of all."""
    parts, size = [np.empty(0, np.uint16)], 0
    for tokens, documents in zip(
        read_shards(shards, source, split), read_documents(shards, source, split), strict=True
    ):
        ends = size + np.cumsum(documents["bytes"], dtype=np.int64)
        keep = len(ends) if limit is None else int(np.searchsorted(ends, limit, side="right"))
        if keep == 0 and size == 0 and len(ends):
            keep = 1
        parts.append(tokens[: documents["start"][keep] if keep < len(ends) else None])
        size = int(ends[keep - 1]) if keep else size
        if keep < len(ends):
            break
    return np.concatenate(parts), size
