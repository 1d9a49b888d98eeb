"""Tasks of lm-eval on a checkpoint: its data, its prompts and its metrics, our model."""

import json
from importlib.metadata import version
from pathlib import Path
from typing import Any

import yaml

from groundup.console import say
from groundup.errors import GroundupError
from groundup.science.evaluation_record import Judged
from groundup.store.files import digest, write_json


def run_tasks(judged: Judged, names: list[str], limit: int | None = None) -> list[dict[str, Any]]:
    """The results of tasks by lm-eval's names, or of a task's yaml file; each is written to the run's evaluations/.

    Always done anew, since lm-eval's data have no hash by which they could be known to be the same.
    Raises GroundupError `missing-extra`, `unknown-task`, `bad-task`.
    """
    try:
        from lm_eval import simple_evaluate
        from lm_eval.tasks import TaskManager

        from groundup.evaluate.lm_eval_adapter import GroundupLM
    except ImportError as error:
        what = f"lm-eval cannot be loaded ({error})"
        raise GroundupError("missing-extra", what, "pip install 'groundup[eval]'") from None
    files = {name: Path(name) for name in names if name.endswith((".yaml", ".yml"))}
    named = [_name_in(files[name]) if name in files else name for name in names]
    manager = TaskManager(include_path=sorted({str(path.parent) for path in files.values()}) or None)
    if unknown := [name for name in named if name not in manager.all_tasks]:
        raise GroundupError("unknown-task", f"lm-eval has no task {unknown[0]!r}", "`lm-eval ls tasks` lists them")
    model = GroundupLM(judged.model, judged.encoding, judged.device)
    try:
        done = simple_evaluate(model=model, tasks=named, task_manager=manager, limit=limit, bootstrap_iters=0)
    except (OSError, ValueError, KeyError) as error:  # data that cannot be fetched, or do not fit the task
        what = f"lm-eval could not run {', '.join(named)}: {' '.join(str(error).split())[:300]}"
        raise GroundupError("bad-task", what, "check the task's data and the network") from None
    return [_write(judged, name, done) for name in named]


def _name_in(path: Path) -> str:
    """The task's name in its yaml file, which may hold tags of lm-eval's."""
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise GroundupError("no-such-file", f"{path} cannot be read: {error}", "check the path") from None
    for line in lines:
        if line.startswith("task:") and isinstance(name := yaml.safe_load(line)["task"], str):
            return name
    raise GroundupError("bad-task", f"{path} names no task", "a line such as `task: mine`")


def _write(judged: Judged, name: str, done: dict[str, Any]) -> dict[str, Any]:
    own = sorted({name, *done.get("group_subtasks", {}).get(name, [])} & done["results"].keys())
    plain = json.loads(json.dumps({key: done["results"][key] for key in own}, default=str).replace("NaN", "null"))
    results = [{"task": key, **values} for key, values in plain.items()]
    record = {
        "run": judged.run.name,
        "checkpoint": judged.checkpoint.path.name,
        "step": judged.checkpoint.step,
        "task": {"name": name, "version": done["versions"].get(name), "by": f"lm-eval {version('lm_eval')}"},
        "context": judged.model.config.context,
        "precision": judged.device.precision,
        "results": results,
        "n": {key: value for key, value in done.get("n-samples", {}).items() if key in own},
        "settings": json.loads(json.dumps({key: done["configs"].get(key) for key in own}, default=str)),
        "trained_on": None,
        "depends_on": judged.identity(),
        "depends_on_sha256": digest(judged.identity()),
    }
    folder = judged.run.path / "evaluations"
    folder.mkdir(exist_ok=True)
    write_json(folder / f"{judged.checkpoint.path.name}.lm-eval-{name}.json", record)
    for row in results:
        say(f"lm-eval {row['task']}: " + ", ".join(f"{key}={value}" for key, value in row.items() if "," in key))
    return record
