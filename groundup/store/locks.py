"""Locks: one process at a time for a run or an artifact, and everyone else can say which.

The lock is the operating system's (flock, by filelock), so it ends with its process, however that ends: kill -9 or a
power cut leave nothing to be cleared away. Beside `NAME.lock` lies `NAME.holder.json`: who holds it, on which host and
since when. Its holder touches it every BEAT seconds. That serves where the lock of the operating system does not reach:

- Some network file systems keep locks within one host (Lustre with localflock, NFS with local_lock). A lock that is
  had although the side file names another host is taken only when that file has not been touched for STALE seconds.
- Some file systems have no locks at all. Then the side file is the lock: of a process on this machine the kernel says
  whether it lives, of any other the file's age.

What that cannot know: a process on another host that is stopped for longer than STALE seconds is taken for dead. When
it wakes up it finds another's name in the file and ends. Until then, at most BEAT seconds, both may write.
"""

import errno
import json
import os
import socket
import threading
import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path

from filelock import FileLock, Timeout

from groundup.console import say
from groundup.errors import CODES, GroundupError
from groundup.store.files import read_json, write_atomic

BEAT, STALE = 15.0, 90.0  # seconds; network file systems may show a file's times up to 60 s late (nfs(5), acregmax)
GRACE = 5.0  # seconds in which a child that was just forked off a dead holder lets go of the lock
SETTLE = 1.0  # seconds in which two that begin at once, without locks of the system, see who wrote last
WITHOUT = (errno.ENOSYS, errno.ENOLCK, errno.EOPNOTSUPP, errno.ENOTSUP)  # what flock says where there are no locks


@dataclass(frozen=True)
class Holder:
    """A process. `boot`: of its kernel, `space`: of its process ids, `born`: in ticks since the boot; empty or 0 where
    the system does not tell (not Linux)."""

    host: str
    pid: int
    since: str
    boot: str = ""
    space: str = ""
    born: int = 0
    token: str = ""

    def __str__(self) -> str:
        return f"process {self.pid} on {self.host}, since {self.since}"


def this_process() -> Holder:
    return Holder(
        host=socket.gethostname(),
        pid=os.getpid(),
        since=datetime.now(UTC).isoformat(timespec="seconds"),
        boot=_line(Path("/proc/sys/kernel/random/boot_id")),
        space=_link(Path("/proc/self/ns/pid")),
        born=_born(os.getpid()) or 0,
        token=uuid.uuid4().hex,
    )


def side_file(path: Path) -> Path:
    """Where a lock's holder is named."""
    return path.with_suffix(".holder.json")


def holder(path: Path) -> Holder | None:
    """Who holds a lock, or held it and could not say that it was over; None where nobody is named."""
    try:
        known = Holder(**read_json(side_file(path)))
    except (ValueError, TypeError, OSError):
        return None
    kinds = {"host": str, "pid": int, "since": str, "boot": str, "space": str, "born": int, "token": str}
    return known if all(type(getattr(known, key)) is kind for key, kind in kinds.items()) else None


def busy(path: Path) -> bool:
    """Whether a lock's holder lives, as far as can be told without taking the lock: who asks must not be in the way."""
    other = holder(path)
    if other is None:
        return False
    if _same_processes(other):
        return _lives(other)
    try:
        return time.time() - side_file(path).stat().st_mtime < STALE
    except OSError:
        return False


@contextmanager
def hold(path: Path, work: str, wait: bool = False) -> Iterator[None]:
    """Hold the lock `path` for this process, not for those that it forks. `work`: what the holder does, for messages.

    Raises GroundupError `run-busy` when another process has it; with `wait`, waits for it.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    lock = FileLock(path, blocking=False, fallback_to_soft=False)
    mine, said, start = this_process(), False, time.monotonic()
    while (other := _take(lock, path, mine)) is not None:
        what = f"another process is {work}" + (f": {other}" if other.pid else "")
        gone = other.pid != 0 and _same_processes(other) and not _lives(other)
        if not wait and not (gone and time.monotonic() - start < GRACE):
            fix = "stop what it has started" if gone else "wait for it to end, or stop it"
            if other.host not in (mine.host, ""):
                fix += f"; if it is dead for certain, delete {side_file(path)}"
            raise GroundupError("run-busy", what + (", which has ended, but not its children" if gone else ""), fix)
        if wait and not said:
            say(f"waiting: {what}")
            said = True
        time.sleep(0.1)
    over = threading.Event()
    beat = threading.Thread(target=_beat, args=(path, mine, work, over), name="lock", daemon=True)
    beat.start()
    try:
        yield
    finally:
        if os.getpid() == mine.pid:  # a forked child comes by here, too, and the lock is none of its own
            over.set()
            beat.join()
            named = holder(path)
            if named and named.token == mine.token:
                side_file(path).unlink(missing_ok=True)
            lock.release()


def _take(lock: FileLock, path: Path, mine: Holder) -> Holder | None:
    """Take the lock, or return who has it."""
    system = True
    try:
        lock.acquire()
    except Timeout:
        return holder(path) or Holder("", 0, "")
    except (OSError, NotImplementedError) as error:
        if isinstance(error, OSError) and error.errno not in WITHOUT:
            raise
        system = False
    try:
        other = holder(path)
        if other and _still(other, path, system):
            lock.release()
            return other
        write_atomic(side_file(path), json.dumps(asdict(mine), indent=1) + "\n")
        if not system:
            time.sleep(SETTLE)
            other = holder(path)
            return other if other and other.token != mine.token else None
    except BaseException:
        lock.release()
        raise
    return None


def _still(other: Holder, path: Path, system: bool) -> bool:
    """Whether the named holder is at work; `system`: we have the system's lock all the same."""
    mine = this_process()
    same_kernel = other.boot == mine.boot if other.boot and mine.boot else other.host == mine.host
    if same_kernel and system:
        return False  # the kernel that would know of its lock has given it to us
    if _same_processes(other):
        return _lives(other)
    return _beats(other, path)


def _beats(other: Holder, path: Path) -> bool:
    """Whether a holder that this kernel does not know touches its file. All times are the file system's own."""
    probe = path.with_name(f".{path.name}.{os.getpid()}.now")
    try:
        probe.write_bytes(b"")
        now = probe.stat().st_mtime
        seen = side_file(path).stat().st_mtime
    finally:
        probe.unlink(missing_ok=True)
    left = STALE - (now - seen)
    if left <= 0:
        return False
    say(f"{path.stem} is in the hands of {other}, as was written {max(0.0, now - seen):.0f} s ago; looking for a sign")
    end = time.monotonic() + min(left, STALE)
    while time.monotonic() < end:
        time.sleep(min(1.0, BEAT))
        try:
            if side_file(path).stat().st_mtime != seen:
                return True
        except FileNotFoundError:
            return False  # it has just ended
    return False


def _beat(path: Path, mine: Holder, work: str, over: threading.Event) -> None:
    """Touch the side file until `over`; end this process when the file has come into another's hands."""
    while not over.wait(BEAT):
        try:
            other = holder(path)
            if other is None:
                write_atomic(side_file(path), json.dumps(asdict(mine), indent=1) + "\n")  # somebody cleared away
            elif other.token == mine.token:
                os.utime(side_file(path))
            else:
                what = f"error: this process did not answer for long, and another is {work}: {other} [run-busy]"
                say(f"{what}\n  fix: let that one go on")
                os._exit(CODES["run-busy"].exit_code)  # whatever this one would still write would be in its way
        except OSError:
            continue  # a disk that is gone for a while


def _same_processes(other: Holder) -> bool:
    """Whether the holder's process id means the same here."""
    boot, space = _line(Path("/proc/sys/kernel/random/boot_id")), _link(Path("/proc/self/ns/pid"))
    if not boot:
        return os.name == "posix" and other.host == socket.gethostname()
    return other.boot == boot and other.space == space


def _lives(other: Holder) -> bool:
    """Whether a process of this machine is that one and not a later one of the same number."""
    if _line(Path("/proc/sys/kernel/random/boot_id")):
        return other.born != 0 and _born(other.pid) == other.born
    try:
        os.kill(other.pid, 0)
    except OSError as error:
        return error.errno == errno.EPERM
    return True


def _born(pid: int) -> int | None:
    """When a process started, in clock ticks since the boot; None where it is gone (field 22 of proc_pid_stat(5))."""
    fields = _line(Path(f"/proc/{pid}/stat")).rpartition(")")[2].split()
    return int(fields[19]) if len(fields) > 19 and fields[0] not in "ZX" else None


def _line(path: Path) -> str:
    try:
        return path.read_text(errors="replace").strip()
    except (OSError, ValueError):
        return ""


def _link(path: Path) -> str:
    try:
        return str(path.readlink())
    except OSError:
        return ""
