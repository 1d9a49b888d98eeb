"""An exponential moving average of the weights, to be scored beside the weights themselves."""

from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import Tensor, nn


class Average:
    """The moving average of a model's parameters. It begins as what they are when it is made."""

    def __init__(self, model: nn.Module, decay: float) -> None:
        named = {name: parameter.detach() for name, parameter in model.named_parameters()}
        self.names, self.weights = list(named), list(named.values())
        self.averages = [weight.clone() for weight in self.weights]
        self.decay = decay

    def update(self, step: int) -> None:
        """Take in the weights after update number `step`, counted from 1.

        average <- d average + (1 - d) weights. The decay d warms up as (1 + step) / (10 + step) until it reaches
        `decay`, so that the average spans the last ninth of a short run and soon forgets the weights it began with
        (tf.train.ExponentialMovingAverage, `num_updates`). The step is all that it depends on.
        """
        decay = min(self.decay, (1 + step) / (10 + step))
        torch._foreach_lerp_(self.averages, self.weights, 1 - decay)

    @contextmanager
    def in_use(self) -> Iterator[None]:
        """Within it the model's parameters hold the average; afterwards the same bits as before, at the same places.

        The optimizer must not step within it.
        """
        kept = [weight.clone() for weight in self.weights]
        torch._foreach_copy_(self.weights, self.averages)
        try:
            yield
        finally:
            torch._foreach_copy_(self.weights, kept)

    def state_tensors(self) -> dict[str, Tensor]:
        """The average as named tensors: `PARAMETER/average`."""
        return {f"{name}/average": average for name, average in zip(self.names, self.averages, strict=True)}

    def load_state(self, tensors: dict[str, Tensor]) -> None:
        """Put back what `state_tensors` took out. Raises KeyError `PARAMETER/average` if one is missing."""
        torch._foreach_copy_(self.averages, [tensors[f"{name}/average"] for name in self.names])
