"""What a model sees of a long text at once, and -ln p of every token in it.

A text is a flat array of tokens that begins with end-of-text, from which its first token is predicted. A window shows
the model flat[begin:end], and of what that predicts, flat[begin + 1:end + 1], the tokens from flat[first + 1] on count.
"""

from collections import deque
from collections.abc import Callable, Iterator
from typing import NamedTuple

import numpy as np
import torch

from groundup.errors import GroundupError
from groundup.model.attention import document_ids
from groundup.model.loss import token_losses
from groundup.model.transformer import Transformer
from groundup.train.precision import Device

BATCH_TOKENS = {"cpu": 4096, "mps": 16_384, "cuda": 65_536}  # tokens scored at once: bounded by the logits' memory


class Window(NamedTuple):
    begin: int
    first: int
    end: int


def side_by_side(start: int, length: int, context: int) -> list[Window]:
    """`length` tokens from flat[start + 1] on in windows that share nothing: what precedes a window is not seen."""
    return [Window(at, at, min(at + context, start + length)) for at in range(start, start + length, context)]


def sliding(start: int, length: int, context: int, stride: int) -> list[Window]:
    """The same in windows that move on by `stride` tokens: each token but the first ones is predicted from at least
    context - stride others. With stride = context only the last window reaches back, as far as it can."""
    windows = [Window(start, start, start + min(length, context))]
    while (done := windows[-1].end) < start + length:
        end = min(done + stride, start + length)
        windows.append(Window(max(start, end - context), done, end))
    return windows


@torch.no_grad()
def token_nats(
    model: Transformer,
    flat: np.ndarray,
    windows: list[Window],
    device: Device,
    end: int | None = None,
    between: Callable[[], None] = lambda: None,
) -> np.ndarray:
    """-ln p of flat[1:], float32 (len(flat) - 1,) in nats; NaN for what no window counts.

    `end`: the end-of-text token, if documents in a window are to be kept apart. The model is left in the mode that it
    was in. Where memory runs out, fewer windows go side by side. `between` is called before each group of them, and may
    break it off by raising. Raises GroundupError `out-of-memory` where one does
    not fit, `not-finite` where the model gives no probabilities.
    """
    was_training = model.training
    model.eval()
    nats = np.full(len(flat) - 1, np.nan, np.float32)
    groups = deque(_alike(windows, BATCH_TOKENS[device.device.type]))
    while groups:
        between()
        group = groups.popleft()
        batch = np.stack([np.asarray(flat[one.begin : one.end + 1], dtype=np.int64) for one in group])
        window = torch.from_numpy(batch).to(device.device)  # (B, T + 1)
        try:
            losses = _losses(model, window, end, device).cpu().numpy()
        except torch.OutOfMemoryError:
            if len(group) == 1:
                raise too_little(device) from None
            groups.extendleft([group[len(group) // 2 :], group[: len(group) // 2]])
            continue
        for one, row in zip(group, losses, strict=True):
            nats[one.first : one.end] = row[one.first - one.begin :]
        check_finite(losses)
    model.train(was_training)
    return nats


def too_little(device: Device) -> GroundupError:
    return GroundupError(
        "out-of-memory", f"{device.name} has too little memory to score one window", "another --device"
    )


def check_finite(losses: np.ndarray) -> None:
    """Raise GroundupError `not-finite` unless every loss is a number."""
    if not np.isfinite(losses).all():
        what = f"the model gives no probability for {int((~np.isfinite(losses)).sum()):,} of {losses.size:,} tokens"
        raise GroundupError("not-finite", what, "evaluate an earlier checkpoint: --checkpoint STEP")


def _alike(windows: list[Window], most: int) -> Iterator[list[Window]]:
    """Windows in groups of one length, of at most so many tokens in all, in order."""
    group: list[Window] = []
    for one in windows:
        length = one.end - one.begin
        if group and (length != group[0].end - group[0].begin or (len(group) + 1) * length > most):
            yield group
            group = []
        group.append(one)
    if group:
        yield group


def _losses(model: Transformer, window: torch.Tensor, end: int | None, device: Device) -> torch.Tensor:
    """-ln p of each token of windows (B, T + 1) but the first, (B, T); end: what keeps documents apart, if it does."""
    documents = None if end is None else document_ids(window[:, :-1], end)
    with device.autocast():
        logits = model(window[:, :-1], documents)
    return token_losses(logits, window[:, 1:])
