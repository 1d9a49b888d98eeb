"""What would stop a run later, looked for before its first step: room on the disk and in memory, permission to write,
the clock, a GPU that this build of torch has kernels for, sequences that divide.

Every artifact was verified when it was opened, or was made by this command; nothing is hashed here a second time. So
it takes no time to speak of. What stops a run is an error with a code; what may matter is a line of warning.
"""

import os
import re
import shutil
import time
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import torch

from groundup.console import say
from groundup.errors import GroundupError
from groundup.model.config import ModelConfig
from groundup.model.memory import memory
from groundup.model.size import parameters
from groundup.recipe.schema import Recipe, Train
from groundup.train.memory import GIB, free
from groundup.train.precision import Device

ROW, SAMPLE_BYTES = 1500, 8  # bytes of a row of metrics.jsonl, and of a sampled token's text, rather more than less
PAGE = 1_000_000  # bytes of report.html, evaluations and the rest
OLDEST = datetime(2020, 1, 1, tzinfo=UTC).timestamp()  # before torch 2: a clock that says so was never set
SLACK = 60.0  # seconds by which the clocks of a file system's server and of this machine may differ


@dataclass
class Needs:
    """What a run takes of disk, device and host, in bytes by part, and what there is; None: not known."""

    disk: dict[str, int]
    disk_free: int
    device_parts: dict[str, int]
    device_free: int | None
    host: int
    host_free: int | None
    warnings: list[str] = field(default_factory=list)

    def to_json(self) -> dict[str, Any]:
        return dict(vars(self))


def check(
    path: Path,
    lab: Path,
    recipe: Recipe,
    config: ModelConfig,
    device: Device,
    world: int = 1,
    made: dict[str, int] | None = None,
) -> Needs:
    """Look whether a recipe's run at `path` can be trained to its end by `world` processes; says its warnings.

    made: bytes of what is still to be downloaded and made for it, by part.

    Raises GroundupError `disk-too-small`, `memory-too-small`, `not-writable`, `no-device`, `recipe-conflict`.
    """
    needs = Needs(
        (made or {}) | disk_needed(recipe, config, path),
        shutil.disk_usage(_nearest(path)).free,
        device_memory(recipe.train, config, device, world),
        free(recipe.train.memory_gib, device.device) if device.device.type == "cuda" else None,
        *host_memory(recipe, config, device),
    )
    needs.warnings += [*sequences_of(recipe.train, config, world), *clock(lab)]
    refuse_gpu(device)
    writable(path)
    judge(needs)
    for warning in needs.warnings:
        say(f"warning: {warning}")
    return needs


def checkpoint_bytes(config: ModelConfig, train: Train) -> int:
    """Bytes of one checkpoint: weights, the optimizer's state and the average, all fp32."""
    total = sum(parameters(config).values())
    return 4 * total * (2 if train.ema else 1) + memory(config, 1, "fp32", False, train.optimizer)["optimizer"]


def disk_needed(recipe: Recipe, config: ModelConfig, path: Path) -> dict[str, int]:
    """Bytes that the run will still write, by part: the checkpoints that are kept, one that is being written before an
    older one goes, and the logs. What an earlier attempt has written is there already."""
    train, sample = recipe.train, recipe.sample
    rows = train.steps // train.log_every + 10 * (
        train.steps // train.valid_every + train.steps // train.checkpoint_every
    )
    texts = (train.steps // train.sample_every + 2) * len(sample.prompts) * sample.max_tokens * SAMPLE_BYTES
    kept = train.keep + 2  # the newest ones, the best, and the one that is being written
    needed = {"checkpoints": kept * checkpoint_bytes(config, train), "logs": rows * ROW + texts, "pages": PAGE}
    written = sum(file.stat().st_size for file in path.glob("checkpoints/step-*/*") if file.is_file())
    return needed | {"checkpoints": max(checkpoint_bytes(config, train), needed["checkpoints"] - written)}


def device_memory(train: Train, config: ModelConfig, device: Device, world: int = 1) -> dict[str, int]:
    """Bytes on the device by part, for the smallest micro-batch: training halves it down to that before it gives up."""
    how = (train.optimizer, train.activation_checkpointing, train.loss_chunk)
    parts = memory(config, 1, device.precision, device.compile, *how)
    if train.parallel == "fsdp":
        parts |= {name: parts[name] // world for name in ("weights", "gradients", "optimizer")}
    return parts


def host_memory(recipe: Recipe, config: ModelConfig, device: Device) -> tuple[int, int | None]:
    """(bytes of main memory needed, bytes that this machine or its container still has, None where it does not tell).

    On a CPU that is what training takes, for each process of this machine; elsewhere, a checkpoint on its way to disk.
    """
    processes = int(os.environ.get("LOCAL_WORLD_SIZE", 1))
    if device.device.type == "cpu":
        return processes * sum(device_memory(recipe.train, config, device).values()), host_free()
    return checkpoint_bytes(config, recipe.train), host_free()


def host_free() -> int | None:
    """Bytes of main memory to be had: Linux's estimate, or what a control group leaves of it (proc(5), cgroups(7))."""
    known = re.search(r"MemAvailable:\s+(\d+) kB", _text(Path("/proc/meminfo")))
    amounts = [1024 * int(known[1])] if known else []
    most, now = (_text(Path("/sys/fs/cgroup") / name).strip() for name in ("memory.max", "memory.current"))
    if most.isdigit() and now.isdigit():
        inactive = re.search(r"^inactive_file (\d+)", _text(Path("/sys/fs/cgroup/memory.stat")), re.MULTILINE)
        amounts.append(int(most) - int(now) + (int(inactive[1]) if inactive else 0))  # the cache makes way
    return max(0, min(amounts)) if amounts else None


def judge(needs: Needs) -> None:
    """Raise GroundupError `disk-too-small` or `memory-too-small` where needs are larger than what there is."""
    disk = sum(needs.disk.values())
    if disk > needs.disk_free:
        parts = ", ".join(f"{name} {size / 1e6:,.0f}" for name, size in needs.disk.items())
        what = f"the run needs {disk / 1e6:,.0f} MB of disk ({parts}), and {needs.disk_free / 1e6:,.0f} MB are free"
        raise GroundupError("disk-too-small", what, "make room, choose another --lab, or a smaller train.keep")
    places = [
        ("the device", sum(needs.device_parts.values()), needs.device_free),
        ("main memory", needs.host, needs.host_free),
    ]
    for place, takes, there in places:
        if there is not None and takes > there:
            what = f"the run needs {takes / GIB:.1f} GiB of {place}, and {there / GIB:.1f} GiB are free"
            fix = "a smaller model, train.activation_checkpointing=full, train.loss_chunk=2048; or end what else runs"
            raise GroundupError("memory-too-small", what, fix)
        if there is not None and takes > 0.8 * there:
            needs.warnings.append(f"the run takes {takes / GIB:.1f} of the {there / GIB:.1f} GiB that {place} has left")


def writable(path: Path) -> None:
    """Write and sync a file where the run will lie, and take it away again: a mode or a mount flag does not tell all.

    Raises GroundupError `not-writable`; OSError when the disk is full.
    """
    probe = path / f".preflight-{os.getpid()}"
    try:
        path.mkdir(parents=True, exist_ok=True)
        try:
            with probe.open("wb") as file:
                file.write(b"x" * 4096)
                file.flush()
                os.fsync(file.fileno())
        finally:
            probe.unlink(missing_ok=True)
    except PermissionError as error:
        what = f"{path} cannot be written to: {error.strerror}"
        raise GroundupError("not-writable", what, "check its owner and mode, or choose another --lab") from None


def clock(lab: Path) -> list[str]:
    """What is odd about the clock. A warning, since nothing that is computed depends on it: only dates in records, the
    order of `groundup ls`, which run `last` is, and whether a server's certificate counts as valid."""
    now = time.time()
    if now < OLDEST:
        return [f"the clock says {_date(now)}: dates of runs and the order of `groundup ls` will be wrong; set it"]
    files = [*lab.glob("artifacts/*/manifest.json"), *lab.glob("runs/*/*.json*")]
    newest = max((file.stat().st_mtime for file in files), default=now)
    if newest - now > SLACK:
        return [f"the clock says {_date(now)}, and the lab holds files of {_date(newest)}: `last` may be another run"]
    return []


def sequences_of(train: Train, config: ModelConfig, world: int) -> list[str]:
    """A warning where a micro-batch does not divide an update. Raises GroundupError `recipe-conflict`."""
    sequences = train.tokens_per_update // config.context
    if sequences % world:
        what = f"{sequences} sequences of an update do not divide among {world} processes"
        raise GroundupError("recipe-conflict", what, "another train.tokens_per_update, or other processes")
    size, mine = train.micro_batch, sequences // world
    if size == "auto" or mine % size == 0 or size > mine:
        return []
    near = max(other for other in range(1, size) if mine % other == 0) if size > 1 else 1
    last = f"the last pass of each update has {mine % size} sequences, which is slower"
    return [f"train.micro_batch = {size} does not divide the {mine} sequences of an update: {last}; {near} does"]


def refuse_gpu(device: Device) -> None:
    """Raise GroundupError `no-device` for a CUDA device that this build of torch has no kernels for."""
    if device.device.type != "cuda":
        return
    capability = torch.cuda.get_device_capability(device.device)
    if not has_kernels(capability, torch.cuda.get_arch_list()):
        version = ".".join(map(str, capability))
        what = f"torch {torch.__version__} has no kernels for {device.name} (compute capability {version})"
        raise GroundupError("no-device", what, "install a build of torch for it (pytorch.org), or train.device=cpu")


def has_kernels(capability: tuple[int, int], built_for: list[str]) -> bool:
    """Whether code built for such architectures (sm_90, compute_90) runs on a device: binaries within one major
    version from their minor version up, PTX from its version up (CUDA C++ Programming Guide, "Binary" and "PTX
    Compatibility")."""
    for name in built_for:
        kind, _, digits = name.partition("_")
        number = re.match(r"(\d+)(\d)", digits)
        if not number:
            continue
        major, minor = int(number[1]), int(number[2])
        if kind == "sm" and digits[-1] in "af":  # for this architecture, or its family, alone
            if major == capability[0]:
                return True
        elif (kind == "sm" and major == capability[0] and minor <= capability[1]) or (
            kind == "compute" and (major, minor) <= capability
        ):
            return True
    return not built_for  # a build that does not tell


def _nearest(path: Path) -> Path:
    return next(parent for parent in (path, *path.absolute().parents) if parent.exists())


def _date(seconds: float) -> str:
    return datetime.fromtimestamp(seconds, UTC).isoformat(sep=" ", timespec="minutes")


def _text(path: Path) -> str:
    try:
        return path.read_text()
    except OSError:
        return ""
