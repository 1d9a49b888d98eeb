"""Tasks by name or from a file: their items, and the hashes that say exactly which they are."""

import difflib
from dataclasses import dataclass
from functools import cache
from importlib.resources import files as resource
from pathlib import Path
from typing import Any

import yaml

from groundup.data.download import Corpus, fetch
from groundup.data.sources import expand
from groundup.errors import GroundupError
from groundup.evaluate import suites
from groundup.evaluate.choice import Item
from groundup.evaluate.formats import item_of
from groundup.evaluate.items import read_task, rows
from groundup.evaluate.suites import Suite
from groundup.store.files import digest, sha256

OURS = ("wikitext", "held-out", "generation")  # what records of evaluations are called besides


@dataclass(frozen=True)
class Task:
    name: str
    version: int
    kind: str
    """choice, or cloze: a continuation that is to be guessed."""
    reading: str
    """Which reading of the log-probabilities is the headline: none, token or byte."""
    items: list[Item]
    about: dict[str, Any]
    """What identifies it: files with their hashes, and how rows became text."""

    @property
    def sha256(self) -> str:
        return digest([self.version, self.reading, self.about])


@cache
def known() -> dict[str, Any]:
    """tasks.yaml."""
    return yaml.safe_load((resource("groundup.evaluate") / "tasks.yaml").read_text(encoding="utf-8"))


def of_suite(suite: Suite) -> Task:
    """A suite's items as a task: parts are phenomena, and whether neighbouring words can tell (local) or not."""
    items = [
        Item(
            one.id,
            tuple((one.context, option) for option in one.options),
            one.gold,
            {"phenomenon": one.phenomenon, "reach": suite.reach[one.phenomenon]},
            unit=one.id[:-1],  # that of its twins (suites.twins)
        )
        for one in suite.items
    ]
    about = {"files": [[suite.name, suite.sha256]], "reach": suite.reach}
    return Task(suite.name, suite.version, "choice", "none", items, about)


def open_task(given: str, mirror: str | None, downloads: Path) -> Task:
    """The task behind a known name, NAME=PATH for a known task's files elsewhere, a suite's name, or a jsonl file,
    folder or glob.

    Files whose hashes are those of a known task are that task. Raises GroundupError `unknown-task`, `no-such-file`,
    `bad-task`, `download-failed`, `wrong-hash`.
    """
    name, equals, path = given.partition("=")
    tasks = known()["tasks"]
    if name in tasks and equals:
        return _of_files(name, path, tasks[name])
    if given in tasks:
        return _read(given, tasks[given], _fetch(tasks[given], mirror, downloads))
    if given in suites.names():
        return of_suite(suites.load(given))
    if _exists(given):
        return _of_files(Path(given).stem, given)
    names = [*tasks, "wikitext", *suites.names()]
    near = difflib.get_close_matches(given, names, 1)
    hint = f"did you mean {near[0]!r}?" if near else f"name a jsonl file, or one of: {', '.join(names)}"
    raise GroundupError("unknown-task", f"{given[:200]!r} is no task and no file", hint)


def _of_files(name: str, given: str, settings: dict[str, Any] | None = None) -> Task:
    """The known task whose very files these are, or else one under another name, since its scores are not that one's.

    settings: how its rows are read, if not by their shape alone.
    """
    paths, tasks = _files(given), known()["tasks"]
    hashes = {sha256(one) for one in paths}
    for one, task in tasks.items():
        if hashes == {entry[1] for entry in task["files"].values()}:
            return _read(one, task, paths)
    if settings is None:
        settings = tasks["blimp"] if _is_blimp(paths) else {}
    if name in {*tasks, *suites.names(), *OURS}:
        name = f"{name}-{digest(sorted(hashes))[:8]}"
    return _read(name, settings, paths)


def _exists(given: str) -> bool:
    try:
        return Path(given).expanduser().exists() or any(sign in given for sign in "*?[") or "/" in given
    except (OSError, ValueError):  # too long a name, or a NUL in it
        return False


def _files(given: str) -> list[Path]:
    """The jsonl files behind a path; other files of a folder are passed over."""
    paths = [path for path in expand(given) if path.suffix == ".jsonl" or not Path(given).expanduser().is_dir()]
    if not paths:
        raise _bad(f"the folder {given} holds no jsonl file")
    return paths


def _fetch(task: dict[str, Any], mirror: str | None, downloads: Path) -> list[Path]:
    records = [{"name": name, "bytes": size, "sha256": sha} for name, (size, sha) in task["files"].items()]
    repository = task["repository"] if mirror else f"{task['repository']}/{task['commit']}"
    corpus = Corpus(repository, task["commit"], {"test": records}, downloads)
    return fetch(corpus, mirror or known()["origin"])["test"]


def _read(name: str, settings: dict[str, Any], paths: list[Path]) -> Task:
    shapes, items = set[str](), list[Item]()
    templates: dict[str, str] = {key: settings[key] for key in ("context", "option") if key in settings}
    for path in paths:
        for number, (where, row) in enumerate(rows(read_task(path), str(path)), 1):
            id = f"{path.stem}:{row.get('pairID', number)}"
            try:
                shape, item = item_of(row, id, **templates, alike=bool(settings))
            except (ValueError, TypeError, AttributeError) as error:
                raise _bad(f"{where}: {error}") from None
            except KeyError as error:
                raise _bad(f"{where}: it has no {error.args[0]!r}") from None
            shapes.add(shape)
            items.append(item)
    kinds = {"cloze" if shape in ("cloze", "lambada") else "choice" for shape in shapes}
    if len(kinds) > 1:
        raise _bad(f"{paths[0]}: some of its items are choices, and some are to be guessed")
    about = {"files": [[path.name, sha256(path)] for path in paths], "shapes": sorted(shapes), **templates}
    return Task(name, settings.get("version", 1), kinds.pop(), settings.get("reading", "none"), items, about)


def _is_blimp(paths: list[Path]) -> bool:
    """Whether the first row is a pair of BLiMP's: parts of it are to be read as the whole is."""
    _, first = next(rows(read_task(paths[0]), str(paths[0])))
    return {"sentence_good", "sentence_bad"} <= first.keys()


def _bad(what: str) -> GroundupError:
    return GroundupError("bad-task", what, "mend or remove it; `groundup explain bad-task` shows an item")
