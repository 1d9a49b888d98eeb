"""Tasks of lm-eval on a checkpoint: its data, its prompts and its metrics, our model."""

import errno
import json
import sys
from collections.abc import Iterator
from contextlib import contextmanager, redirect_stdout
from importlib.metadata import version
from pathlib import Path
from typing import Any

import yaml

from groundup.console import say
from groundup.errors import GroundupError
from groundup.science.evaluation_record import Judged
from groundup.store.files import digest, write_json

RESAMPLES = 100  # for the metrics whose error has no formula; with 0 lm-eval leaves out the errors that have one, too
FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)


def run_tasks(judged: Judged, names: list[str], limit: int | None = None) -> list[dict[str, Any]]:
    """The results of tasks by lm-eval's names, or of a task's yaml file; each is written to the run's evaluations/.

    Always done anew, since lm-eval's data have no hash by which they could be known to be the same.
    Raises GroundupError `missing-extra`, `no-such-file`, `unknown-task`, `bad-task`; OSError where the disk is full.
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
    with _explained(named):
        manager = TaskManager(include_path=sorted({str(path.parent) for path in files.values()}) or None)
    if unknown := [name for name in named if name not in manager.all_tasks]:
        raise GroundupError("unknown-task", f"lm-eval has no task {unknown[0]!r}", "`lm-eval ls tasks` lists them")
    model = GroundupLM(judged.model, judged.encoding, judged.device)
    with _explained(named):
        done = simple_evaluate(model=model, tasks=named, task_manager=manager, limit=limit, bootstrap_iters=RESAMPLES)
    return [_write(judged, name, done) for name in named]


@contextmanager
def _explained(names: list[str]) -> Iterator[None]:
    """While lm-eval loads or judges tasks: its lines go to stderr, and whatever a task raises becomes `bad-task`.

    A task brings templates, code, packages and data of its own, so its errors can be of any class.
    """
    try:
        with redirect_stdout(sys.stderr):
            yield
    except GroundupError:
        raise
    except Exception as error:
        if full := _full_disk(error):
            raise full from None
        what = f"lm-eval could not run {', '.join(names)}: {type(error).__name__}: {' '.join(str(error).split())[:300]}"
        raise GroundupError("bad-task", what, "check the task's file, data and packages, and the network") from None


def _full_disk(error: BaseException | None) -> OSError | None:
    """What says that the disk is full, in an error or in those that it came from: datasets wraps what it meets."""
    while error is not None:
        if isinstance(error, OSError) and error.errno in FULL:
            return error
        error = error.__cause__ or error.__context__
    return None


def _name_in(path: Path) -> str:
    """The task's name in its yaml file, which may hold tags of lm-eval's."""
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise GroundupError("no-such-file", f"{path} cannot be read: {error}", "check the path") from None
    for line in lines:
        if line.startswith("task:") and isinstance(name := _value(line), str):
            return name
    raise GroundupError("bad-task", f"{path} names no task", "a line such as `task: mine`")


def _value(line: str) -> Any:
    """The value in a line of yaml, None where it cannot be read alone."""
    try:
        return next(iter(yaml.safe_load(line).values()))
    except (yaml.YAMLError, AttributeError):
        return None


def _plain(value: Any) -> Any:
    """A value as JSON can hold it: None for numbers that are not finite, words for what JSON has nothing for."""
    return json.loads(json.dumps(value, default=str), parse_constant=lambda _: None)


def _write(judged: Judged, name: str, done: dict[str, Any]) -> dict[str, Any]:
    own = sorted({name, *done.get("group_subtasks", {}).get(name, [])} & done["results"].keys())
    results = [{"task": key, **values} for key, values in _plain({key: done["results"][key] for key in own}).items()]
    record = {
        "run": judged.run.name,
        "checkpoint": judged.checkpoint.path.name,
        "step": judged.checkpoint.step,
        "task": {"name": name, "version": done["versions"].get(name), "by": f"lm-eval {version('lm_eval')}"},
        "context": judged.model.config.context,
        "precision": judged.device.precision,
        "results": results,
        "n": {key: value for key, value in done.get("n-samples", {}).items() if key in own},
        "settings": _plain({key: done["configs"].get(key) for key in own}),
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
