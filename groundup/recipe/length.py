"""How long a training is: `train.steps`, `train.tokens` or `train.epochs`, of which one decides."""

import math
from collections.abc import Mapping
from typing import Any

from groundup.errors import GroundupError
from groundup.recipe.schema import Train

LENGTHS = ("steps", "tokens", "epochs")


def steps_of_tokens(tokens: int, tokens_per_update: int) -> int:
    """Updates that it takes to train on at least so many tokens."""
    return max(1, math.ceil(tokens / tokens_per_update))


def steps_of_epochs(
    epochs: float, tokens_per_update: int, share: Mapping[str, float], tokens: Mapping[str, int]
) -> int:
    """Updates until the source that is seen most was seen so often. share: of the training tokens, by source."""
    fastest = max(part / tokens[name] for name, part in share.items())  # epochs by token of training
    return max(1, math.ceil(epochs / (tokens_per_update * fastest)))


def decide(values: dict[str, Any], origins: dict[str, str], layers: list[str]) -> None:
    """Keep the length that the strongest layer gives: the steps of a preset give way to tokens on the command line.

    `layers`: their origins, the weakest first. Raises GroundupError `recipe-conflict` where one layer gives two lengths
    that differ.
    """
    train = values.get("train")
    if not isinstance(train, dict):
        return
    where = {key: origins.get(f"train.{key}") for key in LENGTHS if train.get(key) is not None}
    given = {key: layers.index(origin) for key, origin in where.items() if origin}  # a mapping has none: refused later
    kept = [key for key, rank in given.items() if rank == max(given.values())]
    if len(kept) > 1 and not _agree(train, kept):
        both = " and ".join(f"train.{key} = {train[key]}" for key in kept)
        raise GroundupError("recipe-conflict", f"{both} both say how long to train", f"leave out train.{kept[-1]}")
    for key in given.keys() - kept:
        del train[key]
        origins.pop(f"train.{key}", None)


def _agree(train: dict[str, Any], kept: list[str]) -> bool:
    """Whether steps are those of the tokens, as in a recipe that was resolved and written down."""
    steps, tokens, per_update = (train.get(key) for key in ("steps", "tokens", "tokens_per_update"))
    per_update = Train().tokens_per_update if per_update is None else per_update
    if kept != ["steps", "tokens"] or not isinstance(tokens, int) or not isinstance(per_update, int) or per_update < 1:
        return False
    return steps == steps_of_tokens(tokens, per_update)
