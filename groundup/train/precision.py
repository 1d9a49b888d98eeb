"""Where and in which number format a model is trained."""

import os
import sys
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass

import torch

from groundup.console import say
from groundup.errors import GroundupError

DTYPES = {"fp32": torch.float32, "bf16": torch.bfloat16, "fp16": torch.float16}


@dataclass(frozen=True)
class Device:
    device: torch.device
    precision: str  # fp32 | bf16 | fp16: of the matrix products; weights and optimizer stay fp32
    compile: bool
    tf32: bool = True  # whether CUDA may make in TF32 the products that are left in fp32

    @property
    def name(self) -> str:
        if self.device.type == "cuda":
            return torch.cuda.get_device_name(self.device)
        return f"{torch.get_num_threads()} CPU threads" if self.device.type == "cpu" else self.device.type

    def autocast(self) -> AbstractContextManager:
        if self.precision == "fp32":
            return nullcontext()
        return torch.autocast(self.device.type, DTYPES[self.precision])

    def scaler(self) -> torch.amp.GradScaler:
        """Scales the loss so that small fp16 gradients do not vanish; passes everything through otherwise."""
        return torch.amp.GradScaler(self.device.type, enabled=self.precision == "fp16")


def choose(
    device: str, precision: str = "auto", compile: bool | str = "auto", tf32: bool = True, deterministic: bool = False
) -> Device:
    """Resolve `auto`, and set for the whole process whether CUDA uses TF32 and only operations of a fixed order.

    Raises GroundupError `no-device` for what the machine does not have.
    """
    have = {"cpu": True, "cuda": torch.cuda.is_available(), "mps": torch.backends.mps.is_available()}
    if device == "auto":
        device = next(kind for kind in ("cuda", "mps", "cpu") if have[kind])
    if not have.get(device):
        there = ", ".join(kind for kind in have if have[kind])
        what = f"this machine has no device {device!r}" if device in have else f"there is no kind of device {device!r}"
        raise GroundupError("no-device", what, f"train.device=auto in a recipe, or --device: auto, {there}")
    if precision == "auto":
        precision = "fp32"
        if device == "cuda":
            precision = "bf16" if torch.cuda.is_bf16_supported(including_emulation=False) else "fp16"
    if precision == "fp16" and device == "cpu":
        raise GroundupError("no-device", "train.precision = fp16 needs a GPU", "train.precision=fp32 or bf16")
    if precision == "bf16" and device == "cpu" and not cpu_has_bf16():
        say("warning: this CPU has no arithmetic for bf16: train.precision = fp32 is faster here")
    if device == "cuda":
        torch.backends.cuda.matmul.allow_tf32 = torch.backends.cudnn.allow_tf32 = tf32
    fix_order(deterministic and device == "cuda")
    return Device(torch.device(device), precision, device == "cuda" if compile == "auto" else bool(compile), tf32)


def fix_order(fixed: bool) -> None:
    """Let this process use only operations that give the same bits each time, or any.

    cuBLAS needs workspaces of its own for that, which it looks up when it is first used (PyTorch's notes,
    "Reproducibility"). The compiler must not choose among kernels by timing them, since they add in other orders.
    """
    if fixed:
        os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")
        torch.utils.deterministic.fill_uninitialized_memory = False  # type: ignore[attr-defined]  # it finds errors
    torch.use_deterministic_algorithms(fixed)
    torch.backends.cudnn.deterministic = fixed
    torch.backends.cudnn.benchmark = False
    if "torch._inductor.config" in sys.modules or fixed:
        from torch._inductor import config

        if hasattr(config, "deterministic"):
            config.deterministic = fixed


def cpu_has_bf16() -> bool:
    """Whether the CPU multiplies in bf16 (AVX-512 BF16, AMX, ARM's BF16); True where PyTorch cannot tell."""
    tell = getattr(torch.cpu, "get_capabilities", None)
    return tell is None or any(has for name, has in tell().items() if "bf16" in name)
