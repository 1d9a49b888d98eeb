"""What stands between a broken batch and the weights: no update from a loss or gradient that is not finite.

The device decides, in the step itself; the host learns of it one step later, so that it never waits for a device that
has nothing to do. Then it tells the user, and sees trouble: updates that are not finite in a row, or a loss that stays
far above what it was. rollback.py is the answer to that.
"""

import math
from collections import deque
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import Any

import torch
from torch import Tensor, nn

from groundup.console import say
from groundup.recipe.schema import Train
from groundup.store.runs import Run
from groundup.tokens.position import position
from groundup.tokens.stream import Stream
from groundup.train import parallel
from groundup.train.gradients import Gradients
from groundup.train.instruments import Interval
from groundup.train.optimizer import kind
from groundup.train.sharding import whole
from groundup.train.spikes import LASTING, Recent, Spike

ROW = 3  # updates in a row that are not finite: one can be the data's or a flipped bit's fault, three are the weights'
# fp16 overflows on purpose: from GradScaler's first scale, 2^16, it takes 32 halvings to the smallest scale below, and
# gradients that overflow at that are beyond what fp16 can hold by themselves.
ROW_FP16, SMALLEST_SCALE = 32, 2.0**-16
SHOWN = 64  # sequences whose place in the text is written down


@dataclass(frozen=True)
class Trouble:
    """What cannot be left to the next step: from which update on, to which one (counted from 1), and what it is."""

    first: int
    last: int
    what: str


@dataclass(frozen=True)
class Seen:
    """A step that the device may still be working on."""

    update: int
    targets: int  # of this process
    numbers: Tensor  # (4,) in main memory, when `ready`: left out, gradient norm, sum of losses, fp16's scale
    ready: torch.cuda.Event | None
    norms: Tensor  # (parameters,) of their gradients

    def read(self) -> list[float]:
        if self.ready:
            self.ready.synchronize()
        return self.numbers.tolist()


class Guard:
    """The guard of one run. Each process has one, and all come to the same decisions."""

    def __init__(self, gradients: Gradients, train: Train, run: Run, stream: Stream, shards: Path) -> None:
        self.gradients, self.model, self.train, self.run = gradients, gradients.model, train, run
        self.stream, self.shards = stream, shards
        self.waiting: deque[Seen] = deque()
        self.trouble: Trouble | None = None
        self.recent, self.row, self.spiking = Recent(), 0, 0
        self.rollbacks, self.used, self.windows = 0, list[int](), list[list[int]]()
        self.usual: dict[str, float] = {}  # loss and gradient norm of the last update that was finite
        self.broken: list[str] = []  # parameters whose gradients were not finite, at the first update of the row
        self.warm = 0  # the update from which on spikes are looked for

    # -- in the step ------------------------------------------------------------------------------------------------

    def clip(self, update: int, now: Interval) -> Tensor:
        """Clip the gradients to a global norm of `train.clip`; returns whether the update is to be left out, on the
        device, and takes such a step out of `now`, where losses are summed up."""
        parameters = list(self.model.parameters())
        norms = torch.stack(
            torch._foreach_norm([parameter.grad for parameter in parameters if parameter.grad is not None])
        )
        total = torch.linalg.vector_norm(norms)  # by these two steps, as clip_grad_norm_ does
        nn.utils.clip_grads_with_norm_(parameters, self.train.clip, total)
        norm = whole(total)
        left_out = ~norm.isfinite()
        self._note(update, now, norm, norms)
        for name in ("nats", "text_nats", "text_bytes"):
            value = torch.as_tensor(getattr(now, name))
            setattr(now, name, value.where(~left_out, 0))
        now.left_out, now.norm = left_out, norm.where(~left_out, 0.0)
        return left_out

    def _note(self, update: int, now: Interval, norm: Tensor, norms: Tensor) -> None:
        scale = self.gradients.scaler._scale if self.gradients.scaler.is_enabled() else None
        scale = torch.ones_like(norm) if scale is None else scale.clone()
        numbers = torch.stack([(~norm.isfinite()).float(), norm, torch.as_tensor(now.nats).float(), scale])
        ready = None
        if numbers.is_cuda:
            there = torch.empty(len(numbers), pin_memory=True)
            numbers = there.copy_(numbers, non_blocking=True)
            ready = torch.cuda.Event()
            ready.record()
        self.waiting.append(Seen(update, now.targets, numbers, ready, norms))

    # -- one step later ---------------------------------------------------------------------------------------------

    def look(self, at_all: bool = False) -> Trouble | None:
        """Look at the steps before the last one, or at all, which waits for the device; what trouble there is."""
        while self.trouble is None and len(self.waiting) > (0 if at_all else 1):
            self._judge(self.waiting.popleft())
        return self.trouble

    def _judge(self, seen: Seen) -> None:
        left_out, norm, nats, scale = seen.read()
        loss, fp16 = nats / seen.targets, self.gradients.scaler.is_enabled()
        if not left_out:
            self.row, self.broken = 0, []
            self._look_for_spikes(seen, loss, norm)
            self.usual = {"loss": loss, "grad_norm": norm}
            return
        self.row += 1
        if self.row == 1:
            self.broken = self._broken(seen)
        if not fp16 or not math.isfinite(loss):  # an overflow of fp16 is counted, and no news
            self._tell(seen, loss, norm)
        if self.row >= (ROW_FP16 if fp16 else ROW) or scale < SMALLEST_SCALE:
            small = f" (fp16's scale fell to {scale:.2g})" if fp16 else ""
            what = f"{self.row} updates in a row were not finite{small}"
            self.trouble = Trouble(seen.update - self.row + 1, seen.update, what)

    def _broken(self, seen: Seen) -> list[str]:
        names = [name for name, _ in self.model.named_parameters()]
        finite = whole(seen.norms).isfinite().tolist()  # where weights are shared out: all processes are here
        return [name for name, fine in zip(names, finite, strict=True) if not fine]

    def _tell(self, seen: Seen, loss: float, norm: float) -> None:
        if not parallel.leads():
            return
        where = {source: rows[:SHOWN] for source, rows in position(self.stream, self.shards, seen.update - 1).items()}
        what = "gradient" if math.isfinite(loss) else "loss"
        self.run.log_event(
            "left-out",
            step=seen.update,
            what=what,
            loss=_json(loss),
            grad_norm=_json(norm),
            parameters=self.broken,
            sequences=where,
        )
        counts = ", ".join(f"{len(rows)} of {source}" for source, rows in where.items())
        say(
            f"warning: the {what} of step {seen.update} is not finite: the update is left out; its sequences "
            f"({counts}) are in events.jsonl"
        )

    def _look_for_spikes(self, seen: Seen, loss: float, norm: float) -> None:
        if self.train.spikes == "off" or seen.update <= self.warm:
            return
        if parallel.world() > 1:
            nats, targets = parallel.summed([loss * seen.targets, seen.targets])
            loss = nats / targets
        spike = self.recent.judge(loss, norm)
        if spike and not self.spiking:
            self._tell_spike(seen.update, loss, norm, spike)
        self.spiking = self.spiking + 1 if spike and (spike.of_loss() or self.spiking) else 0
        if self.spiking < LASTING:
            return
        first, what = seen.update - LASTING + 1, f"the loss stayed far above what it was for {LASTING} steps"
        self.recent.forget()
        self.spiking = 0
        if self.train.spikes == "skip":
            self.trouble = Trouble(first, seen.update, what)
        else:
            self.run.log_event("spike-lasts", step=seen.update, since=first)
            say(f"warning: step {seen.update}: {what}; train.spikes=skip would go back to a checkpoint from before")

    def _tell_spike(self, update: int, loss: float, norm: float, spike: Spike) -> None:
        facts = {"loss": loss, "grad_norm": norm, "usual_loss": spike.usual_loss, "usual_grad_norm": spike.usual_norm}
        self.run.log_event(
            "spike", step=update, **facts, loss_sigmas=spike.loss_sigmas, grad_norm_sigmas=spike.norm_sigmas
        )
        say(
            f"spike at step {update}: loss {loss:.4f}, usually {spike.usual_loss:.4f}; gradient norm {norm:.3g}, "
            f"usually {spike.usual_norm:.3g}"
        )

    # -- going back, and on -----------------------------------------------------------------------------------------

    def went_back(self, to: int) -> None:
        """Training goes on with the weights of step `to`; what lies between that and the trouble's end is left out."""
        assert self.trouble
        self.windows.append([to + 1, self.trouble.last])
        self.used.append(to)
        self.rollbacks += 1
        self.trouble, self.row, self.spiking, self.broken = None, 0, 0, []
        self.waiting.clear()
        self.recent.forget()

    def inside(self, step: int) -> bool:
        """Whether a checkpoint after so many steps is from a stretch that was left out, or a copy from before it."""
        return any(first <= step <= last for first, last in self.windows)

    def state(self) -> dict[str, Any]:
        """What a resumed run needs to decide as this one would, as JSON."""
        return {
            "row": self.row,
            "spiking": self.spiking,
            "rollbacks": self.rollbacks,
            "went_back_to": self.used,
            "left_out": self.windows,
            "usual": self.usual,
            "broken": self.broken,
            **self.recent.state(),
        }

    def load(self, state: dict[str, Any] | None) -> None:
        """Put back what `state` gave; None, of a checkpoint that has none: nothing has happened."""
        if state:
            self.row, self.spiking, self.rollbacks = state["row"], state["spiking"], state["rollbacks"]
            self.used, self.windows, self.usual = state["went_back_to"], state["left_out"], state["usual"]
            self.broken = state["broken"]
            self.recent.load(state)

    def before(self) -> str:
        """What was usual, in words."""
        if self.recent.losses:
            loss, norm = math.exp(median(self.recent.losses)), math.exp(median(self.recent.norms))
        elif self.usual:
            loss, norm = self.usual["loss"], self.usual["grad_norm"]
        else:
            return "no update was finite before"
        return f"before, the loss was {loss:.4f} and the gradient norm {norm:.3g}"

    def where_broken(self) -> str:
        """Which gradients were not finite first, in words."""
        if not self.broken:
            return ""
        parameters = dict(self.model.named_parameters())
        kinds = sorted({kind(name, parameters[name], self.model.config) for name in self.broken})
        return (
            f"; not finite first: {len(self.broken)} of {len(parameters)} gradients ({', '.join(kinds)}), "
            f"e.g. {self.broken[0]}"
        )


def _json(value: float) -> float | str:
    """JSON has no word for what is not finite."""
    return value if math.isfinite(value) else str(value)
