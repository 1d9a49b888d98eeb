"""The verbs behind a trained model: `eval`, `sample`, `chat` and `texts`."""

from typing import Annotated

from cyclopts import Parameter

from groundup.commands.options import Device, Json, Lab, RunName, Sampling, Which, emit, stream
from groundup.errors import GroundupError


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
    emit(result, json, evaluation_lines(result))


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
    rows = judge.sample(found, checkpoint, options, device, None if json else stream, logprobs)
    if json:
        emit({"run": found.name, "samples": rows}, json, [])


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
    rows = talk(found, checkpoint, (sampling or Sampling()).given(), device, None if json else stream)
    if json:
        emit({"run": found.name, "texts": rows}, json, [])


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
    emit(result, json, text_lines(result))
