"""How fast a device multiplies matrices: what MFU, the share of that which training uses, is counted against."""

import re
import time
from dataclasses import dataclass

import torch

from groundup.train.precision import DTYPES, Device


@dataclass(frozen=True)
class Peak:
    flops: float  # a second, in products of matrices of the training's number format
    source: str  # where the number is from


# Dense TFLOP/s, without sparsity, with sums in fp32: of bf16 and fp16, of fp32 by TF32, of plain fp32. A GPU is the
# first row all of whose words are in the name that the driver gives it. Only models whose numbers public restatements
# of the makers' documents bear out, which were checked instead of these; for others train.measure_peak measures.
KNOWN: tuple[tuple[str, tuple[float, float | None, float], str], ...] = (
    ("H200", (989.4, 494.7, 66.9), "NVIDIA H200 datasheet"),
    ("H100 PCIe", (756, 378, 51.2), "NVIDIA H100 architecture white paper"),
    ("H100", (989.4, 494.7, 66.9), "NVIDIA H100 architecture white paper"),
    ("A100", (312, 156, 19.5), "NVIDIA A100 datasheet"),
    ("L40S", (362, 183, 91.6), "NVIDIA L40S datasheet"),
    ("L4", (121, 60, 30.3), "NVIDIA L4 datasheet"),
    ("A10", (125, 62.5, 31.2), "NVIDIA A10 datasheet"),
    ("V100", (125, None, 15.7), "NVIDIA V100 datasheet"),
    ("T4", (65, None, 8.1), "NVIDIA T4 datasheet"),
)

SECONDS = 0.5  # of measuring
SIDE = {"cpu": 1024, "mps": 4096, "cuda": 8192}  # of the square matrices that are multiplied


def known(device: Device) -> Peak | None:
    """The peak that the maker states for the device; None where it is not in the table."""
    words = set(re.split(r"[ -]", device.name))
    if words & {"MIG", "NVL"}:  # a slice of a GPU, whose name does not say how large; a slower kind
        return None
    for model, (half, tensor, single), source in KNOWN:
        if words >= set(model.split()):
            rate = half if device.precision != "fp32" else tensor if device.tf32 and tensor else single
            return Peak(rate * 1e12, f"{rate:g} TFLOP/s, {source}")
    return None


def measured(device: Device) -> Peak:
    """The best rate of square products in half a second: what can be had, which is less than what makers state."""
    side = SIDE[device.device.type]
    one, other = (torch.randn(side, side, device=device.device, dtype=DTYPES[device.precision]) for _ in range(2))
    best, begin = float("inf"), time.perf_counter()
    for warm in range(1_000_000):
        start = time.perf_counter()
        torch.mm(one, other)
        _wait(device.device)
        now = time.perf_counter()
        if warm:
            best = min(best, now - start)
        if warm and now - begin > SECONDS:
            break
    rate = 2 * side**3 / best
    return Peak(rate, f"{rate / 1e12:.3g} TFLOP/s, measured with products of {side:,} x {side:,}")


def _wait(device: torch.device) -> None:
    if device.type == "cuda":
        torch.cuda.synchronize(device)
    elif device.type == "mps":
        torch.mps.synchronize()
