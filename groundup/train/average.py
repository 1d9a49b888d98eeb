"""An exponential moving average of the weights, to be scored beside the weights themselves."""

from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import Tensor, nn

from groundup.train.sharding import gathered, local, share_out, shared_as


class Average:
    """The moving average of a model's parameters. It begins as what they are when it is made."""

    def __init__(self, model: nn.Module, decay: float) -> None:
        self.parameters = dict(model.named_parameters())
        self.weights = [local(parameter.detach()) for parameter in self.parameters.values()]  # the same memory
        self.averages = [weight.clone() for weight in self.weights]
        self.decay = decay

    def update(self, step: int, left_out: Tensor | None = None) -> None:
        """Take in the weights after update number `step`, counted from 1; nothing where `left_out`, a truth on their
        device, is true.

        average <- d average + (1 - d) weights. The decay d warms up as (1 + step) / (10 + step) until it reaches
        `decay`, so that the average spans the last ninth of a short run and soon forgets the weights it began with
        (tf.train.ExponentialMovingAverage, `num_updates`). The step is all that it depends on.
        """
        decay = min(self.decay, (1 + step) / (10 + step))
        towards = self.weights
        if (
            left_out is not None and left_out.device.type == "cpu"
        ):  # it is known here, and a copy of all weights is slow
            if left_out:
                return
        elif left_out is not None:
            towards = [torch.where(left_out, *pair) for pair in zip(self.averages, self.weights, strict=True)]
        torch._foreach_lerp_(self.averages, towards, 1 - decay)

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
        """The average as named tensors: `PARAMETER/average`, gathered where the weights are shared out."""
        pairs = zip(self.parameters.items(), self.averages, strict=True)
        return {f"{name}/average": gathered(shared_as(average, parameter)) for (name, parameter), average in pairs}

    def load_state(self, tensors: dict[str, Tensor]) -> None:
        """Put back what `state_tensors` took out. Raises KeyError `PARAMETER/average` if one is missing."""
        saved = (share_out(tensors[f"{name}/average"], parameter) for name, parameter in self.parameters.items())
        torch._foreach_copy_(self.averages, [local(value) for value in saved])
