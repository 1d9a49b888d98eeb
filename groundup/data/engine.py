"""Where text is processed: the cores of this machine, or a Ray cluster. The outcome is the same."""

import errno
import json
import logging
import os
import socket
import traceback
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import daft
from daft import DataFrame, col
from daft.exceptions import DaftCoreException

from groundup.errors import GroundupError
from groundup.recipe.schema import Data


def start(data: Data) -> None:
    """Choose the engine of this process. Raises GroundupError `no-cluster`."""
    if data.engine == "local":
        if on_ray():
            raise GroundupError("no-cluster", "this process already works on Ray", "start another process")
        return  # what Daft takes by itself
    fix = "pip install 'groundup[ray]', see that data.ray_address is reached, or set data.engine=local"
    try:
        import ray

        if not ray.is_initialized():
            _knock(data.ray_address)
            # Without an address Ray starts a cluster of this machine's cores, which ends with this process.
            ray.init(data.ray_address, include_dashboard=None, log_to_driver=False, logging_level=logging.ERROR)
        daft.set_runner_ray(noop_if_initialized=True)
    except Exception as error:  # ray raises ImportError, ConnectionError, RuntimeError, ValueError and its own
        what = f"no Ray cluster at {data.ray_address or 'this machine'}: {' '.join(str(error).split())[:300]}"
        raise GroundupError("no-cluster", what, fix) from None


def _knock(address: str | None) -> None:
    """Ray itself tries for minutes to reach a head node that is not there. Raises OSError."""
    host, _, port = (address or "").removeprefix("ray://").rpartition(":")
    if host and port.isdigit():
        socket.create_connection((host.strip("[]"), int(port)), timeout=5).close()


def on_ray() -> bool:
    return daft.get_or_infer_runner_type() == "ray"


def each(work: Callable[[int], Any], tasks: Sequence[int]) -> Iterator[tuple[int, Any]]:
    """(task, what `work` returned for it) as they are done, in no particular order; `work` must be importable.

    Tasks run in processes of their own, since Python's threads would take turns. What they return crosses as JSON.
    Raises the GroundupError or OSError of the first task that failed.
    """
    if len(tasks) == 1 and not on_ray():
        yield tasks[0], work(tasks[0])  # not worth a process
        return
    if not tasks:
        return

    @daft.func(use_process=True)
    def call(task: int) -> str:
        try:
            return json.dumps({"task": task, "value": work(task)})
        except GroundupError as error:
            return json.dumps({"known": [error.code, error.what, error.fix]})
        except OSError as error:
            return json.dumps({"system": [error.errno, error.strerror, error.filename]})
        except Exception:
            return json.dumps({"defect": traceback.format_exc()})

    frame = _spread(daft.from_pydict({"task": list(tasks)}), len(tasks))
    for answer in _answers(frame.select(call(col("task")).alias("answer"))):
        if known := answer.get("known"):
            raise GroundupError(*known)
        if system := answer.get("system"):
            raise OSError(*system)
        if defect := answer.get("defect"):
            raise RuntimeError(defect)
        yield answer["task"], answer["value"]


def _answers(frame: DataFrame) -> Iterator[dict[str, Any]]:
    rows = frame.iter_rows()
    while True:
        try:
            row = next(rows)
        except StopIteration:
            return
        except Exception as error:  # what `work` raises comes as an answer; this is the engine's
            what = f"a process that worked on the text was lost: {' '.join(str(error).split())[-200:]}"
            fix = "give the same command again, it goes on where it was; if memory ran out, close other programs"
            raise GroundupError("worker-lost", what, fix) from None
        yield json.loads(row["answer"])


@contextmanager
def full_disks() -> Iterator[None]:
    """Daft's report of a full disk as the OSError that it is."""
    try:
        yield
    except DaftCoreException as error:
        if f"os error {errno.ENOSPC}" not in str(error):
            raise
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC)) from None


def _spread(frame: DataFrame, parts: int) -> DataFrame:
    """One row a task, so that the engine hands them out one by one."""
    return frame.into_partitions(parts) if on_ray() else frame.into_batches(1)


def cpu_seconds() -> float:
    """Processor time so far, of this process and of those it has waited for. On Ray, the workers' is not in it."""
    now = os.times()
    return now.user + now.system + now.children_user + now.children_system
