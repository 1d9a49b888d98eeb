"""The learning rate of each step."""

import math

from groundup.recipe.schema import Train


def learning_rate(step: int, train: Train) -> float:
    """Linear warm-up to the peak, then half a cosine down to the final fraction of it.

    `step` counts updates from 0. After Loshchilov and Hutter 2017 (SGDR), equation 5, with one period.
    """
    if step < train.warmup:
        return train.learning_rate * (step + 1) / train.warmup
    progress = (step - train.warmup) / max(1, train.steps - 1 - train.warmup)
    floor = train.learning_rate * train.final_learning_rate
    return floor + (train.learning_rate - floor) * 0.5 * (1 + math.cos(math.pi * min(1.0, progress)))
