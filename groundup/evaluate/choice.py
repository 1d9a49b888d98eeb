"""Tasks in which a model chooses: by the log-probability that it gives each option.

Three readings of the same numbers: the sum (`none`), the sum by tokens (`token`), the sum by UTF-8 bytes of the option
(`byte`). A tie among m options that holds the right one is worth 1 / m: 0.5 for a pair, so that a model that cannot
tell, or a scorer that gives every option the same number, gets exactly what chance gets.
"""

import math
import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from groundup.errors import GroundupError
from groundup.evaluate.estimate import mean
from groundup.evaluate.likelihood import Option
from groundup.tokens.encoding import Encoding

READINGS = ("none", "token", "byte")


@dataclass(frozen=True)
class Item:
    """One question. `options` are (context, what is scored after it); a cloze has one, which is to be guessed."""

    id: str
    options: tuple[tuple[str, str], ...]
    gold: int
    groups: dict[str, str] = field(default_factory=dict)
    """Which parts of the task it belongs to, by what they are parts by: {"field": "syntax"}."""
    unit: str = ""
    """The same for items that stand or fall together, such as twins with the same options."""


@dataclass(frozen=True)
class Answer:
    """What a model says to an item, by option."""

    nats: list[float]
    tokens: list[int]
    bytes: list[int]
    greedy: list[bool]

    def scores(self, reading: str) -> list[float]:
        """Higher is better."""
        by: Sequence[float] = {"token": self.tokens, "byte": self.bytes}.get(reading, [1] * len(self.nats))
        return [-nats / max(1, size) for nats, size in zip(self.nats, by, strict=True)]


def encode(item: Item, encoding: Encoding, context: int) -> tuple[list[Option], int]:
    """The options in tokens, and how many tokens of context were cut off in front to make the longest one fit.

    A text begins behind end-of-text, as in training. Context and option are encoded together, and the option begins
    where its tokens do: white space at the end of the context goes to it (as in lm-eval's `_encode_pair`).
    Raises GroundupError `bad-task` where an option alone does not fit into the model's context.
    """
    options, most = [], 0
    for before, scored in item.options:
        kept = before.rstrip()
        whole, head = encoding.encode(before + scored), encoding.encode(kept)
        same = next((place for place, (a, b) in enumerate(zip(whole, head, strict=False)) if a != b), len(head))
        first = min(same, len(whole) - 1)
        cut = max(0, len(whole) - context)  # the last token is predicted, and not seen
        if cut > first:
            what = f"item {item.id}: an option has {len(whole) - first:,} tokens, and the model's context {context:,}"
            raise GroundupError("bad-task", what, "a model with a longer context, or leave the item out")
        options.append(Option([encoding.end, *whole[cut:]], first - cut + 1))
        most = max(most, cut)
    return options, most


def option_bytes(item: Item) -> list[int]:
    """UTF-8 bytes of each option, without the white space in front that joins it to its context."""
    return [len(scored.lstrip().encode()) for _, scored in item.options]


def credit(item: Item, scores: Sequence[float]) -> float:
    """1 where the right option has the highest score, 1 / m where it shares it with m - 1 others, else 0."""
    best = max(scores)
    return (scores[item.gold] == best) / sum(one == best for one in scores)


def summarise(items: Sequence[Item], credits: np.ndarray) -> list[dict[str, Any]]:
    """Accuracy with n, its standard error and chance: of all items first, then of each part.

    The standard error is that of `estimate.mean` over units; where each item is one, the standard deviation by sqrt(n).
    """
    names: dict[str, int] = {}
    units = np.array([names.setdefault(one.unit or f"item {number}", len(names)) for number, one in enumerate(items)])
    parts: dict[tuple[str, str], list[int]] = {("all", "all"): list(range(len(items)))}
    for number, item in enumerate(items):
        for level, name in item.groups.items():
            parts.setdefault((level, name), []).append(number)
    rows, levels = [], list(dict.fromkeys(level for level, _ in parts))
    for (level, name), members in sorted(parts.items(), key=lambda part: levels.index(part[0][0])):
        mine = credits[members]
        error = mean(mine, units[members]).standard_error
        chance = float(np.mean([1 / len(items[number].options) for number in members]))
        ties = int(((mine > 0) & (mine < 1)).sum())
        row = {"level": level, "name": name, "accuracy": float(mine.mean()), "se": error, "n": len(mine)}
        rows.append(row | {"chance": chance, "ties": ties})
    return rows


def baselines(items: Sequence[Item], seed: int = 0) -> dict[str, float]:
    """Accuracies of scorers that know nothing of language, by the same sums.

    constant: every option alike, so exactly chance. random: drawn from `seed`. shortest: the fewer bytes the better,
    which tells how far length alone goes.
    """
    draw = random.Random(seed).random
    scorers: dict[str, Callable[[Item], list[float]]] = {
        "constant": lambda item: [0.0] * len(item.options),
        "random": lambda item: [draw() for _ in item.options],
        "shortest": lambda item: [-float(size) for size in option_bytes(item)],
    }
    return {
        name: math.fsum(credit(item, scorer(item)) for item in items) / len(items) for name, scorer in scorers.items()
    }


def cloze(items: Sequence[Item], answers: Sequence[Answer]) -> list[dict[str, Any]]:
    """Share of the items whose whole continuation is the likeliest at each token, and the continuations' perplexity.

    The perplexity is exp of the mean -ln p of a continuation, not of a token (lm-eval's for LAMBADA).
    """
    right = np.array([answer.greedy[0] for answer in answers], float)
    nats = np.array([answer.nats[0] for answer in answers])
    n = len(items)
    error = float(right.std(ddof=1)) / math.sqrt(n) if n > 1 else None
    row = {"level": "all", "name": "all", "accuracy": float(right.mean()), "se": error, "n": n, "chance": 0.0}
    mean = float(nats.mean())
    return [row | {"ties": 0, "perplexity": math.exp(mean) if mean < 700 else math.inf}]
