"""Commands that are made to fail: started from the nursery, waited for, and judged by what they leave."""

import contextlib
import itertools
import json
import os
import select
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import shim
from shim import Failure

HERE = Path(__file__).parent
ROOT = HERE.parents[1]
PATIENCE = 120.0  # seconds for what takes one; a command that has not ended by then hangs


@dataclass(frozen=True)
class Ended:
    """How a command ended. code: its exit code, -N when signal N killed it, None when it hung and was killed."""

    code: int | None
    out: str
    err: str
    calls: int  # that the layer counted; 0 where it was killed

    @property
    def error(self) -> str | None:
        """The code of the groundup error that it ended with."""
        _, found, tail = self.err.rpartition("\n  more: groundup explain ")
        return tail.split()[0] if found else None

    @property
    def words(self) -> str:
        if self.code is None:
            return "hung"
        if self.code < 0:
            return signal.Signals(-self.code).name
        if "Traceback (most recent call last)" in self.err:
            return f"traceback ({self.err.strip().splitlines()[-1][:160]})"
        return f"exit {self.code}" + (f" {self.error}" if self.error else "")


class Machine:
    """One nursery and its children."""

    def __init__(self, folder: Path, library: Path | None) -> None:
        self.folder, self.number = folder, itertools.count()
        folder.mkdir(parents=True, exist_ok=True)
        inherited = os.environ.get("PYTHONPATH", "")
        environment = os.environ | {
            "PYTHONPATH": os.pathsep.join(filter(None, [str(ROOT), str(HERE), inherited])),
            "OMP_NUM_THREADS": "1",
            "OMP_WAIT_POLICY": "passive",
            "PYTHONDONTWRITEBYTECODE": "1",
        }
        if library:
            environment["LD_PRELOAD"] = str(library)
        self.sabotage: list[list[Any]] = []  # what is broken on purpose in every child
        self.process = subprocess.Popen(
            [sys.executable, str(HERE / "nursery.py")],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            env=environment,
        )
        self._answer()

    def _answer(self) -> dict[str, Any]:
        assert self.process.stdout
        line = self.process.stdout.readline()
        if not line:
            raise RuntimeError("the nursery has ended")
        return json.loads(line)

    def _ask(self, request: dict[str, Any]) -> None:
        assert self.process.stdin
        self.process.stdin.write(json.dumps(request) + "\n")
        self.process.stdin.flush()

    def start(
        self,
        *arguments: object,
        failure: Failure | None = None,
        user: int | None = None,
        environment: dict[str, str] | None = None,
        file_size: int | None = None,
    ) -> "Child":
        """Start a groundup command."""
        stem = self.folder / f"{next(self.number):05}"
        request = {
            "arguments": [str(argument) for argument in arguments],
            "failure": failure.to_json() if failure else None,
            "sabotage": self.sabotage,
            "user": user,
            "file_size": file_size,
            "environment": environment or {},
            **{name: f"{stem}.{name}" for name in ("out", "err", "count")},
        }
        self._ask(request)
        return Child(self, self._answer()["pid"], stem)

    def go(self, *arguments: object, **options: Any) -> Ended:
        """A groundup command, to its end."""
        return self.start(*arguments, **options).wait()

    def close(self) -> None:
        assert self.process.stdin
        with contextlib.suppress(OSError):
            self.process.stdin.close()
        self.process.wait()


@dataclass
class Child:
    machine: Machine
    pid: int
    stem: Path

    def kill(self, number: int = signal.SIGKILL) -> None:
        with contextlib.suppress(ProcessLookupError):
            os.kill(self.pid, number)

    def has_said(self, words: str, patience: float = PATIENCE) -> bool:
        """Wait until the command has written these words to stderr, or has ended; False when it has not."""
        end, err = time.monotonic() + patience, self.stem.with_suffix(".err")
        while (
            time.monotonic() < end and Path(f"/proc/{self.pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
        ):
            if err.exists() and words in err.read_text(errors="replace"):
                return True
            time.sleep(0.002)
        return False

    def wait(self, patience: float = PATIENCE) -> Ended:
        self.machine._ask({"wait": self.pid})
        ready, _, _ = select.select([self.machine.process.stdout], [], [], patience)
        if not ready:
            self.kill()
        code: int | None = os.waitstatus_to_exitcode(self.machine._answer()["status"])
        with contextlib.suppress(ProcessLookupError, PermissionError):  # what it has started itself
            os.killpg(self.pid, signal.SIGKILL)
        out, err, count = (_read(self.stem.with_suffix(f".{name}")) for name in ("out", "err", "count"))
        return Ended(code if ready else None, out, err, int(count or 0))


def _read(path: Path) -> str:
    if not path.exists():
        return ""
    text = path.read_text(errors="replace")
    path.unlink()
    return text


def quick_folder() -> Path:
    """A temporary folder in memory where there is one: what is tested is the order of calls, not the disk."""
    memory = Path("/dev/shm")
    roomy = os.access(memory, os.W_OK) and shutil.disk_usage(memory).free > 1 << 30  # containers often have 64 MB there
    return Path(tempfile.mkdtemp(prefix="faults-", dir=memory if roomy else None))


def machine(folder: Path) -> Machine:
    """A machine with the layer, where that can be had."""
    return Machine(folder / "commands", None if shim.why_not() else shim.build(folder))
