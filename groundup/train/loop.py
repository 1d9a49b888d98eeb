"""The training loop: batches in, updates, and everything a person wants to see on the way.

A step is a pure function of the weights, the optimizer's state and the step's number: the batch comes from the stream
by number, and the random numbers of dropout are seeded by it. So a run that was killed and resumed ends with the same
weights, bit for bit, as one that was not (on a CPU; GPUs add in varying order). Several processes (parallel.py) take
each step together, each with its share of the batch, and add up to the same.
"""

import math
import time
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from groundup.console import duration, say
from groundup.errors import GroundupError
from groundup.evaluate.score import score_split
from groundup.generate.sampler import complete_all
from groundup.model.attention import document_ids
from groundup.model.chunked_loss import chunked_losses
from groundup.model.config import ModelConfig, configure
from groundup.model.loss import bits_per_byte, perplexity, token_losses
from groundup.model.transformer import Transformer
from groundup.recipe.schema import Recipe
from groundup.store.files import digest
from groundup.store.runs import Run
from groundup.tokens.encoding import Encoding
from groundup.tokens.feed import open_feed
from groundup.tokens.stream import Stream
from groundup.train import checkpoint, optimizer, parallel
from groundup.train.allocator import keep_freed_memory
from groundup.train.average import Average
from groundup.train.interrupt import interruptible
from groundup.train.objective import exchange, objective
from groundup.train.precision import Device
from groundup.train.schedule import factor
from groundup.train.sharding import whole, whole_model

SILENCE = 30.0  # seconds after which a line is printed even between two `log_every`


@dataclass
class Interval:
    """What happened since the last log line, summed on the device so that the loop need not wait for it."""

    nats: Tensor | float = 0.0  # over all targets
    text_nats: Tensor | float = 0.0  # over targets that are text: special tokens count in neither sum of bpb
    norm: Tensor | float = 0.0  # of the gradient, summed over steps
    text_bytes: Tensor | int = 0
    targets: int = 0
    steps: int = 0


class Trainer:
    """One run's model, optimizer and data, and its place on the way."""

    def __init__(
        self, run: Run, recipe: Recipe, shards: Path, shares: dict[str, float], encoding: Encoding, device: Device
    ) -> None:
        self.run, self.recipe, self.shards, self.encoding, self.device = run, recipe, shards, encoding, device
        train = recipe.train
        if device.device.type == "cpu":
            keep_freed_memory()
        config = configure(recipe.model, encoding.vocab_size)
        torch.manual_seed(recipe.seed)  # on the CPU, so that every device starts from the same weights
        self.model = Transformer(config, train.activation_checkpointing).to(device.device)
        if device.compile:
            torch.compiler.reset()  # of earlier runs in this process: after eight it would give up, and say nothing
        self.objective = objective(self.model, losses, train, device)
        self.optimizer = optimizer.build(self.model, train, device.device)
        self.average = Average(self.model, train.ema) if train.ema else None
        self.scaler = device.scaler()
        place = (parallel.rank(), parallel.world())
        stream = Stream(shards, shares, config.context, train.tokens_per_update, recipe.seed, train.windows, *place)
        self.feed = open_feed(train.feed, stream, device.device)
        self.token_bytes = torch.from_numpy(encoding.token_bytes).to(device.device)
        self.sources = list(recipe.data.sources)
        size = micro_batch(train.micro_batch, config, stream.sequences, device)
        self.micro_batch = parallel.lead(lambda: size)  # the same everywhere: FSDP's processes go through it together
        self.step, self.seconds, self.best = 0, 0.0, math.inf
        self.valid_bpb: float | None = None  # at this step, where it was scored
        self.interval = Interval()

    # -- one update -------------------------------------------------------------------------------------------------

    def update(self) -> None:
        """One optimizer step on the global batch, in micro-batches. Raises GroundupError `out-of-memory`."""
        train, now = self.recipe.train, self.interval
        optimizer.set_factor(self.optimizer, factor(self.step, train))
        # Dropout's numbers, by step alone; other sequences have others.
        place = [self.recipe.seed, self.step, *([parallel.rank()] if parallel.rank() else [])]
        torch.manual_seed(int(digest(place)[:15], 16))
        batch = self.feed.batch(self.step)
        targets = batch[:, 1:].numel()
        try:
            for start in range(0, len(batch), self.micro_batch):
                with exchange(self.objective, start + self.micro_batch >= len(batch)):
                    self._accumulate(batch[start : start + self.micro_batch], targets)
            self.scaler.unscale_(self.optimizer)
            now.norm += whole(nn.utils.clip_grad_norm_(self.model.parameters(), train.clip))
            self.scaler.step(self.optimizer)
        except torch.OutOfMemoryError:
            what = f"{self.device.name} has too little memory for train.micro_batch = {self.micro_batch} sequences"
            raise GroundupError("out-of-memory", what, f"train.micro_batch={max(1, self.micro_batch // 2)}") from None
        self.scaler.update()
        self.optimizer.zero_grad(set_to_none=True)
        now.targets += targets
        now.steps += 1
        self.step += 1
        if self.average:
            self.average.update(self.step)

    def _accumulate(self, rows: Tensor, targets: int) -> None:
        x, y = rows[:, :-1], rows[:, 1:]
        with self.device.autocast():
            documents = document_ids(x, self.encoding.end) if self.recipe.train.document_mask else None
            total, nats = self.objective(x, y, documents, self.recipe.train.loss_chunk)
        self.scaler.scale(total / targets).backward()  # of as many targets in each process: their mean is the batch's
        self.interval.nats += total.detach()
        size = self.token_bytes[y]
        self.interval.text_nats += (nats * (size > 0)).sum()
        self.interval.text_bytes += size.sum()

    # -- what is seen of it -----------------------------------------------------------------------------------------

    def log(self, seconds: float) -> None:
        """Write and print the interval that took `seconds` of training. Raises GroundupError `diverged`."""
        train, now = self.recipe.train, self.interval
        sums = parallel.summed([now.nats, now.text_nats, now.text_bytes, now.targets])
        now.nats, now.text_nats, now.text_bytes, now.targets = sums[0], sums[1], int(sums[2]), int(sums[3])
        self.check_finite()
        loss = now.nats / now.targets
        row = {
            "kind": "train",
            "step": self.step,
            "loss": loss,
            "bpb": bits_per_byte(now.text_nats, now.text_bytes),
            "lr": train.learning_rate * factor(self.step - 1, train),
            "grad_norm": float(now.norm) / now.steps,
            "tokens_per_s": now.targets / seconds,
            "data_wait": self.feed.waited / seconds,
            "tokens": self.step * train.tokens_per_update,
            "seconds": self.seconds,
        }
        self.run.log_metrics(row)
        left = (train.steps - self.step) / now.steps * seconds
        say(
            f"step {self.step}/{train.steps} loss={loss:.4f} ppl={perplexity(loss):.4g} bpb={row['bpb']:.4f} "
            f"lr={row['lr']:.2e} tok/s={row['tokens_per_s']:,.0f} eta={duration(left)}"
        )
        self.interval, self.feed.waited = Interval(), 0.0

    def check_finite(self) -> None:
        """Raise GroundupError `diverged` if a loss or gradient since the last look was not finite.

        fp16 steps with an overflowing gradient are skipped by the scaler and are no divergence.
        """
        loss, norm = float(self.interval.nats), float(self.interval.norm)
        if math.isfinite(loss) and (math.isfinite(norm) or self.scaler.is_enabled()):
            return
        self.run.log_event("diverged", step=self.step)
        rate = self.recipe.train.learning_rate
        what = f"the {'gradient' if math.isfinite(loss) else 'loss'} is not finite at step {self.step}"
        raise GroundupError("diverged", what, f"a lower train.learning_rate (it is {rate:g}) or a longer train.warmup")

    def validate(self) -> bool:
        """Score the validation split, also with the weights' average; returns whether the weights are the best so far.

        It is the weights that are judged, since it is they that are kept as the model.
        """
        self.valid_bpb = self._score("valid")
        if self.average:
            with self.average.in_use():
                self._score("valid_average")
        if self.valid_bpb is None:
            return False
        better = self.valid_bpb < self.best
        self.best = min(self.best, self.valid_bpb)
        return better

    def _score(self, kind: str) -> float | None:
        """Bits per byte of all validation text, None where there is none; the leading process scores for all."""
        model = whole_model(self.model)
        return parallel.lead(self._write_scores, model, kind)

    def _write_scores(self, model: Transformer, kind: str) -> float | None:
        train = self.recipe.train
        scores = score_split(
            model,
            self.shards,
            self.sources,
            "valid",
            self.encoding,
            self.device,
            train.document_mask,
            train.valid_bytes,
        )
        if not scores:
            return None
        about = {"kind": kind, "step": self.step, "seconds": self.seconds}
        rows: list[dict[str, Any]] = [about | score.to_json() for score in scores]
        self.run.log_metrics(*rows)
        parts = " ".join(f"{row['source']}: bpb={row['bpb']:.4f} ppl={row['ppl']:.4g}" for row in rows)
        say(f"{kind.replace('_', ' of the ')} {self.step}/{train.steps} {parts}")
        return rows[-1]["bpb"]

    def sample(self) -> None:
        """Complete the fixed prompts, so that one can watch the model learn to write."""
        model = whole_model(self.model)
        parallel.lead(self._write_samples, model)

    def _write_samples(self, model: Transformer) -> None:
        rows = complete_all(model, self.encoding, self.recipe.sample, self.device)
        self.run.log_samples(*({"step": self.step, **row} for row in rows))
        say(f"sample: {' '.join(rows[0]['text'].split())[:200]}")

    # -- what is kept of it -----------------------------------------------------------------------------------------

    def save(self) -> None:
        """Write a checkpoint. Raises GroundupError `diverged`."""
        self.check_finite()
        model, tensors = whole_model(self.model), optimizer.state_tensors(self.model, self.optimizer)
        if self.average:
            tensors |= self.average.state_tensors()
        parallel.lead(self._write_checkpoint, model, tensors)

    def _write_checkpoint(self, model: Transformer, tensors: dict[str, Tensor]) -> None:
        state = {
            "step": self.step,
            "valid_bpb": self.valid_bpb,
            "seconds": self.seconds,
            "micro_batch": self.micro_batch,
            "processes": parallel.world(),
            "scaler": self.scaler.state_dict(),
        }
        saved = checkpoint.save(self.run, model, tensors, state)
        checkpoint.retire(self.run, self.recipe.train.keep)
        self.run.log_event("checkpoint", step=self.step, valid_bpb=self.valid_bpb)
        say(f"saved checkpoint {saved.path}")

    def resume(self) -> None:
        """Go on from the newest whole checkpoint, if there is one.

        It may have been made by another number of processes. Raises GroundupError `checkpoint-damaged` when there are
        checkpoints and none is whole.
        """
        newest = parallel.lead(self._newest)
        if newest is None:
            self.run.rewind(0)
            return
        last = checkpoint.Checkpoint(Path(newest["path"]), newest["state"])
        checkpoint.load_weights(last, self.model)
        tensors = checkpoint.load_optimizer(last)
        optimizer.load_state(self.model, self.optimizer, tensors)
        if self.average:
            self.average.load_state(tensors)
        self.scaler.load_state_dict(last.state["scaler"])
        self.step, self.seconds = last.step, last.state["seconds"]
        before, now = last.state["processes"], parallel.world()
        if before == now:
            self.micro_batch = last.state["micro_batch"]  # another one would add the gradients in another order
        self.best = math.inf if newest["best"] is None else newest["best"]
        self.run.rewind(self.step)
        self.run.log_event("resumed", step=self.step, processes=now, processes_before=before)
        say(f"resumed from {last.path}" + (f", which {before} processes wrote, with {now}" if before != now else ""))

    def _newest(self) -> dict[str, Any] | None:
        """The newest whole checkpoint and the best score of all."""
        found, problems = checkpoint.whole(self.run)
        checkpoint.warn(problems)
        if not found:
            if problems:
                what = f"no checkpoint of {self.run.path} is whole; {problems[-1]}"
                raise GroundupError(
                    "checkpoint-damaged", what, f"delete {checkpoint.directory(self.run)} to train from the beginning"
                )
            return None
        best = checkpoint.best(found)
        return {"path": str(found[-1].path), "state": found[-1].state, "best": best.valid_bpb if best else None}


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


def micro_batch(wanted: int | str, config: ModelConfig, sequences: int, device: Device) -> int:
    """Sequences in one forward pass: as wanted, or the largest divisor of the global batch that should fit."""
    if isinstance(wanted, int):
        return min(wanted, sequences)
    # Activations of a block are some 20 vectors of width d and 6 of the feed-forward's; logits come thrice in fp32.
    size = 4 if device.precision == "fp32" else 2
    token = size * config.layers * (20 * config.width + 6 * config.feed_forward) + 12 * config.vocab_size
    if device.device.type == "cuda":  # half stays free for weights, optimizer and fragments
        budget = torch.cuda.get_device_properties(device.device).total_memory // 2
    else:  # larger is hardly faster on a CPU, and a laptop has other things to remember
        budget = 1_500_000_000
    tokens = budget // token
    most = max(1, tokens // config.context)
    return max(size for size in range(1, sequences + 1) if sequences % size == 0 and size <= most)


def train(trainer: Trainer) -> None:
    """Train to `train.steps`, from where the run's checkpoints left off.

    Raises GroundupError `interrupted`, `diverged`, `out-of-memory`, `checkpoint-damaged`; OSError when a disk is full.
    """
    plan = trainer.recipe.train
    trainer.resume()
    if trainer.step >= plan.steps:
        return
    if trainer.step == 0:
        trainer.run.log_event("started")
    saved = trainer.step
    with closing(trainer.feed), interruptible() as interrupt:
        clock = time.monotonic()
        while trainer.step < plan.steps:
            trainer.update()
            last = trainer.step == plan.steps
            due = [
                last or trainer.step % every == 0
                for every in (plan.log_every, plan.valid_every, plan.checkpoint_every, plan.sample_every)
            ]
            logging, validating, saving, sampling = due
            stopping, silent = parallel.agree(bool(interrupt), time.monotonic() - clock > SILENCE)
            if logging or validating or saving or sampling or stopping or silent:
                if trainer.device.device.type == "cuda":
                    torch.cuda.synchronize()
                elapsed = time.monotonic() - clock
                trainer.seconds += elapsed
                trainer.log(elapsed)
                trainer.valid_bpb = None
                best = validating and trainer.validate()
                if sampling:
                    trainer.sample()
                if saving or best or stopping:
                    trainer.save()
                    saved = trainer.step
                if stopping and not last:
                    trainer.run.log_event("interrupted", step=saved)
                    raise GroundupError(
                        "interrupted",
                        f"stopped at step {saved} of {plan.steps}",
                        "give the same command again to go on",
                    )
                clock = time.monotonic()
    trainer.run.log_event("trained", step=trainer.step)
