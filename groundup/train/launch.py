"""Several processes of one command on this machine, as torchrun starts them, but with the command's own exit code."""

import os
import signal
import socket
import subprocess
import time
from types import FrameType

from groundup.console import say
from groundup.errors import ENVIRONMENT, INTERRUPTED
from groundup.processes import LISTENER, stop_signals

LOOK = 0.05  # seconds between looks at the processes
GRACE = 10.0  # seconds that the others have to end by themselves after one has failed


def launch(command: list[str], processes: int) -> int:
    """Run `command` in so many processes to its end, and return their exit code: 0, or that of the first that failed.

    Each is told its place (RANK, WORLD_SIZE, LOCAL_RANK) and where to meet (MASTER_ADDR, MASTER_PORT); the first one
    inherits the socket that listens there. Signals that ask to stop are handed on to all; a process that was not yet
    able to hear one counts as interrupted. When one fails, the others have `GRACE` seconds; one that another signal
    killed counts as an error of the environment.
    """
    threads = max(1, (os.cpu_count() or 1) // processes)
    listener = socket.create_server(("127.0.0.1", 0), backlog=processes)
    shared = {
        "WORLD_SIZE": str(processes),
        "LOCAL_WORLD_SIZE": str(processes),
        "MASTER_ADDR": "127.0.0.1",
        "MASTER_PORT": str(listener.getsockname()[1]),
        "TORCH_CPP_LOG_LEVEL": os.environ.get("TORCH_CPP_LOG_LEVEL", "ERROR"),  # no stack traces of a closed connection
        "OMP_NUM_THREADS": os.environ.get("OMP_NUM_THREADS", str(threads)),
    }
    children: list[subprocess.Popen] = []
    asked: set[int] = set()

    def hand_on(number: int, frame: FrameType | None) -> None:
        asked.add(number)
        for child in children:
            if child.poll() is None:
                child.send_signal(number)

    before = {number: signal.signal(number, hand_on) for number in stop_signals()}
    try:
        for rank in range(processes):
            place = {"RANK": str(rank), "LOCAL_RANK": str(rank)}
            inherited = [listener.fileno()] if rank == 0 else []
            if inherited:
                place[LISTENER] = str(listener.fileno())
            # A session of their own, else Ctrl-C in a terminal would reach them twice.
            children.append(
                subprocess.Popen(command, env=os.environ | shared | place, start_new_session=True, pass_fds=inherited)
            )
            if asked:  # it came while there were fewer
                children[-1].send_signal(min(asked))
        listener.close()  # else the others could still connect when the first one is gone
        return _watch(children, asked)
    finally:
        listener.close()
        _kill(children)
        for number, handler in before.items():
            signal.signal(number, handler)


def _watch(children: list[subprocess.Popen], asked: set[int]) -> int:
    failed, deadline = 0, float("inf")
    while any(child.poll() is None for child in children):
        if not failed:
            failed = _first_failure(children, asked)
            deadline = time.monotonic() + GRACE if failed else deadline
        if time.monotonic() > deadline:
            _kill(children)
        time.sleep(LOOK)
    return failed or _first_failure(children, asked)


def _first_failure(children: list[subprocess.Popen], asked: set[int]) -> int:
    for rank, child in enumerate(children):
        code = child.poll()
        if code:
            if -code in asked:
                return INTERRUPTED
            if code < 0:
                say(f"process {rank} of {len(children)} was ended by {signal.Signals(-code).name}")
            return code if code > 0 else ENVIRONMENT
    return 0


def _kill(children: list[subprocess.Popen]) -> None:
    for child in children:
        if child.poll() is None:
            child.kill()
        child.wait()
