"""The command line: one short function for each verb. It parses, calls and prints; everything else lives elsewhere."""

import errno
import json
import os
import signal
import sys
from collections.abc import Callable
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from typing import Annotated, Any

from cyclopts import App, CycloptsError, Parameter

from groundup import __version__
from groundup.console import harmless, printable
from groundup.errors import CODES, GroundupError
from groundup.processes import here, stop_signals

os.environ.setdefault("HF_HUB_VERBOSITY", "error")  # its retries are not the user's business; our one error is
# Threads that wait for each other sleep instead of spinning. On a machine that does anything else besides, spinning
# made training and sampling 10 to 20 times slower (docs/log.md).
os.environ.setdefault("OMP_WAIT_POLICY", "passive")

app = App(
    name="groundup",
    version=__version__,
    suppress_keyboard_interrupt=False,  # main() says how to go on
    help_format="plaintext",  # its own text needs no markup, and the parser for that takes 70 ms to load
    help="Train small language models from the ground up, and know which one is better.\n\n"
    "RECIPE is a preset (`groundup show` lists them) or a YAML file; any value can be overridden as key.sub=value. "
    "RUN is a run's name, the beginning of it, its path, or `last`.",
)

Recipe = Annotated[str, Parameter(help="Preset or YAML file.")]
Overrides = Annotated[str, Parameter(help="Values to change, each as key.sub=value.")]
Lab = Annotated[Path | None, Parameter(help="Directory of artifacts and runs (default: $GROUNDUP_LAB, else ./lab).")]
Json = Annotated[bool, Parameter(name="--json", help="Print one JSON object to stdout.", negative="")]
RunName = Annotated[str, Parameter(name="run", help="Name, beginning of a name, path, or `last`.")]
Processes = Annotated[int, Parameter(help="Train with so many processes on this machine, one for each GPU.")]
DryRun = Annotated[
    bool,
    Parameter(
        help="Say what it needs of disk and memory, and what would stop it; download and make nothing.", negative=""
    ),
]
Device = Annotated[str, Parameter(help="auto, cpu, cuda or mps.")]
Which = Annotated[str, Parameter(help="best, last or a step.")]


def _print(value: Any, as_json: bool, lines: list[str]) -> None:
    print(printable(json.dumps(value, ensure_ascii=False) if as_json else "\n".join(lines)))


def _show(text: str) -> None:
    """Print a part of a text at once."""
    print(harmless(printable(text)) if sys.stdout.isatty() else printable(text), end="", flush=True)


def _shell(words: list[str]) -> str:
    import shlex

    return shlex.join(words)


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
    _print(facts, as_json, lines)


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
    _print(facts, as_json, [*lines, f"again     {again}", f"sample    {sample}"])


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
        _print({"presets": list(preset_paths())}, json, list(preset_paths()))
        return
    facts, lines = describe(resolve(recipe, list(overrides)))
    _print(facts, json, lines)


data = App(name="data", help="Make the corpus: read, clean, drop duplicates, split, look for leaks.")
app.command(data)


@data.default
def corpus(recipe: Recipe, *overrides: Overrides, lab: Lab = None, json: Json = False) -> None:
    """Make the corpus: read, clean, drop duplicates, split, look for leaks."""
    from groundup.recipe.load import resolve
    from groundup.science.pipeline import make_corpus
    from groundup.science.summary import corpus_lines
    from groundup.store.runs import lab_directory

    made = make_corpus(resolve(recipe, list(overrides), model=False).recipe, lab_directory(lab))
    _print(made.manifest | {"path": str(made.path)}, json, corpus_lines(made))


@data.command(name="report")
def data_report(
    recipe: Recipe,
    *overrides: Overrides,
    output: Annotated[Path | None, Parameter(help="The page's file (default: LAB/reports/CORPUS.html).")] = None,
    lab: Lab = None,
    json: Json = False,
) -> None:
    """Make the corpus if need be, and a page of what was read, left out and kept. With --json, its figures."""
    from groundup.data.report import figures, write
    from groundup.recipe.load import resolve
    from groundup.science.pipeline import make_corpus
    from groundup.store.runs import lab_directory

    where = lab_directory(lab)
    made = make_corpus(resolve(recipe, list(overrides), model=False).recipe, where)
    page = write(made.path, output or where / "reports" / f"{made.id}.html")
    _print(figures(made.path) | {"page": str(page)}, json, [str(page)])


tokenizer = App(name="tokenizer", help="Make the corpus and train its tokenizer; report on it, or compare several.")
app.command(tokenizer)


@tokenizer.default
def trained(recipe: Recipe, *overrides: Overrides, lab: Lab = None, json: Json = False) -> None:
    """Make the corpus and train its tokenizer."""
    from groundup.recipe.load import resolve
    from groundup.science.pipeline import make_tokenizer
    from groundup.store.runs import lab_directory

    _, made = make_tokenizer(resolve(recipe, list(overrides), model=False).recipe, lab_directory(lab))
    size = made.manifest["counts"]["vocab_size"]
    facts = made.manifest | {"path": str(made.path)}
    _print(facts, json, [f"tokenizer  {made.path / 'tokenizer.json'}", f"vocabulary {size:,}"])


@tokenizer.command(name="report")
def tokenizer_report(
    recipe: Recipe,
    *overrides: Overrides,
    output: Annotated[Path | None, Parameter(help="The page's file (default: in LAB/reports).")] = None,
    lab: Lab = None,
    json: Json = False,
) -> None:
    """Make the tokenizer if need be, and a page: bytes per token by source, unused tokens, splits, round trip."""
    from groundup.science.tokenizers import write_report
    from groundup.store.runs import lab_directory

    facts, lines = write_report(recipe, list(overrides), lab_directory(lab), output)
    _print(facts, json, lines)


@tokenizer.command(name="compare")
def tokenizer_compare(
    recipe: Recipe,
    *tokenizers: Annotated[
        str,
        Parameter(
            help="What tokenizer.use takes (a tokenizer.json, a directory, an artifact, a run), or changes to the "
            "recipe's tokenizer, such as vocab_size=4096 or kind=unigram,digits=1. key.sub=value changes the recipe "
            "for all of them."
        ),
    ],
    output: Annotated[Path | None, Parameter(help="The page's file (default: in LAB/reports).")] = None,
    lab: Lab = None,
    json: Json = False,
) -> None:
    """Put the recipe's tokenizer beside others, on the same text: the recipe's own is the first column."""
    from groundup.science.tokenizers import write_comparison
    from groundup.store.runs import lab_directory

    facts, lines = write_comparison(recipe, list(tokenizers), lab_directory(lab), output)
    _print(facts, json, lines)


@tokenizer.command(name="sweep")
def tokenizer_sweep(
    *words: Annotated[
        str,
        Parameter(
            help="A recipe (default: 20m), values to try, such as vocab=1k,2k,4k,8k kind=bpe,unigram digits=1,3 "
            "seed=1,2,3 (k is 1,024; several lists are combined), and overrides as key.sub=value."
        ),
    ],
    train: Annotated[
        bool, Parameter(help="Train the same model with each, too, and rank by bpb.", negative="")
    ] = False,
    lab: Lab = None,
    json: Json = False,
) -> None:
    """Try several vocabularies; with --train, at equal parameters and equal text, ranked by bits per byte."""
    from groundup.recipe.load import resolve
    from groundup.science import sweep
    from groundup.store.runs import lab_directory

    recipe, overrides, axes = sweep.parse(list(words))
    facts = sweep.sweep(resolve(recipe, overrides), axes, lab_directory(lab), train)
    _print(facts, json, sweep.lines(facts))


@app.command
def eval(
    run: RunName,
    *,
    checkpoint: Which = "best",
    split: Annotated[
        list[str] | None,
        Parameter(help="valid, test or train; may be repeated (default: valid and test).", negative=""),
    ] = None,
    task: Annotated[
        list[str] | None,
        Parameter(
            help="blimp, wikitext, arc_easy, piqa, copa, winograd, winogrande, lambada, one of groundup's suites "
            "(grammar, facts, coherence), held-out (items made of the run's own validation text), a jsonl file of "
            "items, or NAME=PATH for a known task's files; may be repeated.",
            negative="",
        ),
    ] = None,
    text: Annotated[
        list[str] | None,
        Parameter(help="A file, folder or glob of text, or a corpus artifact; may be repeated.", negative=""),
    ] = None,
    lm_eval: Annotated[
        list[str] | None,
        Parameter(help="A task of lm-eval (extra: eval), or a task's yaml file; may be repeated.", negative=""),
    ] = None,
    stride: Annotated[
        int | None, Parameter(help="Windows move on by so many tokens (default: they lie side by side).")
    ] = None,
    baseline: Annotated[
        list[str] | None,
        Parameter(
            help="untrained (the model before its first step) or trigram (of the training text), on splits and choice "
            "tasks; may be repeated.",
            negative="",
        ),
    ] = None,
    delimiter: Annotated[str | None, Parameter(help="What separates documents in a --text file.")] = None,
    column: Annotated[str, Parameter(help="Column of a --text table that holds the text.")] = "text",
    device: Device = "auto",
    lab: Lab = None,
    json: Json = False,
) -> None:
    """Judge a run: loss, perplexity and bits per byte of splits and texts, accuracy on tasks."""
    from groundup.science.evaluation import evaluate, wanted
    from groundup.science.summary import evaluation_lines
    from groundup.store.runs import find, lab_directory

    asked = wanted(split, task, text, lm_eval, stride, delimiter, column, baseline)
    result = evaluate(find(lab_directory(lab), run), checkpoint, asked, device)
    _print(result, json, evaluation_lines(result))


@Parameter(name="*")
@dataclass
class Sampling:
    """How texts are written. What is not given is as in the run's recipe."""

    preset: Annotated[str | None, Parameter(help="safe, balanced or wild; sets the next three.")] = None
    temperature: Annotated[float | None, Parameter(help="0 takes the likeliest token each time.")] = None
    top_k: Annotated[int | None, Parameter(help="Draw from the k likeliest tokens; 0: all.")] = None
    top_p: Annotated[float | None, Parameter(help="Draw from the likeliest tokens that reach p; 1: all.")] = None
    min_p: Annotated[float | None, Parameter(help="Least probability, as a share of the likeliest token's.")] = None
    repetition_penalty: Annotated[float | None, Parameter(help="Above 1: tokens of the text become less likely.")] = (
        None
    )
    no_repeat_ngram: Annotated[int | None, Parameter(help="No sequence of so many tokens occurs twice; 0: any.")] = None
    stop: Annotated[list[str] | None, Parameter(help="End before this string; may be repeated.", negative="")] = None
    max_tokens: Annotated[int | None, Parameter(help="Longest continuation in tokens.")] = None
    seed: Annotated[int | None, Parameter(help="Of the first text; the next ones count on.")] = None

    def given(self, **more: Any) -> dict[str, Any]:
        return {key: value for key, value in (asdict(self) | more).items() if value is not None}


@app.command
def sample(
    run: RunName,
    *,
    prompt: Annotated[
        list[str] | None, Parameter(help="May be repeated (default: the recipe's prompts).", negative="")
    ] = None,
    samples: Annotated[int | None, Parameter(help="Texts for each prompt.")] = None,
    batch: Annotated[int | None, Parameter(help="Texts that are written side by side.")] = None,
    sampling: Sampling | None = None,
    logprobs: Annotated[
        int | None, Parameter(help="With --json: log-probabilities of tokens, and of so many likeliest ones.")
    ] = None,
    checkpoint: Which = "best",
    device: Device = "auto",
    lab: Lab = None,
    json: Json = False,
) -> None:
    """Let a run write, and print as it writes. What is not given is as in the run's recipe."""
    from groundup.science import judge
    from groundup.store.runs import find, lab_directory

    if logprobs is not None and (logprobs < 0 or not json):
        raise GroundupError("usage", f"--logprobs {logprobs} without --json, or negative", "--logprobs 5 --json")
    found = find(lab_directory(lab), run)
    given = (sampling or Sampling()).given(prompts=prompt, samples=samples, batch=batch)
    options = judge.sample_options(found, given)
    rows = judge.sample(found, checkpoint, options, device, None if json else _show, logprobs)
    if json:
        _print({"run": found.name, "samples": rows}, json, [])


@app.command
def chat(
    run: RunName,
    *,
    sampling: Sampling | None = None,
    checkpoint: Which = "best",
    device: Device = "auto",
    lab: Lab = None,
    json: Json = False,
) -> None:
    """Write with a run: it goes on from each line that you type. /help lists what else can be said."""
    from groundup.science.talk import talk
    from groundup.store.runs import find, lab_directory

    found = find(lab_directory(lab), run)
    rows = talk(found, checkpoint, (sampling or Sampling()).given(), device, None if json else _show)
    if json:
        _print({"run": found.name, "texts": rows}, json, [])


@app.command
def texts(
    run: RunName,
    *,
    prompts: Annotated[
        list[str] | None,
        Parameter(help="A set of groundup's own, `recipe`, or a file (.jsonl, or a prompt a line).", negative=""),
    ] = None,
    per_prompt: Annotated[int, Parameter(help="Texts for each prompt.")] = 3,
    sampling: Sampling | None = None,
    checkpoint: Which = "best",
    device: Device = "auto",
    lab: Lab = None,
    json: Json = False,
) -> None:
    """Let a run write many texts, and measure what they repeat, vary and copy beside held-out human text."""
    from groundup.science.summary import text_lines
    from groundup.science.texts import judge_texts
    from groundup.store.runs import find, lab_directory

    if per_prompt < 1:
        raise GroundupError("usage", "--per-prompt is 1 or more", "leave it out for 3")
    given = (sampling or Sampling()).given(samples=1)
    result = judge_texts(find(lab_directory(lab), run), checkpoint, prompts or [], per_prompt, given, device)
    _print(result, json, text_lines(result))


@app.command
def report(run: RunName, *, lab: Lab = None, json: Json = False) -> None:
    """Write a run's report.html anew, also while it trains."""
    from groundup.science.run_report import write
    from groundup.store.runs import find, lab_directory

    path = write(find(lab_directory(lab), run).path)
    _print({"report": str(path)}, json, [str(path)])


@app.command
def ls(*, lab: Lab = None, json: Json = False) -> None:
    """List the runs of the lab."""
    from groundup.science.summary import list_runs, table
    from groundup.store.runs import all_runs, lab_directory

    rows = list_runs(all_runs(lab_directory(lab)))
    _print({"runs": rows}, json, table(rows) if rows else ["no runs yet: `groundup run quickstart` makes one"])


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
    _print(facts, json, checkpoints.lines(facts))
    return int(verify and checkpoints.damaged(facts))


@app.command
def explain(
    code: Annotated[str | None, Parameter(help="The code in brackets at the end of an error; none: list them.")] = None,
    *,
    json: Json = False,
) -> None:
    """Say what an error's code means."""
    if code is None:
        _print({"codes": {name: one.text for name, one in CODES.items()}}, json, list(CODES))
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
    _print(
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
    if "--json" in (arguments if arguments is not None else sys.argv):
        print(json.dumps({"error": {"code": failure.code, "what": failure.what, "fix": failure.fix}}))
    if arguments is None and "daft" in sys.modules:
        # Its threads may still be at work; ending under them would crash the process and lose our exit code.
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(failure.exit_code)
    return failure.exit_code


if __name__ == "__main__":
    sys.exit(main())
