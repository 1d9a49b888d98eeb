"""What a step of each optimizer costs, beside the forward and backward pass of the update that it ends. One command:

    python bench/optimizer.py [--rungs 20m 50m 100m] [--family modern] [--tokens N] [--json]

For each rung: seconds of forward and backward over one micro-batch, times the micro-batches of an update; and of one
step of AdamW (fused), of Muon as we have it (with AdamW for the rest), and of torch.optim.Muon on the same matrices
(with the same AdamW for the rest). torch.optim.Muon iterates in bf16 everywhere; ours in bf16 on CUDA, else in fp32.

Seconds are medians after warm-up, on CUDA between events on the device's own clock. share is Muon's part of the update
(forward, backward and step, not clipping), share_adamw is AdamW's; ratio_torch is torch.optim.Muon's seconds by ours.
"""

import argparse
import json
from typing import Any

import torch
from stopwatch import seconds

from groundup.model.config import configure
from groundup.model.transformer import Transformer
from groundup.recipe.load import resolve
from groundup.recipe.schema import Train
from groundup.train import optimizer
from groundup.train.gradients import losses
from groundup.train.precision import Device, choose


def copy(weight: torch.Tensor, gradient: torch.Tensor | None) -> torch.Tensor:
    made = weight.detach().clone()
    made.grad = None if gradient is None else gradient.clone()
    return made


def peers(model: Transformer, train: Train) -> list[torch.optim.Optimizer]:
    """torch.optim.Muon on copies of the blocks' matrices, each for itself, and AdamW on copies of the rest."""
    matrices: list[torch.Tensor] = []
    rest: list[torch.Tensor] = []
    for name, weight in model.named_parameters():
        if optimizer.kind(name, weight, model.config) != "matrix":
            rest.append(copy(weight, weight.grad))
            continue
        assert weight.grad is not None
        rows = optimizer.fused_rows(name, weight, model.config)
        matrices += [copy(*pair) for pair in zip(weight.split(rows), weight.grad.split(rows), strict=True)]
    fused = rest[0].device.type in ("cpu", "cuda")
    return [
        torch.optim.Muon(matrices, lr=train.learning_rate, weight_decay=0.1, adjust_lr_fn="match_rms_adamw"),
        torch.optim.AdamW(rest, lr=train.learning_rate, betas=train.betas, fused=fused),
    ]


def measure(rung: str, family: str, device: Device, tokens: int | None, sequences: int) -> dict[str, Any]:
    """One rung's row."""
    recipe = resolve(rung if family == "modern" else f"{rung}-{family}").recipe
    config = configure(recipe.model, recipe.tokenizer.vocab_size)
    torch.manual_seed(0)
    model = Transformer(config).to(device.device)
    batch = torch.randint(config.vocab_size, (sequences, config.context + 1), device=device.device)
    forward = torch.compile(losses) if device.compile else losses

    def forward_backward() -> None:
        with device.autocast():
            total, _ = forward(model, batch[:, :-1], batch[:, 1:], None, None)
        (total / batch[:, 1:].numel()).backward()

    tokens = tokens or recipe.train.tokens_per_update
    passes = seconds(forward_backward, device) * tokens / (sequences * config.context)
    adamw, muon = (
        optimizer.build(model, recipe.train.model_copy(update={"optimizer": name}), device.device)
        for name in ("adamw", "muon")
    )
    theirs = peers(model, recipe.train)
    muon_s, adamw_s = seconds(muon.step, device), seconds(adamw.step, device)
    torch_s = seconds(lambda: [each.step() for each in theirs], device)
    return {
        "device": device.name,
        "rung": rung,
        "family": family,
        "precision": device.precision,
        "tokens": tokens,
        "forward_backward_s": passes,
        "adamw_s": adamw_s,
        "muon_s": muon_s,
        "torch_muon_s": torch_s,
        "share": muon_s / (passes + muon_s),
        "share_adamw": adamw_s / (passes + adamw_s),
        "ratio_torch": torch_s / muon_s,
    }


def table(rows: list[dict[str, Any]]) -> list[str]:
    """The rows as Markdown."""
    head = ["rung", "family", "tokens", "forward + backward ms", "AdamW ms", "share", "Muon ms", "share"]
    head += ["torch.optim.Muon ms", "ratio"]
    lines = [f"| {' | '.join(head)} |", "|---" * len(head) + "|"]
    for row in rows:
        cells = [row["rung"], row["family"], f"{row['tokens']:,}", f"{1e3 * row['forward_backward_s']:,.2f}"]
        cells += [f"{1e3 * row['adamw_s']:.2f}", f"{100 * row['share_adamw']:.1f} %"]
        cells += [f"{1e3 * row['muon_s']:.2f}", f"{100 * row['share']:.1f} %"]
        cells += [f"{1e3 * row['torch_muon_s']:.2f}", f"{row['ratio_torch']:.2f}"]
        lines.append(f"| {' | '.join(cells)} |")
    return [*lines, "", f"{rows[0]['device']}, {rows[0]['precision']}"]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rungs", nargs="+", default=["20m", "50m", "100m"], choices=["20m", "50m", "100m"])
    parser.add_argument("--family", default="modern", choices=["modern", "classic"])
    parser.add_argument("--tokens", type=int, help="tokens per update (default: those of the rung's preset)")
    parser.add_argument("--sequences", type=int, help="sequences of a micro-batch (default: 64 on CUDA, else 1)")
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    given = parser.parse_args()
    device = choose("auto")
    sequences = given.sequences or (64 if device.device.type == "cuda" else 1)
    rows = [measure(rung, given.family, device, given.tokens, sequences) for rung in given.rungs]
    print(json.dumps({"rows": rows}) if given.json else "\n".join(table(rows)))


if __name__ == "__main__":
    main()
