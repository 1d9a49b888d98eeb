"""Several processes for a test, on this machine's cores: forked from one that has loaded everything once."""

import multiprocessing
import os
import socket
from collections.abc import Callable
from typing import Any

WAIT = 200.0  # seconds; then they hang


def together(world: int, work: Callable[..., None], *inputs: Any) -> None:
    """Run work(*inputs), a function of a module, in so many processes that have met, to a good end."""
    codes, errors = endings(world, work, *inputs)
    assert codes == [0] * world, errors


def endings(world: int, work: Callable[..., None], *inputs: Any) -> tuple[list[int], list[str]]:
    """The same for whatever end: the exit codes, and the errors that a person would see."""
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["groundup.train.loop", "groundup.science.pipeline", "torch.distributed.fsdp"])
    said = context.SimpleQueue()
    with socket.create_server(("127.0.0.1", 0), backlog=world) as listener:
        port = listener.getsockname()[1]
        started = [
            context.Process(target=_enter, args=(rank, world, port, None if rank else listener, said, work, inputs))
            for rank in range(world)
        ]
        for process in started:
            process.start()
    for process in started:
        process.join(WAIT)
    hanging = [process for process in started if process.is_alive()]
    for process in hanging:
        process.kill()
        process.join()
    assert not hanging, f"{len(hanging)} of {world} processes hung"
    errors = []
    while not said.empty():
        errors.append(said.get())
    return [process.exitcode or 0 for process in started], errors


def _enter(
    rank: int,
    world: int,
    port: int,
    listener: socket.socket | None,
    said: Any,
    work: Callable[..., None],
    inputs: tuple[Any, ...],
) -> None:
    import torch

    from groundup.errors import GroundupError
    from groundup.processes import LISTENER
    from groundup.train import parallel

    place = {"RANK": rank, "LOCAL_RANK": rank, "WORLD_SIZE": world, "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": port}
    os.environ.update({name: str(value) for name, value in place.items()})
    if listener:
        os.environ[LISTENER] = str(listener.detach())
    torch.set_num_threads(1)
    try:
        with parallel.job("cpu"):
            work(*inputs)
    except GroundupError as error:
        said.put(f"process {rank}: {error}")
        raise SystemExit(error.exit_code) from None
