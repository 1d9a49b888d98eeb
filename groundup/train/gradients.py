"""Gradients of a global batch, a micro-batch at a time; of a smaller one where memory runs out."""

from collections.abc import Callable

import torch
from torch import Tensor

from groundup.console import say
from groundup.errors import GroundupError
from groundup.model.attention import document_ids
from groundup.model.chunked_loss import chunked_losses
from groundup.model.loss import token_losses
from groundup.model.transformer import Transformer
from groundup.recipe.schema import Recipe
from groundup.store.files import digest
from groundup.store.runs import Run
from groundup.tokens.encoding import Encoding
from groundup.train import memory, parallel
from groundup.train.instruments import Interval
from groundup.train.objective import exchange, objective
from groundup.train.precision import Device
from groundup.train.watchdog import LONG


def losses(
    model: Transformer, x: Tensor, y: Tensor, documents: Tensor | None, chunk: int | None
) -> tuple[Tensor, Tensor]:
    """The sum of -ln p over the targets, to be differentiated, and -ln p of each (B, T), to be looked at.

    One function, so that the compiler sees model and loss together.
    """
    if chunk is not None:
        return chunked_losses(model.hidden(x, documents), model.head_weight, y, chunk)
    nats = token_losses(model(x, documents), y)
    return nats.sum(), nats.detach()


class Gradients:
    """What adds the gradients of batches to a model's parameters, `micro_batch` sequences in a pass.

    Of several processes each passes its part of the batch, and all get the gradients of the whole. To be made before
    anything holds the model's parameters: with train.parallel = fsdp it replaces them. Raises GroundupError
    `recipe-conflict`.
    """

    def __init__(
        self, model: Transformer, recipe: Recipe, encoding: Encoding, device: Device, scaler: torch.amp.GradScaler
    ) -> None:
        self.model, self.recipe, self.device, self.scaler = model, recipe, device, scaler
        self.end = encoding.end
        self.token_bytes = torch.from_numpy(encoding.token_bytes).to(device.device)
        self.objective, self.micro_batch = objective(model, losses, recipe.train, device), 1
        self.beat: Callable[[float], None] = lambda patience: None  # told before each pass how much longer it may take
        self.compiled = not device.compile

    def of(self, batch: Tensor, step: int, run: Run) -> Interval:
        """Gradients of the mean loss of a batch (B, T + 1), and the sums of this process's part of it.

        Where memory runs out, all of it is done again from its beginning with smaller micro-batches: nothing of the
        attempt stays, and the random numbers are the same. Raises GroundupError `out-of-memory` after 1, and where
        there are several processes: one cannot begin again while the others wait for its gradients.
        """
        # Dropout's numbers, by step alone; other processes have other sequences, and these have others.
        seed = [self.recipe.seed, step, *([parallel.rank()] if parallel.rank() else [])]
        while True:
            torch.manual_seed(int(digest(seed)[:15], 16))
            try:
                now, micro_batches = Interval(targets=batch[:, 1:].numel(), steps=1), batch.split(self.micro_batch)
                for number, rows in enumerate(micro_batches, 1):
                    with exchange(self.objective, number == len(micro_batches)):
                        self._accumulate(rows, now)
                return now
            except torch.OutOfMemoryError:
                pass  # the exception holds tensors: their memory can be given back when it is gone
            self.model.zero_grad(set_to_none=True)
            memory.release(self.device.device)
            self._halve(len(batch), step, run)

    def _accumulate(self, rows: Tensor, now: Interval) -> None:
        self.beat(0.0 if self.compiled else LONG)
        x, y = rows[:, :-1], rows[:, 1:]
        train = self.recipe.train
        with self.device.autocast():
            documents = document_ids(x, self.end) if train.document_mask else None
            total, nats = self.objective(x, y, documents, train.loss_chunk)
        mean = self.scaler.scale(total / now.targets)  # all processes have as many: their mean is the batch's
        # What is not finite makes every gradient so, of all processes, which then need not tell each other.
        mean.backward(torch.where(total.isfinite(), 1.0, torch.nan))
        self.compiled = True
        now.nats += total.detach()
        size = self.token_bytes[y]
        now.text_nats += (nats * (size > 0)).sum()
        now.text_bytes += size.sum()

    def _halve(self, sequences: int, step: int, run: Run) -> None:
        before, size = self.micro_batch, memory.smaller(self.micro_batch, sequences)
        if size is None or parallel.world() > 1:
            fix = f"train.micro_batch={size}" if size else ""
            raise out_of_memory(self.device, "one sequence" if before == 1 else f"{before} sequences", fix)
        run.log_event("halved", step=step, before=before, micro_batch=size)
        say(f"out of memory in update {step + 1} with micro-batches of {before}: going on with {size}")
        self.micro_batch, self.compiled = size, not self.device.compile
        self.objective = objective(self.model, losses, self.recipe.train, self.device)


def out_of_memory(device: Device, what: str, fix: str = "") -> GroundupError:
    fix = fix or "train.activation_checkpointing=full, train.loss_chunk=2048, or a smaller model"
    return GroundupError("out-of-memory", f"{device.name} has too little memory for {what}", fix)
