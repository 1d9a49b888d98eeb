"""Several processes train one model: how they meet, what they tell each other, and how one's failure ends all.

Each process has one device and its share of every global batch; all take the same steps. Rank 0 leads: what it decides
alone it tells the others, and only it writes. With one process everything here does nothing.
"""

import json
import os
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor

from groundup.errors import ENVIRONMENT, INTERRUPTED, GroundupError
from groundup.processes import LISTENER, here
from groundup.store.runs import Run

TIMEOUT = timedelta(minutes=10)  # for one exchange of tensors; what takes longer is waited for by `hear`
LOOK = 0.01  # seconds between looks at what the leading process says
PATIENCE = 3.0  # seconds that a failing process gives the leading one to say that the failure is its own, too
LINGER = 1.0  # seconds that the leading one then stays to be heard


@dataclass
class _Job:
    store: dist.Store
    told: int = 0  # messages of the leading process so far


_job: _Job | None = None


def world() -> int:
    """Number of processes that work together; 1 outside of `job`."""
    return dist.get_world_size() if _job else 1


def rank() -> int:
    return dist.get_rank() if _job else 0


def leads() -> bool:
    """Whether this process is the one that writes and speaks."""
    return rank() == 0


# -- meeting and parting ----------------------------------------------------------------------------------------------


@contextmanager
def job(device: str) -> Iterator[None]:
    """Within it the processes that `processes.here` counts work together, each on its device; NCCL joins GPUs, Gloo the
    rest. `device` is the recipe's: auto, cpu or cuda.

    When the leading process fails, the others end with its exit code and leave it to that one to say why. When another
    fails, the leading one raises `process-lost` as soon as it misses it. Raises GroundupError `no-rendezvous`,
    `no-device`, `process-lost`.
    """
    global _job
    if here().world == 1:
        yield
        return
    backend = _backend(device)
    _job = _Job(_meet(backend))
    try:
        yield
        leave()
    except BaseException as error:
        failure = process_lost() if _is_loss(error) else error
        _report(failure)
        if failure is error:
            raise
        raise failure from error
    finally:
        _job = None


def leave() -> None:
    """End the work together; what follows is each one's own."""
    global _job
    if _job:
        agree(False)  # the leading process takes the store with it, so the others must have heard everything
        dist.destroy_process_group()
        _job = None


def _backend(device: str) -> str:
    """Takes this process's GPU where GPUs are used."""
    place = here()
    if device == "cpu" or (device == "auto" and not torch.cuda.is_available()):
        return "gloo"
    have = torch.cuda.device_count()
    if place.local_rank >= have:
        what = f"process {place.local_rank} of this machine has no GPU to itself: there are {have}"
        raise GroundupError("no-device", what, f"at most {have} processes a machine, or train.device=cpu")
    torch.cuda.set_device(place.local_rank)
    return "cpu:gloo,cuda:nccl"


def _meet(backend: str) -> dist.Store:
    place = here()
    try:
        if listener := os.environ.get(LISTENER):
            where = os.environ["MASTER_ADDR"], int(os.environ["MASTER_PORT"])
            store: dist.Store = dist.TCPStore(*where, place.world, True, TIMEOUT, master_listen_fd=int(listener))
        else:
            store, _, _ = next(dist.rendezvous("env://", place.rank, place.world, timeout=TIMEOUT))
        dist.init_process_group(backend, store=store, rank=place.rank, world_size=place.world, timeout=TIMEOUT)
    except (ValueError, RuntimeError, OSError) as error:  # a variable is missing, or nobody listens there
        what = f"process {place.rank} of {place.world}: {' '.join(str(error).split())[:300]}"
        raise GroundupError("no-rendezvous", what, "start it by torchrun or with --processes") from None
    return store


def process_lost() -> GroundupError:
    return GroundupError(
        "process-lost",
        f"process {here().rank} of {here().world} lost another one, so the job cannot go on",
        "give the same command again: it goes on from the last checkpoint",
    )


def _is_loss(error: BaseException) -> bool:
    """Whether an exchange failed because another process did. Gloo's errors have no type of their own."""
    words = ("gloo", "NCCL", "Connection closed by peer", "Connection reset by peer")
    return isinstance(error, dist.DistError) or (
        isinstance(error, RuntimeError) and any(word in str(error) for word in words)
    )


def _report(failure: BaseException) -> None:
    """Say that this process has failed; a process that does not lead ends here when the leading one failed, too."""
    if _job is None:  # what fails after `leave` is this process's own
        return
    store = _job.store
    code = ENVIRONMENT if isinstance(failure, OSError) else INTERRUPTED if isinstance(failure, KeyboardInterrupt) else 1
    code = failure.exit_code if isinstance(failure, GroundupError) else code
    try:
        if leads():
            store.set("failed", str(code))
            _wait(LINGER, lambda: store.add("informed", 0) == world() - 1)  # the store goes with this process
        elif _wait(PATIENCE, lambda: store.check(["failed"])):
            code = int(store.get("failed"))
            store.add("informed", 1)
            raise SystemExit(code)
    except RuntimeError:  # the store went with the leading process
        return


def _wait(seconds: float, come: Callable[[], bool]) -> bool:
    """Whether it came in time."""
    start = time.monotonic()
    while not come():
        if time.monotonic() - start > seconds:
            return False
        time.sleep(LOOK)
    return True


# -- one tells, all agree ----------------------------------------------------------------------------------------------


def tell(value: Any) -> None:
    """Give the other processes a JSON value. For the leading one; each `tell` is for one `hear`."""
    if _job:
        _job.store.set(f"told-{_job.told}", json.dumps(value))
        _job.told += 1


def hear() -> Any:
    """What the leading process tells next, waited for as long as that one lives."""
    assert _job
    key = f"told-{_job.told}"
    _job.told += 1
    while not _job.store.check([key]):
        if _job.store.check(["failed"]):
            raise process_lost()
        time.sleep(LOOK)
    return json.loads(_job.store.get(key))


def lead(work: Callable[..., Any], *inputs: Any) -> Any:
    """The JSON value of work(*inputs) on the leading process, on all of them. The others do not work, but wait."""
    if not leads():
        return hear()
    value = work(*inputs)
    tell(value)
    return value


def agree(*flags: bool) -> list[bool]:
    """For each flag, whether any process has it set: so all take the same turn at the same step."""
    if world() == 1:
        return list(flags)
    votes = torch.tensor(flags, dtype=torch.int32)
    dist.all_reduce(votes, dist.ReduceOp.MAX)
    return [bool(vote) for vote in votes]


def summed(values: list[Tensor | float | int]) -> list[float]:
    """The sums over all processes of numbers that each has, added in fp64."""
    mine = torch.tensor([float(value) for value in values], dtype=torch.float64)
    if world() > 1:
        dist.all_reduce(mine)
    return mine.tolist()


def divided(work: Callable[[Tensor], Tensor], stack: Tensor) -> Tensor:
    """work(stack), both (n, ...), where each process does a part of the n and all get the whole."""
    if world() == 1:
        return work(stack)
    each = -(-len(stack) // world())
    mine = stack.new_zeros(each, *stack.shape[1:])
    part = stack[rank() * each : (rank() + 1) * each]
    mine[: len(part)] = part
    mine = work(mine).contiguous()
    whole = mine.new_empty(world() * each, *mine.shape[1:])
    gather = getattr(dist, "all_gather_single", None) or dist.all_gather_into_tensor  # its name until torch 2.12
    gather(whole, mine)
    return whole[: len(stack)]


class Unwritten(Run):
    """A run as those see it that do not lead: they read it, and write nothing."""

    def log_metrics(self, *rows: dict[str, Any]) -> None: ...

    def log_samples(self, *rows: dict[str, Any]) -> None: ...

    def log_event(self, event: str, **facts: Any) -> None: ...

    def rewind(self, step: int) -> None: ...


def words(how: str) -> str:
    """What the first lines of a run say of it: `, 2 processes (ddp)`; nothing for one process."""
    return f", {world()} processes ({'ddp' if how == 'auto' else how})" if world() > 1 else ""
