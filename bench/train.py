"""What training reaches: tokens per second, MFU and peak memory of the Trainer itself, beside a peer. One command:

    python bench/train.py [--rungs 20m 50m 100m] [--families classic modern] [--optimizers adamw muon] [--json]
    python bench/train.py --curve-steps 200 --precisions fp32 bf16 fp16    the same training in each number format
    python bench/train.py --limit 2                                        the same training with 2 GiB, and without

A row times whole updates (forward, backward, clipping, optimizer) after warm-up, on made-up shards. The peer is
transformers' GPT2LMHeadModel of the rung's shape (PyTorch attention, no dropout) in a plain loop: the same number
format, micro-batch, torch.compile, clipping, and fused AdamW. ratio_peer is our tokens per second by its. MFU counts
6 (12 L d^2 + V d) + 12 L d T for each token, against the peak that `mfu_of` names. peak_gb is in units of 10^9 bytes.

The curves are losses of each update in nats per token, with the same weights, data and random numbers at the start.
"""

import argparse
import gc
import json
import sys
import tempfile
import time
from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F

from groundup.model.config import ModelConfig, configure
from groundup.model.size import flops_per_token
from groundup.recipe.load import validate
from groundup.recipe.schema import Recipe
from groundup.store.runs import Run
from groundup.tokens.encoding import Encoding
from groundup.tokens.pack import DOCUMENT
from groundup.train.loop import Trainer
from groundup.train.peak import Peak, known, measured
from groundup.train.precision import Device, choose

TOKENS = {"20m": 131_072, "50m": 131_072, "100m": 65_536}  # in an update: 256 x 512, 128 x 1024, 64 x 1024
TINY = {"layers": 2, "width": 64, "heads": 2, "context": 64}
WARM_UP, LEAST = 5, 5  # updates that do not count, and that do at least


def recipe_of(rung: str, family: str, given: argparse.Namespace, **train: Any) -> Recipe:
    """The recipe of a measurement. `train` says what is particular to it."""
    model = TINY if rung == "tiny" else {"size": rung}
    never = dict.fromkeys(("log_every", "valid_every", "checkpoint_every", "sample_every"), 10**9)
    values = {
        "data": {"sources": {"made-up": {"path": "made-up"}}},
        "tokenizer": {"vocab_size": given.vocab},
        "model": {"family": family, "dropout": given.dropout, **model},
        "train": {
            "steps": given.curve_steps or 10_000,
            "tokens_per_update": given.tokens or TOKENS.get(rung, 2048),
            "micro_batch": given.micro_batch,
            "learning_rate": 1e-3,
            "warmup": 10,
            "device": given.device,
            "compile": given.compile,
            "loss_chunk": given.loss_chunk,
            "activation_checkpointing": given.activation_checkpointing,
            **never,
            **train,
        },
    }
    return validate(values).recipe


def make_up(folder: Path, vocabulary: int, tokens: int = 4_000_000) -> None:
    """A text that can be learnt in part: each token is a multiple of the one before, plus a small surprise."""
    length = 512
    rng = np.random.default_rng(1)
    text = np.zeros((tokens // length, length), np.int64)  # the first column is what ends a document
    for place in range(1, length):
        text[:, place] = (31 * text[:, place - 1] + rng.geometric(0.2, len(text))) % (vocabulary - 2) + 2
    np.save(folder / "made-up.train.00000-000.npy", text.astype(np.uint16).ravel())
    np.save(folder / "made-up.train.00000-000.documents.npy", np.zeros(1, DOCUMENT))


def open_trainer(recipe: Recipe, folder: Path) -> Trainer:
    train, vocabulary = recipe.train, recipe.tokenizer.vocab_size
    sizes = np.full(vocabulary, 4)
    sizes[:2] = 0
    encoding = Encoding(None, 0, sizes)  # type: ignore[arg-type]  # nothing is encoded here
    run = Run(folder / "run")
    run.path.mkdir(exist_ok=True)
    device = choose(train.device, train.precision, train.compile, train.tf32)
    return Trainer(run, recipe, folder, {"made-up": 1.0}, encoding, device)


def forget(device: torch.device) -> None:
    """Give back what an earlier measurement held."""
    gc.collect()
    torch.compiler.reset()
    if device.type == "cuda":
        torch.cuda.empty_cache()
        torch.cuda.reset_peak_memory_stats()


def wait(device: torch.device) -> None:
    if device.type == "cuda":
        torch.cuda.synchronize()


def rate(update: Callable[[], Any], tokens: int, device: torch.device, seconds: float) -> float:
    """Tokens per second of updates of so many tokens."""
    for _ in range(WARM_UP):
        update()
    wait(device)
    start, updates = time.perf_counter(), 0
    while updates < LEAST or time.perf_counter() - start < seconds:
        update()
        updates += 1
        if updates % LEAST == 0:
            wait(device)
    wait(device)
    return updates * tokens / (time.perf_counter() - start)


def peer(config: ModelConfig, micro_batch: int, tokens: int, device: Device) -> Callable[[], None]:
    """An update of transformers' GPT-2 of this shape, as anyone would write it."""
    from transformers import GPT2Config, GPT2LMHeadModel

    shape = GPT2Config(
        vocab_size=config.vocab_size,
        n_positions=config.context,
        n_embd=config.width,
        n_layer=config.layers,
        n_head=config.heads,
        n_inner=4 * config.width,
        resid_pdrop=config.dropout,
        embd_pdrop=config.dropout,
        attn_pdrop=config.dropout,
        bos_token_id=None,
        eos_token_id=None,
        use_cache=False,
        attn_implementation="sdpa",
    )
    model = GPT2LMHeadModel(shape).to(device.device).train()
    fused = device.device.type in ("cpu", "cuda")
    updater = torch.optim.AdamW(model.parameters(), lr=1e-3, betas=(0.9, 0.95), weight_decay=0.1, fused=fused)
    batch = torch.randint(config.vocab_size, (tokens // config.context, config.context + 1), device=device.device)

    def loss(rows: torch.Tensor) -> torch.Tensor:
        logits = model(input_ids=rows[:, :-1]).logits
        return F.cross_entropy(logits.flatten(0, 1).float(), rows[:, 1:].flatten(), reduction="sum")

    forward = torch.compile(loss) if device.compile else loss

    def update() -> None:
        for rows in batch.split(micro_batch):
            with device.autocast():
                total = forward(rows)
            (total / tokens).backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        updater.step()
        updater.zero_grad(set_to_none=True)

    return update


def peak_of(device: Device, measure: bool) -> Peak | None:
    return measured(device) if measure else known(device)


def measure(rung: str, given: argparse.Namespace, folder: Path) -> list[dict[str, Any]]:
    """The rows of a rung, all with one peer."""
    rows: list[dict[str, Any]] = []
    their_rate: float | None = None
    for family in given.families:
        for optimizer in given.optimizers:
            recipe = recipe_of(rung, family, given, optimizer=optimizer, precision=given.precisions[0])
            config, tokens = configure(recipe.model, given.vocab), recipe.train.tokens_per_update
            trainer = open_trainer(recipe, folder)
            device, micro_batch = trainer.device, trainer.gradients.micro_batch
            forget(device.device)
            ours = rate(trainer.update, tokens, device.device, given.seconds)
            peak_gb = torch.cuda.max_memory_allocated() / 1e9 if device.device.type == "cuda" else None
            trainer.feed.close()
            del trainer
            forget(device.device)
            if their_rate is None and not given.skip_peer and find_spec("transformers"):
                theirs = peer(config, micro_batch, tokens, device)
                their_rate = rate(theirs, tokens, device.device, given.seconds)
                del theirs
                forget(device.device)
            peak = peak_of(device, given.measure_peak)
            rows.append(
                {
                    "device": device.name,
                    "rung": rung,
                    "family": family,
                    "optimizer": optimizer,
                    "precision": device.precision,
                    "compile": device.compile,
                    "tokens_per_update": tokens,
                    "micro_batch": micro_batch,
                    "tokens_per_s": ours,
                    "mfu": ours * flops_per_token(config) / peak.flops if peak else None,
                    "mfu_of": peak.source if peak else None,
                    "peak_gb": peak_gb,
                    "peer_tokens_per_s": their_rate,
                    "ratio_peer": ours / their_rate if their_rate else None,
                }
            )
            print(f"{rung} {family} {optimizer}: {ours:,.0f} tokens/s", file=sys.stderr, flush=True)
    return rows


def curve(recipe: Recipe, folder: Path, steps: int) -> dict[str, Any]:
    """Loss of each update in nats per token, and with which micro-batch the first and the last of them ran."""
    trainer = open_trainer(recipe, folder)
    first, losses = trainer.gradients.micro_batch, []
    for _ in range(steps):
        trainer.update()
        losses.append(float(trainer.interval.nats) / trainer.interval.targets)
        trainer.interval = type(trainer.interval)()
    trainer.feed.close()
    device, last = trainer.device.device, trainer.gradients.micro_batch
    del trainer
    peak = torch.cuda.max_memory_allocated() / 1e9 if device.type == "cuda" else None
    forget(device)
    return {"micro_batch": [first, last], "peak_gb": peak, "losses": losses}


def curves(rung: str, given: argparse.Namespace, folder: Path) -> list[dict[str, Any]]:
    """A curve for each family, optimizer and number format."""
    found = []
    for family in given.families:
        for optimizer in given.optimizers:
            for precision in given.precisions:
                recipe = recipe_of(rung, family, given, optimizer=optimizer, precision=precision)
                about = {"rung": rung, "family": family, "optimizer": optimizer, "precision": precision}
                found.append(about | curve(recipe, folder, given.curve_steps))
                first = found[-len(given.precisions) :][0] if precision != given.precisions[0] else found[-1]
                found[-1]["largest_difference"] = apart(first["losses"], found[-1]["losses"])
    return found


def limited(rung: str, given: argparse.Namespace, folder: Path) -> list[dict[str, Any]]:
    """The same training with all memory, and with the limit: it begins with the same micro-batch."""
    found = []
    for family in given.families:
        for optimizer in given.optimizers:
            about = {"rung": rung, "family": family, "optimizer": optimizer}
            how = {"optimizer": optimizer, "precision": given.precisions[0]}
            free = curve(recipe_of(rung, family, given, **how), folder, given.curve_steps)
            how |= {"memory_gib": given.limit, "micro_batch": free["micro_batch"][0]}
            short = curve(recipe_of(rung, family, given, **how), folder, given.curve_steps)
            found.append(about | {"limit_gib": None, "largest_difference": 0.0} | free)
            difference = apart(free["losses"], short["losses"])
            found.append(about | {"limit_gib": given.limit, "largest_difference": difference} | short)
    return found


def apart(one: list[float], other: list[float]) -> float:
    return max(abs(a - b) for a, b in zip(one, other, strict=True))


def table(rows: list[dict[str, Any]]) -> list[str]:
    """The rows as Markdown."""
    keys = [key for key in rows[0] if key not in ("device", "mfu_of", "losses")]
    lines = [f"| {' | '.join(keys)} |", "|---" * len(keys) + "|"]
    for row in rows:
        lines.append(f"| {' | '.join(cell(key, row[key]) for key in keys)} |")
    return lines


def cell(key: str, value: Any) -> str:
    if value is None:
        return "-"
    if key == "mfu":
        return f"{100 * value:.1f} %"
    if key.startswith("largest"):
        return f"{value:.2e}"
    return (
        f"{value:,.2f}"
        if isinstance(value, float) and value < 1000
        else f"{value:,.0f}"
        if isinstance(value, float)
        else str(value)
    )


def curve_lines(found: list[dict[str, Any]]) -> list[str]:
    """Ten points of each curve, side by side."""
    steps = len(found[0]["losses"])
    shown = sorted({round(part * (steps - 1) / 9) for part in range(10)})
    lines = [*table(found), "", "loss at update " + " ".join(f"{step + 1:>9,}" for step in shown)]
    for one in found:
        name = f"{one['rung']} {one['family']} {one.get('precision') or one.get('limit_gib') or ''}"
        lines.append(f"{name:24}" + " ".join(f"{one['losses'][step]:9.5f}" for step in shown))
    return lines


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rungs", nargs="+", default=["20m", "50m", "100m"], choices=["20m", "50m", "100m", "tiny"])
    parser.add_argument("--families", nargs="+", default=["modern"], choices=["classic", "modern"])
    parser.add_argument("--optimizers", nargs="+", default=["adamw"], choices=["adamw", "muon"])
    parser.add_argument("--precisions", nargs="+", default=["auto"], help="the first one is timed, all have a curve")
    parser.add_argument("--device", default="auto")
    parser.add_argument("--tokens", type=int, help=f"per update (default: {TOKENS})")
    parser.add_argument("--micro-batch", type=lambda text: text if text == "auto" else int(text), default="auto")
    parser.add_argument("--vocab", type=int, default=8192)
    parser.add_argument("--dropout", type=float, default=0.0)
    parser.add_argument("--compile", type=lambda text: {"yes": True, "no": False}.get(text, text), default="auto")
    parser.add_argument("--loss-chunk", type=int)
    parser.add_argument("--activation-checkpointing", default="none", choices=["none", "selective", "full"])
    parser.add_argument("--seconds", type=float, default=10.0, help="for each measurement")
    parser.add_argument("--measure-peak", action="store_true", help="MFU against a measured rate of matrix products")
    parser.add_argument("--skip-peer", action="store_true")
    parser.add_argument("--curve-steps", type=int, help="print losses of so many updates instead of speeds")
    parser.add_argument("--limit", type=float, help="GiB of the GPU: the same training with it and without")
    parser.add_argument("--rehearse", action="store_true", help="a tiny shape, to see that everything runs")
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    given = parser.parse_args()
    if given.rehearse:
        given.rungs, given.vocab, given.seconds = ["tiny"], 512, 0.1
    return given


def main() -> None:
    given = arguments()
    facts: dict[str, Any] = {}
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        make_up(folder, given.vocab)
        if given.limit:
            given.curve_steps = given.curve_steps or 20
            facts["limit"] = [one for rung in given.rungs for one in limited(rung, given, folder)]
        elif given.curve_steps:
            facts["curves"] = [one for rung in given.rungs for one in curves(rung, given, folder)]
        else:
            facts["rows"] = [row for rung in given.rungs for row in measure(rung, given, folder)]
    if given.json:
        print(json.dumps(facts))
        return
    if "rows" in facts:
        rows = facts["rows"]
        print("\n".join([*table(rows), "", f"{rows[0]['device']}; MFU of {rows[0]['mfu_of'] or 'no known peak'}"]))
    else:
        print("\n".join(curve_lines(facts.get("limit") or facts["curves"])))


if __name__ == "__main__":
    main()
