"""The training loop: batches in, updates, and everything a person wants to see on the way.

A step is a pure function of the weights, the optimizer's state and the step's number: the batch comes from the stream
by number, and the random numbers of dropout are seeded by it. So a run that was killed and resumed ends with the same
weights, bit for bit, as one that was not (on a CPU; GPUs add in varying order). Several processes (parallel.py) take
each step together, each with its share of the batch, and add up to the same.
"""

import math
import time
from contextlib import closing, nullcontext
from pathlib import Path
from typing import Any, Literal

import torch
from torch import Tensor

from groundup.console import duration, say
from groundup.errors import GroundupError
from groundup.evaluate.score import score_split
from groundup.generate.sampler import complete_all
from groundup.model.config import configure
from groundup.model.loss import bits_per_byte, perplexity
from groundup.model.size import flops_per_token
from groundup.model.transformer import Transformer
from groundup.recipe.schema import Recipe
from groundup.store.runs import Run
from groundup.tokens.encoding import Encoding
from groundup.tokens.feed import open_feed
from groundup.tokens.stream import Stream
from groundup.train import memory, optimizer, parallel, peak, rollback
from groundup.train.allocator import keep_freed_memory
from groundup.train.average import Average
from groundup.train.continuation import Origin, Start
from groundup.train.gradients import Gradients, out_of_memory
from groundup.train.guard import Guard
from groundup.train.instruments import Interval, memory_gb, update_ratios
from groundup.train.interrupt import Interrupt, interruptible
from groundup.train.keeping import resume, save, saver_of
from groundup.train.mirror import Mirrors
from groundup.train.precision import Device
from groundup.train.profiler import Profiler, profiling
from groundup.train.schedule import factor
from groundup.train.sharding import whole_model
from groundup.train.watchdog import LONG, Watchdog

SILENCE = 30.0  # seconds after which a line is printed even between two `log_every`


class Trainer:
    """One run's model, optimizer and data, and its place on the way."""

    def __init__(
        self, run: Run, recipe: Recipe, shards: Path, shares: dict[str, float], encoding: Encoding, device: Device
    ) -> None:
        self.run, self.recipe, self.shards, self.encoding, self.device = run, recipe, shards, encoding, device
        train = recipe.train
        if device.device.type == "cpu":
            keep_freed_memory()
        memory.limit(train.memory_gib, device.device)
        config = configure(recipe.model, encoding.vocab_size)
        torch.manual_seed(recipe.seed)  # on the CPU, so that every device starts from the same weights
        self.model = Transformer(config, train.activation_checkpointing).to(device.device)
        self.scaler = device.scaler()
        self.gradients = Gradients(self.model, recipe, encoding, device, self.scaler)
        self.optimizer = optimizer.build(self.model, train, device.device)
        self.average = Average(self.model, train.ema) if train.ema else None
        place = (parallel.rank(), parallel.world())
        stream = Stream(shards, shares, config.context, train.tokens_per_update, recipe.seed, train.windows, *place)
        self.feed = open_feed(train.feed, stream, device.device)
        self.guard = Guard(self.gradients, train, run, stream, shards)
        self.interrupt, self.watchdog = Interrupt(), Watchdog(run.path, train.hang_minutes)
        self.gradients.beat = self.watchdog.feed
        self.sources = list(recipe.data.sources)
        size = memory.micro_batch(train, config, stream.sequences, device)
        self.gradients.micro_batch = parallel.lead(lambda: size)  # FSDP's processes go through it together
        self.peak = peak.measured(device) if train.measure_peak else peak.known(device)
        self.mirrors = Mirrors(train.track if parallel.leads() else [], run, recipe.model_dump(mode="json"))
        self.start, self.step, self.seconds = Start(), 0, 0.0
        self.stopped: str | None = None  # why training is over: steps, minutes or patience
        self.best, self.since_best = math.inf, 0  # lowest validation bpb, and scorings since then
        self.valid_bpb: float | None = None  # at this step, where it was scored
        self.scored: list[dict[str, Any]] = []  # rows of the validation that is going on
        self.owed = set[str]()  # of this step's validation and samples, what a signal kept from being done
        self.interval, self.ratios = Interval(), dict[str, Tensor]()
        self.saver, self.saved_at = saver_of(self), time.monotonic()

    # -- one update -------------------------------------------------------------------------------------------------

    def update(self) -> None:
        """One optimizer step on the global batch, in micro-batches; none where its loss or gradient is not finite.

        Raises GroundupError `out-of-memory`.
        """
        train = self.recipe.train
        optimizer.set_factor(self.optimizer, self.factor(self.step))
        now = self.gradients.of(self.feed.batch(self.step), self.step, self.run)
        shown = (self.step + 1) % train.log_every == 0 or self.step + 1 == train.steps
        try:
            self.scaler.unscale_(self.optimizer)
            left_out = self.guard.clip(self.step + 1, now)
            with update_ratios(self.model) if shown else nullcontext(dict[str, Tensor]()) as self.ratios:
                optimizer.step(self.optimizer, left_out)
        except torch.OutOfMemoryError:  # it may have changed some of the weights, so it cannot be done again
            raise out_of_memory(self.device, "the optimizer's step") from None
        self.scaler.update()
        self.optimizer.zero_grad(set_to_none=True)
        self.interval.add(now)
        self.step += 1
        if self.average:
            self.average.update(self.step, left_out)

    def factor(self, step: int) -> float:
        return factor(step, self.recipe.train, self.start.step, self.start.factor)

    # -- what is seen of it -----------------------------------------------------------------------------------------

    def log(self, seconds: float, record: bool = True) -> None:
        """Print the interval, which has taken `seconds` more of training, if any of its steps was finite; with
        `record`, write it and begin another.

        What is looked at by the clock is not recorded, so that the rows of a run do not depend on when it was stopped.
        """
        train, now = self.recipe.train, self.interval
        now.seconds += seconds
        waited = self.feed.waited
        if record:
            self.interval, self.feed.waited = Interval(), 0.0
        now = now.of_all()
        left_out = int(now.left_out)
        updates, rate = now.steps - left_out, now.targets / now.seconds
        if not updates:
            return
        loss = float(now.nats) / (now.targets * updates / now.steps)  # all steps have as many targets
        flops = self.peak.flops * parallel.world() if self.peak else None
        row = {
            "kind": "train",
            "step": self.step,
            "loss": loss,
            "bpb": bits_per_byte(float(now.text_nats), int(now.text_bytes)),
            "lr": train.learning_rate * self.factor(self.step - 1),
            "grad_norm": float(now.norm) / updates,
            "left_out": left_out,
            "overflows": left_out if self.scaler.is_enabled() else 0,
            "update_ratio": {kind: float(ratio) for kind, ratio in self.ratios.items()} or None,
            "tokens_per_s": rate,
            "mfu": rate * flops_per_token(self.model.config) / flops if flops else None,
            "mfu_of": self.peak.source if self.peak else None,
            "memory_gb": memory_gb(self.device.device),
            "micro_batch": self.gradients.micro_batch,
            "data_wait": waited / now.seconds,
            "tokens": self.step * train.tokens_per_update,
            "seconds": self.seconds,
        }
        left = (train.steps - self.step) / now.steps * now.seconds
        if train.minutes:
            left = min(left, max(0.0, 60 * train.minutes + self.start.seconds - self.seconds))
        say(
            f"step {self.step}/{train.steps} loss={loss:.4f} ppl={perplexity(loss):.4g} bpb={row['bpb']:.4f} "
            f"lr={row['lr']:.2e} tok/s={rate:,.0f} "
            + (f"mfu={row['mfu']:.1%} " if row["mfu"] else "")
            + f"eta={duration(left)}"
        )
        if record:
            self._record(row)

    def _record(self, *rows: dict[str, Any]) -> None:
        self.run.log_metrics(*rows)
        self.mirrors.put(*rows)

    def check_finite(self) -> None:
        """Raise GroundupError `diverged` where there is something about the weights that should not be kept."""
        rollback.check(self)

    def late(self, seconds: float) -> bool:
        """Whether `train.minutes` are over, so many seconds after `self.seconds` was last brought up to date."""
        minutes = self.recipe.train.minutes
        return minutes is not None and (self.seconds + seconds - self.start.seconds) / 60 >= minutes

    def due(self) -> bool:
        """Whether `train.checkpoint_minutes` have gone by since the last checkpoint."""
        minutes = self.recipe.train.checkpoint_minutes
        return minutes is not None and (time.monotonic() - self.saved_at) / 60 >= minutes

    def pay(self) -> bool:
        """Validation and samples, where they are owed and no signal comes; whether the weights are the best so far."""
        best = "validation" in self.owed and self.validate()
        if self.stopped:  # perhaps by the validation
            self.owed.add("samples")
        if "samples" in self.owed and parallel.lead(lambda: not self.interrupt):
            self.sample()
            self.owed.discard("samples")
        return best

    def validate(self) -> bool:
        """Score the validation split, also with the weights' average; returns whether the weights are the best so far.

        It is the weights that are judged, since it is they that are kept as the model. A signal breaks it off, and then
        it is as if it had not begun.
        """
        self.scored = []
        try:
            self.valid_bpb = self._score("valid")
            if self.average and self.valid_bpb is not None:
                with self.average.in_use():
                    self._score("valid_average")
        except Interrupt:
            self.valid_bpb = None
            return False
        self._record(*self.scored)
        self.owed.discard("validation")
        if self.valid_bpb is None:
            return False
        better = self.valid_bpb < self.best
        self.best, self.since_best = min(self.best, self.valid_bpb), 0 if better else self.since_best + 1
        if self.recipe.train.patience and self.since_best >= self.recipe.train.patience:
            self.stopped = self.stopped or "patience"
        return better

    def _score(self, kind: str) -> float | None:
        """Bits per byte of all validation text, None where there is none; the leading process scores for all. Raises
        Interrupt on all of them when that one is asked to stop."""
        score = parallel.lead(self._write_scores, whole_model(self.model), kind)
        if score is False:
            raise self.interrupt
        return score

    def _write_scores(self, model: Transformer, kind: str) -> float | Literal[False] | None:
        train = self.recipe.train
        text = (self.shards, self.sources, "valid", self.encoding, self.device, train.document_mask, train.valid_bytes)
        try:
            scores = score_split(model, *text, between=self.between)
        except Interrupt:
            return False
        if not scores:
            return None
        about = {"kind": kind, "step": self.step, "seconds": self.seconds}
        rows: list[dict[str, Any]] = [about | score.to_json() for score in scores]
        self.scored += rows
        parts = " ".join(f"{row['source']}: bpb={row['bpb']:.4f} ppl={row['ppl']:.4g}" for row in rows)
        say(f"{kind.replace('_', ' of the ')} {self.step}/{train.steps} {parts}")
        return rows[-1]["bpb"]

    def between(self) -> None:
        """Between two parts of what may take long. Raises Interrupt where a signal has come."""
        self.watchdog.feed()
        if self.interrupt:
            raise self.interrupt

    def sample(self) -> None:
        """Complete the fixed prompts, so that one can watch the model learn to write."""
        parallel.lead(self._write_samples, whole_model(self.model))

    def _write_samples(self, model: Transformer) -> None:
        self.watchdog.feed(LONG)
        try:
            rows = complete_all(model, self.encoding, self.recipe.sample, self.device)
        except GroundupError as error:  # nothing that training should end for
            if error.code not in ("not-finite", "sample-too-large"):
                raise
            say(f"warning: no samples: {error.what} [{error.code}]")
            return
        self.run.log_samples(*({"step": self.step, **row} for row in rows))
        say(f"sample: {' '.join(rows[0]['text'].split())[:200]}")


def train(trainer: Trainer, origin: Origin | None = None) -> None:
    """Train from where the run's checkpoints, or the run that is continued, left off until `train.steps`,
    `train.minutes` or `train.patience` say that it is over.

    Of several processes only the leading one's `origin` counts. Raises GroundupError `interrupted`, `diverged`,
    `out-of-memory`, `checkpoint-damaged`; OSError when a disk is full or fails, also while it is written in the
    background.
    """
    plan, follows = trainer.recipe.train, not parallel.leads()
    with (
        trainer.watchdog.watching(),
        closing(trainer.feed),
        closing(trainer.mirrors),
        interruptible(trainer.interrupt),
        trainer.saver,
    ):
        resume(trainer, origin)
        trainer.guard.warm = trainer.start.step + plan.warmup
        if trainer.stopped and not trainer.owed:
            return
        if trainer.owed:
            settle(trainer)
        elif trainer.step == trainer.start.step:
            trainer.run.log_event("started", step=trainer.step)
        profile = None if trainer.stopped or follows else plan.profile
        with profiling(trainer.run, profile, trainer.device.device) as profiler:
            take_steps(trainer, profiler)
    trainer.run.log_event("trained", step=trainer.step, because=trainer.stopped)
    if trainer.stopped != "steps":
        say(f"stopped by train.{trainer.stopped} at step {trainer.step} of {plan.steps}")
    if parallel.agree(bool(trainer.interrupt))[0]:
        raise interrupted(trainer)


def take_steps(trainer: Trainer, profiler: Profiler) -> None:
    plan, device, clock = trainer.recipe.train, trainer.device.device, time.monotonic()
    trainer.saved_at = clock
    while not trainer.stopped:
        trainer.update()
        trainer.saver.poll()
        profiler.step()
        troubled = rollback.answer(trainer)
        elapsed = time.monotonic() - clock
        stopping, silent, late, due = parallel.agree(
            bool(trainer.interrupt), elapsed > SILENCE, trainer.late(elapsed), trainer.due()
        )
        trainer.stopped = "steps" if trainer.step >= plan.steps else "minutes" if late else None
        logging, validating, saving, sampling = (
            trainer.stopped is not None or trainer.step % every == 0
            for every in (plan.log_every, plan.valid_every, plan.checkpoint_every, plan.sample_every)
        )
        if logging or validating or saving or sampling or stopping or silent or due or troubled:
            if device.type == "cuda":
                torch.cuda.synchronize()
            troubled |= rollback.answer(trainer, at_all=True)
            elapsed = time.monotonic() - clock
            trainer.seconds += elapsed
            trainer.log(elapsed, record=logging or validating or sampling or troubled)
            trainer.valid_bpb = None
            trainer.owed = {name for name, now in (("validation", validating), ("samples", sampling)) if now}
            settle(trainer, saving or due or troubled, stopping)
            clock = time.monotonic()


def settle(trainer: Trainer, saving: bool = False, stopping: bool = False) -> None:
    """Do what is owed at this step, save where that is due, and end where a signal asks for it."""
    with nullcontext() if parallel.leads() else trainer.watchdog.paused():
        best = trainer.pay()
        (stopping,) = parallel.agree(stopping or bool(trainer.interrupt))
        if saving or best or stopping or trainer.stopped:
            trainer.watchdog.feed(LONG)
            save(trainer, wait=stopping or trainer.stopped is not None)
            trainer.saved_at = time.monotonic()
    if stopping and (trainer.owed or not trainer.stopped):
        raise interrupted(trainer)


def interrupted(trainer: Trainer) -> GroundupError:
    trainer.run.log_event("interrupted", step=trainer.step)
    what = f"stopped at step {trainer.step} of {trainer.recipe.train.steps}"
    return GroundupError("interrupted", what, "give the same command again to go on")
