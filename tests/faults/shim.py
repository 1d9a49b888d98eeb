"""The layer between a process and its C library that fails on command: compiled here, armed in the process."""

import ctypes
import errno
import os
import shutil
import subprocess
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

SOURCE = Path(__file__).with_name("shim.c")
CALLS = {"read": 1, "open": 2, "write": 4, "sync": 8, "rename": 16, "remove": 32, "make": 64, "cut": 128}
CHANGES = ("open", "write", "sync", "rename", "remove", "make", "cut")  # all that leaves a trace on a disk
ACTIONS = ("count", "kill before", "kill after", "kill half", "fail", "short", "delay")


@dataclass(frozen=True)
class Failure:
    """What happens at the `nth` call (from 1) of the classes `calls`, and at every `period`-th after it (0: once).

    A call counts when its path lies below `below` and holds `word`. `argument`: fail: an errno; delay: milliseconds.
    `log`: a file to which every change of a file below is written, as it is done.
    """

    below: str
    action: str = "count"
    nth: int = 1
    period: int = 0
    calls: tuple[str, ...] = CHANGES
    word: str = ""
    argument: int = errno.EIO
    log: str = ""
    clock: tuple[int, int] | None = None  # at which reading of the wall clock it jumps, by how many seconds
    setup: list[Any] = field(default_factory=list)  # [function of sabotage.py, its arguments...]

    def to_json(self) -> dict[str, Any]:
        return asdict(self)


def why_not() -> str | None:
    """Why the layer cannot be had on this machine, in words; None when it can."""
    if os.uname().sysname != "Linux":
        return "needs Linux"
    if not any(map(shutil.which, ("cc", "gcc", "clang"))):
        return "needs a C compiler"
    return None


def build(folder: Path) -> Path:
    """Compile the layer into a folder. Raises CalledProcessError."""
    compiler = next(filter(None, map(shutil.which, ("cc", "gcc", "clang"))))
    library = folder / "shim.so"
    command = [compiler, "-O1", "-Wall", "-Werror", "-shared", "-fPIC", "-o", str(library), str(SOURCE), "-ldl"]
    subprocess.run(command, check=True)
    return library


def arm(failure: dict[str, Any]) -> None:
    """Make this process, which the layer was loaded into, fail so."""
    library = ctypes.CDLL(os.environ["LD_PRELOAD"])
    log = os.open(failure["log"], os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o666) if failure["log"] else -1
    if failure["clock"]:
        at, seconds = failure["clock"]
        library.fault_clock(ctypes.c_long(at), ctypes.c_long(seconds))
    library.fault_arm(
        failure["below"].encode(),
        failure["word"].encode(),
        ctypes.c_uint(sum(CALLS[name] for name in failure["calls"])),
        ctypes.c_long(failure["nth"]),
        ctypes.c_long(failure["period"]),
        ctypes.c_int(ACTIONS.index(failure["action"])),
        ctypes.c_int(failure["argument"]),
        ctypes.c_int(log),
    )


def calls() -> int:
    """How many calls were counted since `arm`."""
    library = ctypes.CDLL(os.environ["LD_PRELOAD"])
    library.fault_calls.restype = ctypes.c_long
    return library.fault_calls()
