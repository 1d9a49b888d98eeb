"""The checkpoints of a run, for people and for programs."""

import time
from typing import Any

from groundup.console import duration
from groundup.science.summary import table
from groundup.store.runs import Run
from groundup.train import checkpoint
from groundup.train.checkpoint import MANIFEST, Checkpoint
from groundup.train.retention import in_use


def listing(run: Run, verify: bool) -> dict[str, Any]:
    """A row for each checkpoint, oldest first. With `verify` every byte is read.

    state: whole (verified), present (files are there and of the right sizes), or damaged. best, last: what the options
    `--checkpoint best` and `last` take, as far as was looked.
    """
    rows, good = [], list[Checkpoint]()
    for path in checkpoint.paths(run):
        found = checkpoint.look(path)
        wrong = found if isinstance(found, str) else checkpoint.problem(path) if verify else None
        if isinstance(found, Checkpoint) and not wrong:
            good.append(found)
        one = found if isinstance(found, Checkpoint) else None
        rows.append(
            {
                "step": one.step if one else None,
                "bytes": sum(file.stat().st_size for file in path.glob("*") if file.is_file()),
                "valid_bpb": one.valid_bpb if one else None,
                "age_s": _age(path / MANIFEST),
                "state": "damaged" if wrong else "whole" if verify else "present",
                "in_use": in_use(path),
                "problem": wrong,
                "path": str(path),
            }
        )
    best = checkpoint.best(good)
    for row in rows:
        row |= {"best": best is not None and row["path"] == str(best.path)}
        row |= {"last": bool(good) and row["path"] == str(good[-1].path)}
    return {"run": run.name, "verified": verify, "checkpoints": rows}


def _age(path: Any) -> float | None:
    try:
        return round(max(0.0, time.time() - path.stat().st_mtime), 1)
    except OSError:
        return None


def lines(facts: dict[str, Any]) -> list[str]:
    if not facts["checkpoints"]:
        return [f"{facts['run']} has no checkpoints"]
    shown = [
        {
            "step": row["step"],
            "MB": row["bytes"] / 1e6,
            "valid bpb": row["valid_bpb"],
            "age": "-" if row["age_s"] is None else duration(row["age_s"]),
            "state": row["state"],
            "": ", ".join(word for word in ("best", "last", "in use") if row[word.replace(" ", "_")]),
        }
        for row in facts["checkpoints"]
    ]
    problems = [row["problem"] for row in facts["checkpoints"] if row["problem"]]
    return [*table(shown), *problems]


def damaged(facts: dict[str, Any]) -> bool:
    return any(row["state"] == "damaged" for row in facts["checkpoints"])
