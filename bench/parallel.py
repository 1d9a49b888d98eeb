"""What more GPUs bring: tokens per second of training with 1 process and with N, one GPU each. One command:

    python bench/parallel.py [--rungs 100m] [--processes 2] [--parallel ddp fsdp] [--json]

The whole of a training step is measured, by `train.loop.Trainer` on made-up shards: the stream, forward, backward,
exchange of gradients, clipping and the optimizer. It needs no text, no network and no Daft. Two questions:

strong: the same global batch, `--sequences` of the rung's context, divided among the processes.
weak: the same batch for each GPU, so that N processes train on N times as many.

efficiency is the rate of N processes by N times that of 1. For each number of processes the steps are timed in rounds
on a machine that is warm, between synchronisations of the device, and the median round counts.
"""

import argparse
import json
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np

TINY = ["model.layers=1", "model.width=64", "model.heads=2", "model.context=64"]
VOCABULARY, TOKENS = 8192, 20_000_000
CONTEXT = {"20m": 512, "50m": 1024, "100m": 1024}
SEQUENCES = {"20m": 256, "50m": 128, "100m": 64}


def made_up(folder: Path) -> None:
    """Shards of random tokens, all in the type that packing writes."""
    from groundup.tokens.pack import DOCUMENT

    tokens = np.random.default_rng(0).integers(2, VOCABULARY, TOKENS, dtype=np.uint16)
    np.save(folder / "text.train.00000-000.npy", tokens)
    np.save(folder / "text.train.00000-000.documents.npy", np.zeros(1, DOCUMENT))


# -- one of the processes ---------------------------------------------------------------------------------------------


def work(task: dict[str, Any]) -> None:
    """Time the task's steps together with the other processes; the leading one writes what came out."""
    import torch

    from groundup.recipe.load import resolve
    from groundup.store.runs import Run
    from groundup.train import parallel
    from groundup.train.loop import Trainer
    from groundup.train.precision import choose

    recipe = resolve(task["preset"], task["overrides"]).recipe
    with parallel.job(recipe.train.device):
        device = choose(recipe.train.device, recipe.train.precision, recipe.train.compile)
        encoding: Any = SimpleNamespace(vocab_size=VOCABULARY, token_bytes=np.full(VOCABULARY, 4), end=0)
        folder = Path(task["folder"])
        trainer = Trainer(Run(folder / "run"), recipe, folder, {"text": 1.0}, encoding, device)
        rates = []
        for number in range(1 + task["rounds"]):  # the first one compiles
            _wait(device.device)
            start = time.perf_counter()
            for _ in range(task["steps"]):
                trainer.update()
                parallel.agree(False, False, False)  # as the loop does
            _wait(device.device)
            if number:
                rates.append(task["steps"] * recipe.train.tokens_per_update / (time.perf_counter() - start))
        memory = torch.cuda.max_memory_allocated() / 1e9 if device.device.type == "cuda" else None
        if parallel.leads():
            facts = {"device": device.name, "precision": device.precision, "torch": torch.__version__}
            facts |= {
                "micro_batch": trainer.gradients.micro_batch,
                "loss": float(trainer.interval.nats) / trainer.interval.targets,
            }
            facts |= {"tokens_per_s": statistics.median(rates), "rates": rates, "peak_gb": memory}
            Path(task["answer"]).write_text(json.dumps(facts))
        trainer.feed.close()


def _wait(device: Any) -> None:
    import torch

    from groundup.train import parallel

    if device.type == "cuda":
        torch.cuda.synchronize()
    parallel.agree(False)


# -- all of them ------------------------------------------------------------------------------------------------------


def measure(
    rung: str, sequences: int, processes: int, how: str, given: argparse.Namespace, folder: Path
) -> dict[str, Any]:
    """What one number of processes manages, with `sequences` in the global batch."""
    from groundup.train.launch import launch

    answer = folder / "answer.json"
    answer.unlink(missing_ok=True)
    overrides = [
        f"train.tokens_per_update={sequences * CONTEXT[rung]}",
        f"train.optimizer={given.optimizer}",
        f"train.parallel={how}",
        f"train.device={given.device}",
        "model.dropout=0",
        "train.steps=100000",
        *([f"train.micro_batch={given.micro_batch}"] if given.micro_batch else []),
        *given.set,
    ]
    preset = rung if given.family == "modern" else f"{rung}-{given.family}"
    task = {"preset": preset, "overrides": overrides, "folder": str(folder), "answer": str(answer)}
    task |= {"steps": given.steps, "rounds": given.rounds}
    command = [sys.executable, __file__, "--task", json.dumps(task)]
    code = launch(command, processes) if processes > 1 else subprocess.run(command).returncode
    if code or not answer.exists():
        raise SystemExit(f"bench/parallel.py: {processes} processes ended with code {code}")
    return json.loads(answer.read_text())


def rows_of(rung: str, given: argparse.Namespace, folder: Path) -> list[dict[str, Any]]:
    sequences = given.sequences or SEQUENCES[rung]
    many = given.processes
    alone = measure(rung, sequences, 1, "auto", given, folder)
    rows = [alone | {"scaling": "", "parallel": "", "processes": 1, "sequences": sequences, "efficiency": 1.0}]
    for how in given.parallel:
        for scaling, total in (("strong", sequences), ("weak", sequences * many)):
            found = measure(rung, total, many, how, given, folder)
            efficiency = found["tokens_per_s"] / (many * alone["tokens_per_s"])
            about = {"scaling": scaling, "parallel": how, "processes": many, "sequences": total}
            rows.append(found | about | {"efficiency": efficiency})
    about = {"rung": rung, "family": given.family, "optimizer": given.optimizer, "context": CONTEXT[rung]}
    return [about | row for row in rows]


def table(rows: list[dict[str, Any]]) -> list[str]:
    """The rows as Markdown."""
    head = ["rung", "family", "optimizer", "processes", "scaling", "sequences", "tokens/s", "efficiency", "peak GB"]
    lines = [f"| {' | '.join(head)} |", "|---" * len(head) + "|"]
    for row in rows:
        memory = "" if row["peak_gb"] is None else f"{row['peak_gb']:.1f}"
        cells = [row["rung"], row["family"], row["optimizer"], f"{row['processes']} {row['parallel']}".strip()]
        cells += [
            row["scaling"],
            str(row["sequences"]),
            f"{row['tokens_per_s']:,.0f}",
            f"{row['efficiency']:.3f}",
            memory,
        ]
        lines.append(f"| {' | '.join(cells)} |")
    return [*lines, "", f"{rows[0]['device']}, {rows[0]['precision']}, torch {rows[0]['torch']}"]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rungs", nargs="+", default=["100m"], choices=["20m", "50m", "100m"])
    parser.add_argument("--family", default="modern", choices=["modern", "classic"])
    parser.add_argument("--optimizer", default="adamw", choices=["adamw", "muon"])
    parser.add_argument("--processes", type=int, help="how many (default: one for each GPU, else 2)")
    parser.add_argument("--parallel", nargs="+", default=["ddp"], choices=["ddp", "fsdp"])
    parser.add_argument("--sequences", type=int, help="in the global batch (default: 65,536 to 131,072 tokens of them)")
    parser.add_argument(
        "--micro-batch", type=int, help="sequences in one forward pass (default: as many as should fit)"
    )
    parser.add_argument("--steps", type=int, default=20, help="updates in a round")
    parser.add_argument("--rounds", type=int, default=5, help="rounds that are timed")
    parser.add_argument("--device", default="auto", choices=["auto", "cpu", "cuda"])
    parser.add_argument("--set", nargs="*", default=[], help="more of the recipe, each as key.sub=value")
    parser.add_argument("--rehearse", action="store_true", help="a tiny shape, to see that everything runs")
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    parser.add_argument("--task", help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.task:
        work(json.loads(given.task))
        return
    if given.processes is None:
        import torch

        given.processes = max(2, torch.cuda.device_count())
    if given.rehearse:
        given.rungs, given.sequences, given.steps, given.rounds = ["20m"], 4, 1, 1
        given.set = [*TINY, *given.set]
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        made_up(folder)
        rows = [row for rung in given.rungs for row in rows_of(rung, given, folder)]
    print(json.dumps({"rows": rows}) if given.json else "\n".join(table(rows)))


if __name__ == "__main__":
    main()
