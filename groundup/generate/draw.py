"""From logits to the next token of each row: what a recipe's `sample` admits, and the draw among it.

The order is that of transformers: repetition penalty, repeated sequences, temperature, top_k, top_p, min_p.

Shapes: B rows, V vocabulary, C candidates (V, or k after top_k).
"""

from collections.abc import Iterator
from dataclasses import dataclass

import torch
from torch import Tensor

from groundup.recipe.schema import Sample

NOT_FINITE = -1  # instead of a token: the row's logits hold no distribution
COLDEST = 1e-6  # temperature by which logits can be divided in fp32; the likeliest token is all that is left of it
BLOCK = 256  # numbers that are drawn at once


def draws(seed: int) -> Iterator[float]:
    """Uniform numbers from [0, 1): a text's own, so that its draws depend on nothing but its seed.

    Made on the CPU: the same on every device.
    """
    random = torch.Generator().manual_seed(seed)
    while True:
        yield from torch.rand(BLOCK, generator=random, dtype=torch.float64).tolist()


@dataclass(frozen=True)
class Candidates:
    """What may be drawn: logits (B, C), -inf for what may not, and their tokens (B, C); None: token = place."""

    logits: Tensor
    tokens: Tensor | None

    def of(self, places: Tensor) -> Tensor:
        """The tokens at places (B,)."""
        return places if self.tokens is None else self.tokens.gather(-1, places[:, None]).squeeze(-1)


def penalise(logits: Tensor, seen: Tensor, penalty: float) -> Tensor:
    """Positive logits of `seen` tokens (B, V) divided by the penalty, negative ones multiplied (Keskar et al. 2019,
    "CTRL", section 4.1, in the form that transformers gives it)."""
    return torch.where(seen, torch.where(logits < 0, logits * penalty, logits / penalty), logits)


def candidates(logits: Tensor, options: Sample) -> Candidates:
    """Of logits (B, V), those that temperature, top_k, top_p and min_p admit, divided by the temperature.

    top_k: the k likeliest. top_p: of these, the smallest set of likeliest tokens whose probability reaches p (Holtzman
    et al. 2020). min_p: those with at least so large a share of the likeliest one's probability (Nguyen et al. 2024).
    The likeliest token always stays.
    """
    logits, tokens = logits / max(options.temperature, COLDEST), None
    if 0 < options.top_k < logits.shape[-1]:
        logits, tokens = logits.topk(options.top_k)
    elif options.top_p < 1:
        logits, tokens = logits.sort(descending=True)
    if options.top_p < 1:
        probability = logits.softmax(-1)
        before = probability.cumsum(-1) - probability
        logits = logits.masked_fill((before >= options.top_p) & (before > 0), -torch.inf)
    if options.min_p > 0:
        probability = logits.softmax(-1)
        least = options.min_p * probability.amax(-1, keepdim=True)
        logits = logits.masked_fill(probability < least, -torch.inf)
    return Candidates(logits, tokens)


def draw(logits: Tensor, options: Sample, uniform: Tensor) -> Tensor:
    """A token (B,) for each row of logits (B, V): the likeliest at temperature 0, else by `uniform` (B,) from [0, 1).

    Token by token, from the likeliest down where they were sorted, probabilities are added up until they exceed the
    row's number. NOT_FINITE where the logits are NaN or infinite, or nothing is admitted.
    """
    if options.temperature == 0:
        highest, token = logits.max(-1)
        return token.where(highest.isfinite(), NOT_FINITE)
    admitted = candidates(logits, options)
    reached = admitted.logits.double().softmax(-1).cumsum(-1)  # (B, C)
    total = reached[:, -1]
    place = (reached <= (uniform * total)[:, None]).sum(-1).clamp(max=reached.shape[-1] - 1)
    return admitted.of(place).where(total.isfinite(), NOT_FINITE)


class Repeats:
    """Which tokens would repeat a sequence of `length` tokens of a text that grows."""

    def __init__(self, length: int, text: list[int]) -> None:
        self.length, self.last = length, tuple[int, ...]()
        self.followers: dict[tuple[int, ...], set[int]] = {}
        for token in text:
            self.add(token)

    def add(self, token: int) -> None:
        if len(self.last) == self.length - 1:
            self.followers.setdefault(self.last, set()).add(token)
        self.last = (*self.last, token)[-(self.length - 1) :] if self.length > 1 else ()

    def banned(self) -> set[int]:
        return self.followers.get(self.last, set()) if len(self.last) == self.length - 1 else set()
