"""Whether there is memory for what is to be written, before it is begun."""

from pathlib import Path

import torch

from groundup.errors import GroundupError
from groundup.generate.decoder import cache_bytes
from groundup.model.config import ModelConfig
from groundup.recipe.schema import Sample
from groundup.train import memory
from groundup.train.precision import Device

GIB = 2**30
OF_A_TOKEN, OF_AN_ALTERNATIVE = 100, 250  # bytes of Python objects for a token that was drawn, and for a likely one
OF_A_LOGIT = 48  # logits, their copy in fp64, sums, and what sorting takes


def needed(config: ModelConfig, options: Sample, texts: int, longest: int, item: int, top: int | None) -> int:
    """Bytes that writing takes beside the weights, about: cache, activations of the longest prompt, draws, results.

    texts: how many are written in all; longest: tokens of the longest prompt; item: bytes of a number of the cache.
    """
    c = config
    rows, length = min(texts, options.batch), min(c.context, longest + options.max_tokens)
    reading = rows * min(longest, c.context) * (4 * c.width + 3 * c.feed_forward) * 4
    results = (
        texts
        * options.max_tokens
        * (OF_A_TOKEN + (0 if top is None else (min(top, c.vocab_size) + 1) * OF_AN_ALTERNATIVE))
    )
    return cache_bytes(c, rows, length, item) + reading + rows * c.vocab_size * OF_A_LOGIT + results


def check(config: ModelConfig, options: Sample, texts: int, longest: int, device: Device, top: int | None) -> None:
    """Raise GroundupError `sample-too-large` where that is more than the memory that is free."""
    item = 4 if device.precision == "fp32" else 2
    need, have = needed(config, options, texts, longest, item, top), free(device.device)
    if have is not None and need > have:
        length = min(config.context, longest + options.max_tokens)
        raise GroundupError(
            "sample-too-large",
            f"{texts:,} texts of up to {options.max_tokens:,} tokens, {min(texts, options.batch):,} side by side with "
            f"{length:,} tokens in view, need about {need / GIB:,.1f} GiB, and {have / GIB:,.1f} GiB are free",
            "fewer --samples, a smaller --batch or smaller --max-tokens",
        )


def free(device: torch.device) -> int | None:
    """Bytes that can be had without swapping, None where the system does not say."""
    if device.type == "cuda":
        return memory.free(None, device)
    found = [_available(Path("/proc/meminfo")), _left_of_limit(Path("/sys/fs/cgroup"))]
    known = [size for size in found if size is not None]
    return min(known) if known else None


def _available(meminfo: Path) -> int | None:
    """Linux's estimate of what new work can have, in kB there."""
    try:
        lines = dict(line.split(":", 1) for line in meminfo.read_text().splitlines())
        return int(lines["MemAvailable"].split()[0]) * 1024
    except (OSError, KeyError, ValueError):
        return None


def _left_of_limit(group: Path) -> int | None:
    """What a container's limit leaves (cgroup v2), None without one. Cached files can be given back."""
    try:
        limit, used = int((group / "memory.max").read_text()), int((group / "memory.current").read_text())
        cached = dict(line.split() for line in (group / "memory.stat").read_text().splitlines())["inactive_file"]
        return limit - used + int(cached)
    except (OSError, KeyError, ValueError):
        return None
