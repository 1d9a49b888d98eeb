"""Head and cross-entropy by chunks of tokens: what it costs and saves at the rungs' sizes. One command:

    python bench/loss.py [--rungs 20m 50m 100m] [--tokens N] [--chunks 2048 8192 32768] [--json]

For each rung's width and vocabulary: seconds and peak memory of logits, losses and gradients, forward and backward,
from hidden states of one micro-batch. plain: all logits at once; chunked: model/chunked_loss.py; each uncompiled and
compiled. Peers, where they are there: torch.nn.functional.linear_cross_entropy with its own chunks (torch 2.13), and
liger-kernel (on CUDA, `pip install liger-kernel`).

Seconds are medians after warm-up, on CUDA between events on the device's own clock. MB are 10^6 bytes above what was
held before. ratio is the seconds of plain, compiled on CUDA and uncompiled on a CPU, by those of the row: above 1 is
faster.
"""

import argparse
import itertools
import json
from collections.abc import Callable
from importlib.util import find_spec
from typing import Any

import torch
import torch.nn.functional as F
from stopwatch import seconds
from torch import Tensor
from torch.profiler import ProfilerActivity, profile

from groundup.model.chunked_loss import chunked_losses
from groundup.model.config import configure
from groundup.model.loss import token_losses
from groundup.recipe.load import resolve
from groundup.train.precision import Device, choose

Loss = Callable[[Tensor, Tensor, Tensor], Tensor]


def plain(hidden: Tensor, head: Tensor, targets: Tensor) -> Tensor:
    return token_losses(F.linear(hidden, head), targets).sum()


def chunked(chunk: int) -> Loss:
    return lambda hidden, head, targets: chunked_losses(hidden, head, targets, chunk)[0]


def of_torch(hidden: Tensor, head: Tensor, targets: Tensor) -> Tensor:
    weight = head.to(hidden.dtype)
    options = torch.nn.LinearCrossEntropyOptions()
    return F.linear_cross_entropy(hidden.flatten(0, 1), weight, targets.flatten(), reduction="sum", options=options)


def of_liger(hidden: Tensor, head: Tensor, targets: Tensor) -> Tensor:
    from liger_kernel.transformers import LigerFusedLinearCrossEntropyLoss

    made = LigerFusedLinearCrossEntropyLoss(reduction="sum")
    return made(head.to(hidden.dtype), hidden.flatten(0, 1), targets.flatten())


def ways(chunks: list[int], device: Device) -> dict[str, Loss]:
    found: dict[str, Loss] = {"plain": plain, "plain, compiled": torch.compile(plain)}
    for chunk in chunks:
        found[f"chunked, {chunk:,}"] = chunked(chunk)
        found[f"chunked, {chunk:,}, compiled"] = torch.compile(chunked(chunk))
    if hasattr(F, "linear_cross_entropy"):
        found["torch's chunked"] = of_torch
    if device.device.type == "cuda" and find_spec("liger_kernel"):
        found["liger-kernel"] = of_liger
    return found


def peak_mb(call: Callable[[], Any], device: Device) -> float:
    """Most memory of tensors of a call, above what was held before it."""
    if device.device.type == "cuda":
        before = torch.cuda.memory_allocated()
        torch.cuda.reset_peak_memory_stats()
        call()
        torch.cuda.synchronize()
        return (torch.cuda.max_memory_allocated() - before) / 1e6
    with profile(activities=[ProfilerActivity.CPU], profile_memory=True) as profiler:
        call()
    assert profiler.profiler and profiler.profiler.kineto_results
    events = sorted(profiler.profiler.kineto_results.events(), key=lambda event: event.start_ns())
    return max(itertools.accumulate(event.nbytes() for event in events if event.name() == "[memory]")) / 1e6


def measure(rung: str, tokens: int, chunks: list[int], device: Device) -> list[dict[str, Any]]:
    """One rung's rows."""
    recipe = resolve(rung).recipe
    config = configure(recipe.model, recipe.tokenizer.vocab_size)
    torch.manual_seed(0)
    dtype = torch.bfloat16 if device.precision == "bf16" else torch.float32  # as the last norm gives it
    hidden = torch.randn(tokens // config.context, config.context, config.width, device=device.device, dtype=dtype)
    head = torch.randn(config.vocab_size, config.width, device=device.device) * 0.02
    targets = torch.randint(config.vocab_size, hidden.shape[:2], device=device.device)
    hidden.requires_grad_()
    head.requires_grad_()

    rows: list[dict[str, Any]] = []
    for name, loss in ways(chunks, device).items():

        def call(loss: Loss = loss) -> None:
            hidden.grad = head.grad = None
            with device.autocast():
                total = loss(hidden, head, targets)
            (total / targets.numel()).backward()

        took = seconds(call, device)
        hidden.grad = head.grad = None
        rows.append({"way": name, "seconds": took, "peak_mb": peak_mb(call, device)})
    base = rows[1 if device.device.type == "cuda" else 0]["seconds"]
    about = {"device": device.name, "precision": device.precision, "rung": rung, "tokens": targets.numel()}
    return [about | row | {"ratio": base / row["seconds"]} for row in rows]


def table(rows: list[dict[str, Any]]) -> list[str]:
    """The rows as Markdown."""
    lines = ["| rung | tokens | way | ms | peak MB | ratio |", "|---" * 6 + "|"]
    for row in rows:
        cells = [row["rung"], f"{row['tokens']:,}", row["way"], f"{1e3 * row['seconds']:,.2f}"]
        lines.append(f"| {' | '.join(cells)} | {row['peak_mb']:,.0f} | {row['ratio']:.2f} |")
    return [*lines, "", f"{rows[0]['device']}, {rows[0]['precision']}"]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rungs", nargs="+", default=["20m", "50m", "100m"], choices=["20m", "50m", "100m"])
    parser.add_argument("--tokens", type=int, help="of a micro-batch (default: 65,536 on CUDA, else 4,096)")
    parser.add_argument("--chunks", nargs="+", type=int, help="default: 2,048 8,192 32,768 on CUDA, else 512")
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    given = parser.parse_args()
    device = choose("auto")
    cuda = device.device.type == "cuda"
    tokens = given.tokens or (65_536 if cuda else 4096)
    chunks = given.chunks or ([2048, 8192, 32_768] if cuda else [512])
    rows = [row for rung in given.rungs for row in measure(rung, tokens, chunks, device)]
    print(json.dumps({"rows": rows}) if given.json else "\n".join(table(rows)))


if __name__ == "__main__":
    main()
