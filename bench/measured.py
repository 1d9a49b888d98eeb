"""What a command costs: wall seconds, processor seconds and the peak memory of all its processes together."""

import os
import resource
import subprocess
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

INTERVAL = 0.1  # seconds between looks at the processes
PROC = Path("/proc")
TICKS, PAGE = os.sysconf("SC_CLK_TCK"), os.sysconf("SC_PAGE_SIZE")


@dataclass(frozen=True)
class Cost:
    """Memory is the largest sum of the processes' proportional set sizes (Pss: what is shared is counted once), looked
    at every 0.1 s, in units of 10^6 bytes; None where the system does not tell (it is Linux that does).

    Processor time is user and system, as the system sums it up over processes that were waited for, or as it was last
    seen of every process, whichever is more.
    """

    wall_s: float
    cpu_s: float
    peak_mb: float | None


def measure(command: list[str], errors: Path | None = None) -> tuple[str, Cost]:
    """Run a command to its end; returns what it printed and its cost. Its stderr is shown, or goes to a file.

    Raises subprocess.CalledProcessError if it fails.
    """
    before = _waited()
    seen: dict[tuple[int, int], float] = {}
    peak = 0
    with tempfile.TemporaryFile() as printed, errors.open("wb") if errors else os.fdopen(os.dup(2), "wb") as stderr:
        start = time.monotonic()
        process = subprocess.Popen(command, stdout=printed, stderr=stderr, start_new_session=True)
        while process.poll() is None:
            tree = _processes(process.pid)
            seen |= {(pid, born): cpu for pid, (born, cpu) in tree.items()}
            if sum(map(_resident, tree)) > peak:  # which is never less, and costs next to nothing to look at
                peak = max(peak, sum(map(_proportional, tree)))
            time.sleep(INTERVAL)
        wall = time.monotonic() - start
        printed.seek(0)
        output = printed.read().decode()
    if process.returncode:
        raise subprocess.CalledProcessError(process.returncode, command, output)
    cpu = max(_waited() - before, sum(seen.values()))
    return output, Cost(wall, cpu, peak / 1e6 if peak else None)


def _waited() -> float:
    usage = resource.getrusage(resource.RUSAGE_CHILDREN)
    return usage.ru_utime + usage.ru_stime


def _processes(root: int) -> dict[int, tuple[int, float]]:
    """Start time and processor seconds of a process, of those descended from it, and of those in its session."""
    found: dict[int, tuple[int, int, int, float]] = {}
    for path in PROC.glob("[0-9]*/stat"):
        try:
            fields = path.read_text().rpartition(")")[2].split()
        except OSError:  # it has ended
            continue
        parent, session, user, system, born = (int(fields[place]) for place in (1, 3, 11, 12, 19))
        found[int(path.parent.name)] = parent, session, born, (user + system) / TICKS
    tree: set[int] = set()
    more = {root} | {pid for pid, (_, session, *_) in found.items() if session == root}
    while more:
        tree |= more
        more = {pid for pid, (parent, *_) in found.items() if parent in tree} - tree
    return {pid: found[pid][2:] for pid in tree if pid in found}


def _resident(pid: int) -> int:
    """Resident set size in bytes: what is shared counts in full."""
    try:
        return int((PROC / str(pid) / "statm").read_text().split()[1]) * PAGE
    except OSError:
        return 0


def _proportional(pid: int) -> int:
    """Proportional set size in bytes. The system takes 16 ms for each 10^9 bytes to add it up."""
    try:
        lines = (PROC / str(pid) / "smaps_rollup").read_text().splitlines()
    except OSError:
        return 0
    return next((int(line.split()[1]) * 1024 for line in lines if line.startswith("Pss:")), 0)
