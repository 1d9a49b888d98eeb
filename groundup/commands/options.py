"""What the verbs share: their common parameters, and how they print."""

import json
import sys
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Annotated, Any

from cyclopts import Parameter

from groundup.console import harmless, printable

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


def emit(value: Any, as_json: bool, lines: list[str]) -> None:
    print(printable(json.dumps(value, ensure_ascii=False) if as_json else "\n".join(lines)))


def stream(text: str) -> None:
    """Print a part of a text at once."""
    if sys.stdout is None:  # it was closed
        return
    print(harmless(printable(text)) if sys.stdout.isatty() else printable(text), end="", flush=True)


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
