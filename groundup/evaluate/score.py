"""Loss, perplexity and bits per byte of a model on packed text."""

from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch

from groundup.model.loss import bits_per_byte, perplexity, token_losses
from groundup.model.transformer import Transformer
from groundup.tokens.pack import read_shards
from groundup.train.precision import Device

BATCH_TOKENS = {"cpu": 4096, "mps": 16_384, "cuda": 65_536}  # tokens scored at once: bounded by the logits' memory


@dataclass(frozen=True)
class Score:
    """What a model makes of a text. Special tokens count in none of these sums."""

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
    model: Transformer, tokens: np.ndarray, token_bytes: np.ndarray, end: int, device: Device, source: str
) -> Score:
    """Score packed documents in windows of the model's context, side by side: each token once.

    `tokens` (N,) are documents that each finish with `end`. A token sees what precedes it in its window. Sums are
    kept in fp64.
    """
    was_training = model.training
    model.eval()
    context = model.config.context
    padded = np.concatenate([[end], np.asarray(tokens, dtype=np.int64)])  # the first token is predicted from `end`
    lengths = torch.from_numpy(token_bytes).to(device.device)
    nats, count, size = 0.0, 0, 0
    rows = max(1, BATCH_TOKENS[device.device.type] // context)
    full = (len(padded) - 1) // context
    groups = [(start, min(full, start + rows), context) for start in range(0, full, rows)]
    if rest := (len(padded) - 1) % context:
        groups.append((full, full + 1, rest))
    for first, last, length in groups:
        begin = first * context
        batch = np.stack([padded[begin + row * context :][: length + 1] for row in range(last - first)])
        window = torch.from_numpy(batch).to(device.device)
        targets = window[:, 1:]
        with device.autocast():
            logits = model(window[:, :-1])
        losses = token_losses(logits, targets)
        text = targets != end
        nats += float(losses[text].double().sum())
        count += int(text.sum())
        size += int(lengths[targets].sum())
    model.train(was_training)
    return Score(source, nats, count, size)


def score_split(
    model: Transformer,
    shards: Path,
    sources: list[str],
    split: str,
    token_bytes: np.ndarray,
    end: int,
    device: Device,
    limit: int | None = None,
) -> list[Score]:
    """A score for each source that has text in the split, and their pool; empty if none has. `limit` is in tokens."""
    scores = []
    for source in sources:
        tokens = np.concatenate(read_shards(shards, source, split))[:limit]
        if len(tokens):
            scores.append(score(model, tokens, token_bytes, end, device, source))
    return [*scores, pooled(scores)] if scores else []
