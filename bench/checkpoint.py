"""What checkpoints cost training, written while it waits and while it goes on, beside torch.save. One command:

    python bench/checkpoint.py [--rungs 20m 50m 100m] [--optimizer adamw] [--every 500] [--seconds 20] [--json]

For each rung the Trainer's own updates are timed without saving. Then it saves several times in each way, with updates
between the saves as in a run. blocked_s is the time in which the training thread could not go on; lost_s also counts
what the updates until the save's end took longer than without it, a GPU's copies and a CPU's other work among them.
share is lost_s by the time of `--every` updates. The first save, which makes room for the copy, is blocked_first_s.
write_s is the time until the checkpoint has its name, each byte hashed and on the disk. The peer is torch.save of
the same tensors, with the same fsync, and torch.load; it makes no hashes. Ours reads as resuming does: verified, then
loaded. Medians; units of 10^6 bytes.
"""

import argparse
import json
import os
import statistics
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import torch
from train import TINY, TOKENS, forget, make_up, open_trainer, recipe_of, wait

from groundup.train import checkpoint
from groundup.train.keeping import save
from groundup.train.loop import Trainer
from groundup.train.saver import Saver

SAVES = 5  # after the first


def update_seconds(trainer: Trainer, seconds: float) -> float:
    """Median time of an update, each waited for."""
    device = trainer.device.device
    for _ in range(3):
        trainer.update()
    taken: list[float] = []
    while sum(taken) < seconds or len(taken) < 3:
        wait(device)
        start = time.perf_counter()
        trainer.update()
        wait(device)
        taken.append(time.perf_counter() - start)
    return statistics.median(taken)


def saves(trainer: Trainer, background: bool, plain: float) -> dict[str, float]:
    """Save `SAVES` times after the first, with updates until each is done."""
    device = trainer.device.device
    trainer.saver = Saver(trainer.run, 1, background)
    blocked, lost, whole = [], [], []
    for _ in range(1 + SAVES):
        trainer.update()
        wait(device)
        start = time.perf_counter()
        save(trainer, wait=not background)
        returned = time.perf_counter()
        updates = 0
        while trainer.saver.pending:
            trainer.update()
            wait(device)
            updates += 1
            trainer.saver.poll()
        blocked.append(returned - start)
        lost.append(time.perf_counter() - start - updates * plain)
        whole.append([event for event in trainer.run.events() if event["event"] == "checkpoint"][-1]["seconds"])
    return {
        "blocked_first_s": blocked[0],
        "blocked_s": statistics.median(blocked[1:]),
        "lost_s": max(0.0, statistics.median(lost[1:])),
        "write_s": statistics.median(whole[1:]),
    }


def tensors_of(trainer: Trainer) -> dict[str, torch.Tensor]:
    state = {
        f"{name}/{key}": torch.as_tensor(value)
        for name, weight in trainer.model.named_parameters()
        for key, value in trainer.optimizer.state[weight].items()
    }
    return {**trainer.model.state_dict(), **state}


def peer(trainer: Trainer, folder: Path) -> tuple[float, float]:
    """Seconds of torch.save and of torch.load of the same tensors."""
    path, written, read = folder / "peer.pt", [], []
    for _ in range(SAVES):
        start = time.perf_counter()
        with path.open("wb") as file:
            torch.save(tensors_of(trainer), file)
            file.flush()
            os.fsync(file.fileno())
        written.append(time.perf_counter() - start)
        start = time.perf_counter()
        torch.load(path, map_location=trainer.device.device, weights_only=True)
        wait(trainer.device.device)
        read.append(time.perf_counter() - start)
        path.unlink()
    return statistics.median(written), statistics.median(read)


def load_seconds(trainer: Trainer) -> float:
    """Seconds to verify and load the newest checkpoint, onto the device."""
    taken = []
    for _ in range(SAVES):
        start = time.perf_counter()
        saved, _ = checkpoint.newest(trainer.run)
        assert saved
        checkpoint.load_weights(saved, trainer.model)
        for tensor in checkpoint.load_optimizer(saved).values():
            tensor.to(trainer.device.device)
        wait(trainer.device.device)
        taken.append(time.perf_counter() - start)
    return statistics.median(taken)


def measure(rung: str, given: argparse.Namespace, folder: Path) -> list[dict[str, Any]]:
    """Two rows: training waits for the save, and goes on."""
    recipe = recipe_of(rung, "modern", given, optimizer=given.optimizer)
    trainer = open_trainer(recipe, folder)
    plain = update_seconds(trainer, given.seconds)
    size = sum(tensor.nbytes for tensor in tensors_of(trainer).values())
    rows = []
    for background in (False, True):
        cost = saves(trainer, background, plain)
        rows.append({"way": "in the background" if background else "at once", **cost})
        print(f"{rung}: {rows[-1]}", file=sys.stderr, flush=True)
    load = load_seconds(trainer)
    peer_save, peer_load = peer(trainer, folder)
    about = {"device": trainer.device.name, "rung": rung, "optimizer": given.optimizer, "mb": size / 1e6}
    about |= {"update_s": plain, "every": given.every}
    trainer.feed.close()
    device = trainer.device.device
    del trainer
    forget(device)
    return [
        about
        | row
        | {
            "share": row["lost_s"] / (given.every * plain),
            "mb_per_s": size / 1e6 / row["write_s"],
            "load_s": load,
            "peer_save_s": peer_save,
            "peer_load_s": peer_load,
            "ratio_peer": peer_save / row["blocked_s"],
        }
        for row in rows
    ]


def table(rows: list[dict[str, Any]]) -> list[str]:
    """The rows as Markdown."""
    head = ["rung", "way", "MB", "update ms", "blocked ms (first)", "lost ms", "share", "written s", "MB/s"]
    head += ["verified, loaded s", "torch.save s", "torch.load s", "torch.save / blocked"]
    lines = [f"| {' | '.join(head)} |", "|---" * len(head) + "|"]
    for row in rows:
        cells = [row["rung"], row["way"], f"{row['mb']:,.0f}", f"{1e3 * row['update_s']:,.1f}"]
        cells += [f"{1e3 * row['blocked_s']:,.1f} ({1e3 * row['blocked_first_s']:,.1f})", f"{1e3 * row['lost_s']:,.1f}"]
        cells += [f"{100 * row['share']:.3f} %", f"{row['write_s']:.2f}", f"{row['mb_per_s']:,.0f}"]
        cells += [f"{row['load_s']:.2f}", f"{row['peer_save_s']:.2f}", f"{row['peer_load_s']:.2f}"]
        cells += [f"{row['ratio_peer']:.1f}"]
        lines.append(f"| {' | '.join(cells)} |")
    first = rows[0]
    return [*lines, "", f"{first['device']}; {first['optimizer']}; share of {first['every']} updates' time"]


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rungs", nargs="+", default=["20m", "50m", "100m"], choices=["20m", "50m", "100m", "tiny"])
    parser.add_argument("--optimizer", default="adamw", choices=["adamw", "muon"])
    parser.add_argument("--every", type=int, default=500, help="updates between two checkpoints")
    parser.add_argument("--seconds", type=float, default=10.0, help="of updates without saving")
    parser.add_argument("--tokens", type=int, help=f"per update (default: {TOKENS})")
    parser.add_argument("--device", default="auto")
    parser.add_argument("--folder", type=Path, help="where to write (default: the system's temporary directory)")
    parser.add_argument("--rehearse", action="store_true", help=f"a tiny shape ({TINY}), to see that everything runs")
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    given = parser.parse_args()
    given.micro_batch, given.vocab, given.dropout, given.compile = "auto", 8192, 0.0, "auto"
    given.loss_chunk, given.activation_checkpointing, given.curve_steps = None, "none", None
    if given.rehearse:
        given.rungs, given.vocab, given.seconds = ["tiny"], 512, 0.1
    return given


def main() -> None:
    given = arguments()
    with tempfile.TemporaryDirectory(dir=given.folder) as name:
        make_up(Path(name), given.vocab)
        rows = [row for rung in given.rungs for row in measure(rung, given, Path(name))]
    print(json.dumps({"rows": rows}) if given.json else "\n".join(table(rows)))


if __name__ == "__main__":
    main()
