"""The command line: one short function for each verb. It parses, calls and prints; everything else lives elsewhere."""

import errno
import json
import os
import signal
import sys
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import Annotated, Any

from cyclopts import App, CycloptsError, Parameter

from groundup import __version__
from groundup.commands import corpus, judging
from groundup.commands.options import DryRun, Json, Lab, Overrides, Processes, Recipe, RunName, emit
from groundup.console import printable
from groundup.errors import CODES, GroundupError
from groundup.processes import here, stop_signals

JSON = ("--json", "--json=true", "--json=True", "--json=yes", "--json=1")
os.environ.setdefault("HF_HUB_VERBOSITY", "error")  # its retries are not the user's business; our one error is

app = App(
    name="groundup",
    version=__version__,
    suppress_keyboard_interrupt=False,  # main() says how to go on
    help_format="plaintext",  # its own text needs no markup, and the parser for that takes 70 ms to load
    help="Train small language models from the ground up, and know which one is better.\n\n"
    "RECIPE is a preset (`groundup show` lists them) or a YAML file; any value can be overridden as key.sub=value. "
    "RUN is a run's name, the beginning of it, its path, or `last`.",
)


@app.command
def run(
    recipe: Recipe,
    *overrides: Overrides,
    processes: Processes = 1,
    dry_run: DryRun = False,
    lab: Lab = None,
    json: Json = False,
) -> None:
    """Do everything: corpus, tokenizer, training, evaluation, samples and report. Goes on where it was."""
    if dry_run:
        _dry_run(recipe, list(overrides), lab, json)
        return
    _train("run", recipe, list(overrides), processes, lab, json)


@app.command
def train(recipe: Recipe, *overrides: Overrides, processes: Processes = 1, lab: Lab = None, json: Json = False) -> None:
    """Like run, without the final evaluation, samples and report."""
    _train("train", recipe, list(overrides), processes, lab, json)


def _dry_run(recipe: str, overrides: list[str], lab: Path | None, as_json: bool) -> None:
    from groundup.recipe.load import resolve
    from groundup.science.dry_run import dry_run
    from groundup.store.runs import lab_directory

    facts, lines = dry_run(resolve(recipe, overrides), lab_directory(lab))
    emit(facts, as_json, lines)


def _train(verb: str, recipe: str, overrides: list[str], processes: int, lab: Path | None, as_json: bool) -> None:
    from groundup.recipe.load import resolve
    from groundup.science import pipeline
    from groundup.store.runs import lab_directory

    resolved = resolve(recipe, overrides)
    words = [verb, recipe, *overrides, *(["--lab", str(lab)] if lab else [])]
    work = partial(pipeline.run, resolved, lab_directory(lab), train_only=verb == "train")
    _work(work, words, resolved.recipe.sample.prompts[0], processes, as_json)


@app.command
def resume(
    run: Annotated[
        str, Parameter(name="run", help="Name, beginning of a name, path, or `last`; with --fork RUN@STEP.")
    ],
    *overrides: Overrides,
    fork: Annotated[
        bool, Parameter(help="Begin a new run from that checkpoint, with a recipe changed at will.", negative="")
    ] = False,
    processes: Processes = 1,
    lab: Lab = None,
    json: Json = False,
) -> None:
    """Go on with a run by its own recipe, to its end. A change that would decide its weights is refused."""
    from groundup.science import pipeline, resuming
    from groundup.store.runs import lab_directory

    going = resuming.plan(lab_directory(lab), run, list(overrides), fork)
    words = ["resume", going.name, *overrides, *(["--fork"] if fork else []), *(["--lab", str(lab)] if lab else [])]
    work = partial(pipeline.run, going.resolved, going.lab, known=going.run)
    _work(work, words, going.resolved.recipe.sample.prompts[0], processes, json)


def _work(work: Callable[[], Any], words: list[str], prompt: str, processes: int, as_json: bool) -> None:
    """Train in so many processes; `words` are the command, to be given again."""
    from groundup.science.summary import outcome

    if processes != 1:
        _launch([*words, *(["--json"] if as_json else [])], processes)
        return
    again = _shell(["groundup", *words, *(["--processes", str(here().world)] if here().world > 1 else [])])
    try:
        found = work()
    except (GroundupError, KeyboardInterrupt) as error:
        if isinstance(error, GroundupError) and error.code != "interrupted":
            raise
        what = error.what if isinstance(error, GroundupError) else "stopped at once"
        raise GroundupError("interrupted", what, f"to go on, give the same command again: {again}") from None
    if found is None:  # one of several processes, and not the one that speaks
        return
    facts, lines = outcome(found)
    sample = _shell(["groundup", "sample", str(found.path), "--prompt", prompt])
    emit(facts, as_json, [*lines, f"again     {again}", f"sample    {sample}"])


def _launch(words: list[str], processes: int) -> None:
    """The same command in several processes; their exit code becomes ours."""
    from groundup.train.launch import launch

    if processes < 1 or here().world > 1:
        what = "--processes is for the command that starts a job" if here().world > 1 else "--processes is 1 or more"
        raise GroundupError("usage", what, "leave it out where torchrun or srun starts the processes")
    code = launch([sys.executable, "-m", "groundup.cli", *words], processes)
    if code:
        raise SystemExit(code)


@app.command
def show(
    recipe: Annotated[str | None, Parameter(help="Preset or YAML file; none: list the presets.")] = None,
    *overrides: Overrides,
    json: Json = False,
) -> None:
    """Print the resolved recipe, where each value came from, and the model's size."""
    from groundup.recipe.load import preset_paths, resolve
    from groundup.science.summary import describe

    if recipe is None:
        emit({"presets": list(preset_paths())}, json, list(preset_paths()))
        return
    facts, lines = describe(resolve(recipe, list(overrides)))
    emit(facts, json, lines)


app.command(corpus.data)
app.command(corpus.tokenizer)
for verb in (judging.eval, judging.sample, judging.chat, judging.texts):
    app.command(verb)


@app.command
def report(run: RunName, *, lab: Lab = None, json: Json = False) -> None:
    """Write a run's report.html anew, also while it trains."""
    from groundup.science.run_report import write
    from groundup.store.runs import find, lab_directory

    path = write(find(lab_directory(lab), run).path)
    emit({"report": str(path)}, json, [str(path)])


@app.command
def ls(*, lab: Lab = None, json: Json = False) -> None:
    """List the runs of the lab."""
    from groundup.science.summary import list_runs, table
    from groundup.store.runs import all_runs, lab_directory

    rows = list_runs(all_runs(lab_directory(lab)))
    emit({"runs": rows}, json, table(rows) if rows else ["no runs yet: `groundup run quickstart` makes one"])


@app.command
def checkpoints(
    run: RunName,
    *,
    verify: Annotated[bool, Parameter(help="Read every byte; exit code 1 if one has changed.", negative="")] = False,
    lab: Lab = None,
    json: Json = False,
) -> int:
    """List a run's checkpoints: step, size, bits per byte, age, state; which is the best, the last, in use."""
    from groundup.science import checkpoints
    from groundup.store.runs import find, lab_directory

    facts = checkpoints.listing(find(lab_directory(lab), run), verify)
    emit(facts, json, checkpoints.lines(facts))
    return int(verify and checkpoints.damaged(facts))


@app.command
def explain(
    code: Annotated[str | None, Parameter(help="The code in brackets at the end of an error; none: list them.")] = None,
    *,
    json: Json = False,
) -> None:
    """Say what an error's code means."""
    if code is None:
        emit({"codes": {name: one.text for name, one in CODES.items()}}, json, list(CODES))
        return
    if code not in CODES:
        import difflib

        near = difflib.get_close_matches(code, CODES, 1)
        raise GroundupError(
            "unknown-code",
            f"there is no code {code!r}",
            f"did you mean {near[0]!r}?" if near else "`groundup explain` lists them",
        )
    known = CODES[code]
    emit(
        {"code": code, "exit_code": known.exit_code, "text": known.text},
        json,
        [f"{code} (exit code {known.exit_code})", "", known.text],
    )


def _of_system(error: OSError) -> GroundupError | None:
    """The operating system's errors that are a user's to mend."""
    where = f" ({error.filename})" if error.filename else ""
    if error.errno in (errno.ENOSPC, errno.EDQUOT):
        return GroundupError("disk-full", f"the disk is full{where}", "make room and give the same command again")
    if error.errno == errno.EFBIG:
        return GroundupError("disk-full", f"a limit on the size of files (ulimit -f) is reached{where}", "raise it")
    if error.errno in (errno.EIO, errno.ESTALE, errno.ENXIO, errno.ENODEV, errno.ETIMEDOUT):
        fix = "look at the disk (dmesg) or the connection to it, and give the same command again"
        return GroundupError("disk-error", f"the disk reports: {error.strerror}{where[:200]}", fix)
    if error.errno in (errno.ENAMETOOLONG, errno.ELOOP, errno.ENOTDIR, errno.EISDIR):
        return GroundupError("no-such-file", f"{error.strerror}{where[:200]}", "check the path")
    if error.errno in (errno.EACCES, errno.EPERM, errno.EROFS):
        return GroundupError(
            "not-writable", f"no permission{where}", "check the path's owner and mode, or choose another --lab"
        )
    return None


def _complain(failure: GroundupError) -> None:
    """To stderr, also from a process that otherwise leaves it to the leading one to speak."""
    who = f"process {here().rank}: " if here().rank else ""
    lines = (
        f"{who}error: {failure.what} [{failure.code}]\n  fix: {failure.fix}\n  more: groundup explain {failure.code}"
    )
    print(printable(lines), file=sys.stderr, flush=True)


def _shell(words: list[str]) -> str:
    import shlex

    return shlex.join(words)


def main(arguments: list[str] | None = None) -> int:
    """Run a command line and return its exit code."""
    if arguments is None:  # a process of our own: SIGTERM and its like are as good as Ctrl-C
        for number in stop_signals():
            signal.signal(number, signal.default_int_handler)
    try:
        code = app(arguments, exit_on_error=False, print_error=False, result_action="return_value")
        return code if isinstance(code, int) else 0
    except CycloptsError as error:
        failure = GroundupError("usage", " ".join(str(error).split()), "see `groundup --help`")
    except GroundupError as error:
        failure = error
    except KeyboardInterrupt:
        failure = GroundupError("interrupted", "stopped", "give the same command again: it goes on where it was")
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # the reader, `head` say, has seen enough
        return 0
    except OSError as error:
        known = _of_system(error)
        if known is None:
            raise
        failure = known
    _complain(failure)
    if any(word in JSON for word in (arguments if arguments is not None else sys.argv)):
        with suppress(OSError):  # of a disk that is full, which was said above
            print(json.dumps({"error": {"code": failure.code, "what": failure.what, "fix": failure.fix}}), flush=True)
    if arguments is None and "daft" in sys.modules:
        # Its threads may still be at work; ending under them would crash the process and lose our exit code.
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(failure.exit_code)
    return failure.exit_code


if __name__ == "__main__":
    sys.exit(main())
