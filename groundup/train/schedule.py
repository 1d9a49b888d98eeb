"""The learning rate of each step, as a factor on every learning rate of the recipe."""

import math

from groundup.recipe.schema import Train


def factor(step: int, train: Train, start: int = 0, start_factor: float = 0.0) -> float:
    """Linear warm-up to the peak, then down to `train.final_learning_rate` at the last step, by `train.schedule`.

    `step` counts updates from 0. Between warm-up and the last step: `cosine` is half a cosine (Loshchilov and Hutter
    2017, SGDR, equation 5, with one period), `linear` a line, `wsd` stays at the peak until a line over the last
    `train.decay` of the steps (Hu et al. 2024, MiniCPM, section 4), `constant` stays at the peak to the end.

    To train longer, from a checkpoint after `start` steps at which the factor was `start_factor`: with a warm-up, from
    there to 1 in `train.warmup` steps, and on as above (Ibrahim et al. 2024); without one, `start_factor` is the peak
    that `constant` and `wsd` stay at and `cosine` and `linear` go down from. A factor of 0 cannot be stayed at: then,
    as at step 0, a schedule without warm-up begins at 1. What is final is never above the peak.
    """
    peak = 1.0 if train.warmup or not start_factor else start_factor
    warm = step - start + 1
    if warm < train.warmup:
        return _between(start_factor, peak, warm / train.warmup)
    last = train.steps - 1
    after_warmup = last - start - train.warmup
    falling = {"wsd": max(1, round(train.decay * (train.steps - start))), "constant": 0}
    length = min(after_warmup, falling.get(train.schedule, after_warmup))
    if length <= 0:
        return peak
    progress = min(1.0, max(0.0, 1 - (last - step) / length))
    fallen = 0.5 * (1 - math.cos(math.pi * progress)) if train.schedule == "cosine" else progress
    return _between(peak, min(train.final_learning_rate, peak), fallen)


def _between(first: float, second: float, share: float) -> float:
    """Exactly `first` at share 0, exactly `second` at 1, and never outside of them."""
    mixed = first * (1 - share) + second * share
    return min(max(first, second), max(min(first, second), mixed))
