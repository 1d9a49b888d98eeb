"""Back to a checkpoint from before the trouble, and on behind it.

As PaLM was trained past its spikes (Chowdhery et al. 2022, section 5.1): weights and optimizer are those of an earlier
step, and the batches from there to the trouble's end are left out. Steps go on being counted: step s has the batch and
the learning rate that it has in every run, and the steps that were left out just have no update in the weights.
"""

from typing import TYPE_CHECKING, Any

from torch import nn

from groundup.console import say
from groundup.errors import GroundupError
from groundup.train import checkpoint, keeping, parallel
from groundup.train.checkpoint import Checkpoint
from groundup.train.guard import Trouble
from groundup.train.sharding import whole

if TYPE_CHECKING:
    from groundup.train.loop import Trainer


def answer(trainer: "Trainer", at_all: bool = False) -> bool:
    """Go back if there is trouble in the steps that are known by now, or in any; whether there was."""
    trouble = trainer.guard.look(at_all)
    if trouble:
        go_back(trainer, trouble)
    return trouble is not None


def go_back(trainer: "Trainer", trouble: Trouble) -> None:
    """Bring a trainer in trouble to the step behind it, with weights and optimizer from before it. All processes call
    it together. Raises GroundupError `diverged` where it was done `train.rollbacks` times, or nothing is from before.
    """
    guard = trainer.guard
    found = None
    if guard.rollbacks < trainer.recipe.train.rollbacks:
        found = parallel.lead(_target, trainer, trouble)
    if found is None:
        trainer.run.log_event("diverged", step=trouble.last, what=trouble.what)
        raise diverged(trainer, trouble)
    saved = Checkpoint(checkpoint.directory(trainer.run) / found["name"], found["state"])
    seconds = trainer.seconds
    keeping._load(trainer, saved)
    trainer.step, trainer.seconds, trainer.valid_bpb = trouble.last, seconds, None
    before = guard.before()
    guard.went_back(saved.step)
    first, last = guard.windows[-1]
    facts = {"step": last, "to": saved.step, "left_out": [first, last], "rollbacks": guard.rollbacks}
    trainer.run.log_event("rolled-back", **facts, because=trouble.what)
    trainer._record({"kind": "rollback", **facts})
    say(
        f"warning: {trouble.what} ({before}): back to the weights of step {saved.step}; steps {first} to {last} are "
        f"left out (roll-back {guard.rollbacks} of {trainer.recipe.train.rollbacks})"
    )


def _target(trainer: "Trainer", trouble: Trouble) -> dict[str, Any] | None:
    """The newest whole checkpoint from before the trouble. If training has come to no new one since it last went back,
    that one was not good enough, and it is an older one, as long as there is one."""
    trainer.saver.finish()
    found = [one for one in map(checkpoint.look, checkpoint.paths(trainer.run)) if isinstance(one, Checkpoint)]
    before = [one for one in found[::-1] if one.step < trouble.first]
    guard = trainer.guard
    sound = [one for one in before if not guard.inside(one.step)]
    fresh = [one for one in sound if one.step not in guard.used]
    copies = [one for one in before if any(one.step == last for _, last in guard.windows)]
    chosen, problems = checkpoint.first_whole(list(dict.fromkeys(one.path for one in (*fresh, *sound, *copies))))
    checkpoint.warn(problems)
    return {"name": chosen.path.name, "state": chosen.state} if chosen else None


def check(trainer: "Trainer") -> None:
    """Before a checkpoint is written, which all processes do together: raise GroundupError `diverged` where a step that
    was not looked at yet gives trouble, or a step was so large that the weights themselves are not finite."""
    if trouble := trainer.guard.look(at_all=True):
        raise diverged(trainer, trouble)
    weights = [weight.detach() for weight in trainer.model.parameters()]
    if not whole(nn.utils.get_total_norm(weights)).isfinite():
        raise diverged(trainer, Trouble(trainer.step, trainer.step, "the weights are not finite"))


def diverged(trainer: "Trainer", trouble: Trouble) -> GroundupError:
    """What was seen, and what to change."""
    train, guard = trainer.recipe.train, trainer.guard
    rate = train.learning_rate * trainer.factor(trouble.last - 1)
    back = "with no checkpoint from before it to go back to"
    if guard.rollbacks or not train.rollbacks:
        back = f"after {guard.rollbacks} roll-backs"
    what = (
        f"{trouble.what}, up to step {trouble.last}, {back}; {guard.before()}{guard.where_broken()}; learning rate "
        f"{rate:.3g}, precision {trainer.device.precision}"
    )
    fixes = [f"a lower train.learning_rate ({train.learning_rate / 3:.2g})"]
    if trouble.last <= 2 * train.warmup or not train.warmup:
        fixes.append(f"a longer train.warmup ({max(100, 2 * train.warmup)})")
    if trainer.device.precision == "fp16":
        fixes.append("train.precision=bf16 or fp32")
    if train.clip > 1:
        fixes.append("train.clip=1")
    return GroundupError("diverged", what, ", ".join(fixes) + "; events.jsonl has the batches")
