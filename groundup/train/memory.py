"""How many sequences go through the model at once: what fits, what pays, and what is left when it did not fit."""

import gc

import torch

from groundup.model.config import ModelConfig
from groundup.model.memory import memory
from groundup.recipe.schema import Train
from groundup.train import parallel
from groundup.train.precision import Device

GIB = 1 << 30
MOST_TOKENS = 1 << 16  # in a pass: by then every product of matrices fills a GPU, and more gains nothing
SHARE = (
    0.8  # of the free memory that is planned with; the allocator and what operations need while they run have the rest
)
CPU_BUDGET = 1_500_000_000  # bytes: larger is hardly faster on a CPU, and a laptop has other things to remember


def limit(gib: float | None, device: torch.device) -> None:
    """Let this process have no more than so many GiB of a CUDA device; None: all of it. Nothing on other devices."""
    if device.type == "cuda":
        total = torch.cuda.get_device_properties(device).total_memory
        torch.cuda.set_per_process_memory_fraction(1.0 if gib is None else min(1.0, gib * GIB / total), device)


def free(gib: float | None, device: torch.device) -> int:
    """Bytes of a CUDA device that this process can still have, of at most so many GiB."""
    held = torch.cuda.memory_allocated(device)
    there = torch.cuda.mem_get_info(device)[0] + torch.cuda.memory_reserved(device) - held
    return int(there if gib is None else min(there, gib * GIB - held))


def micro_batch(train: Train, config: ModelConfig, sequences: int, device: Device) -> int:
    """Sequences in one forward pass: as the recipe says, or for `auto` the largest divisor of the global batch's
    `sequences` that fits by model/memory.py and has no more tokens than pay.

    On CUDA call it when the weights and the data are on the device: what is free then is planned with.
    """
    if train.micro_batch != "auto":
        return min(train.micro_batch, sequences)

    def takes(size: int) -> dict[str, int]:
        how = (train.optimizer, train.activation_checkpointing, train.loss_chunk)
        return memory(config, size, device.precision, device.compile, *how)

    budget = CPU_BUDGET
    if device.device.type == "cuda":
        holders = parallel.world() if train.parallel == "fsdp" else 1
        fixed = takes(1)
        held = (fixed["gradients"] + fixed["optimizer"]) // holders
        budget = int(SHARE * free(train.memory_gib, device.device)) - held

    def fits(size: int) -> bool:
        needed = takes(size)
        return size * config.context <= MOST_TOKENS and needed["activations"] + needed["logits"] <= budget

    return max((size for size in divisors(sequences) if fits(size)), default=1)


def divisors(number: int) -> list[int]:
    return [size for size in range(1, number + 1) if number % size == 0]


def smaller(size: int, sequences: int) -> int | None:
    """The micro-batch to go on with where `size` was too large: half of it, or the next divisor below; None after 1."""
    return max((other for other in divisors(sequences) if other <= size // 2), default=None)


def release(device: torch.device) -> None:
    """Give back what an attempt that ran out of memory has left, once its exception is gone, which holds tensors."""
    gc.collect()
    if device.type == "cuda":
        torch.cuda.empty_cache()
