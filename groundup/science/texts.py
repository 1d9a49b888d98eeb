"""Let a run write many texts and measure them beside held-out human text: what they repeat, vary and copy."""

import json
import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from groundup.console import say
from groundup.data.corpus import texts as corpus_texts
from groundup.evaluate import generation, human, novelty
from groundup.evaluate.estimate import mean
from groundup.evaluate.generation import Passage
from groundup.evaluate.known_words import unknown_words
from groundup.evaluate.opening import read_prompts
from groundup.evaluate.prompts import Prompt, kinds
from groundup.evaluate.repetition import find_loop, repeated
from groundup.evaluate.suffixes import Matches
from groundup.evaluate.words import words
from groundup.generate.sampler import write_all
from groundup.science.judge import open_writer, sample_options
from groundup.store.artifacts import Artifact, load
from groundup.store.files import digest, write_atomic, write_json
from groundup.store.runs import Run
from groundup.tokens.encoding import Encoding

RECIPE = "recipe"  # the name of the set of prompts that the run's recipe has
LISTED = 20  # copied spans that the result lists
MARKED = 10  # tokens of a copied span from which on it is marked in its text
AROUND = 30  # tokens of the training text shown on either side of one


@dataclass(frozen=True)
class Written:
    """What the model wrote after a prompt."""

    prompt: Prompt
    seed: int
    text: str  # without the prompt
    finished: bool
    tokens: np.ndarray


def judge_texts(
    run: Run, which: str, sets: Sequence[str], per_prompt: int, given: dict[str, Any], device: str = "auto"
) -> dict[str, Any]:
    """Texts of a checkpoint and their statistics, also written to evaluations/CHECKPOINT.generation.json and .jsonl.

    sets: names or files of prompts, or `recipe`; none: groundup's own, all of them. given: what is not as the recipe
    samples. Raises GroundupError `no-checkpoint`, `artifact-damaged`, `text-too-short`, `no-such-file`, `bad-file`,
    `bad-prompt`, `bad-value`.
    """
    begun = time.monotonic()
    prompts = _prompts(run, sets)
    (checkpoint, writer), shards = open_writer(run, which, device), run.shards()
    encoding = writer.encoding
    options = sample_options(run, given | {"prompts": [one.prompt for one in prompts for _ in range(per_prompt)]})
    say(f"texts: {len(options.prompts):,} of up to {options.max_tokens:,} tokens, with {checkpoint.path.name}")
    rows = write_all(writer, options)
    written = [_written(row, prompts[number // per_prompt], encoding) for number, row in enumerate(rows)]
    say(f"texts: written in {time.monotonic() - begun:.1f} s; comparing them with the training text")
    measured = _measure(run, shards, encoding, written, options.max_tokens, options.seed)
    stem = f"{checkpoint.path.name}.generation"
    settings = options.model_dump(exclude={"prompts"}) | {"per_prompt": per_prompt}
    result = {
        "task": {"name": "generation", "version": generation.VERSION, "kind": "generation"},
        "run": run.name,
        "checkpoint": checkpoint.path.name,
        "step": checkpoint.step,
        "settings": settings,
        "prompts": {"n": len(prompts), "sha256": digest([vars(one) for one in prompts])},
        **measured.facts,
        "texts_file": f"{stem}.jsonl",
        "seconds": round(time.monotonic() - begun, 1),
    }
    (run.path / "evaluations").mkdir(exist_ok=True)
    lines = "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in measured.texts)
    write_atomic(run.path / "evaluations" / result["texts_file"], lines.encode(errors="replace"))
    write_json(run.path / "evaluations" / f"{stem}.json", result)
    return result


def _prompts(run: Run, sets: Sequence[str]) -> list[Prompt]:
    of_recipe = sample_options(run, {}).prompts
    found: list[Prompt] = []
    for name in sets or kinds():
        if name == RECIPE:
            found += [Prompt(f"{RECIPE}-{number}", RECIPE, prompt) for number, prompt in enumerate(of_recipe, 1)]
        else:
            found += read_prompts(name)
    return found


def _written(row: dict[str, Any], prompt: Prompt, encoding: Encoding) -> Written:
    text = row["text"].removeprefix(prompt.prompt)
    return Written(prompt, row["seed"], text, row["ended"] == "end", np.array(encoding.encode(text), np.int64))


@dataclass(frozen=True)
class _Measured:
    facts: dict[str, Any]
    texts: list[dict[str, Any]]


def _measure(
    run: Run, shards: Artifact, encoding: Encoding, written: list[Written], limit: int, seed: int
) -> _Measured:
    sources = list(shards.manifest["counts"])
    mix = {name: float(share) for name, share in (run.lineage().get("mix") or {}).items()}
    mix = mix or {name: float(count["train"]["tokens"]) for name, count in shards.manifest["counts"].items()}
    held = human.held_out(shards.path, sources)
    wanted = [(len(encoding.encode(one.prompt.prompt)), len(one.tokens)) for one in written]
    pieces = human.matched(wanted, held, mix, seed)
    numbers = {prompt: number for number, prompt in enumerate(dict.fromkeys(one.prompt for one in written))}
    ours = [Passage(one.text, one.tokens, numbers[one.prompt]) for one in written]
    theirs = [Passage(encoding.decode(one.tokens.tolist()), one.tokens, one.document) for one in pieces]
    train = novelty.training(shards.path, sources)
    matches = novelty.find_copies([one.tokens for one in [*ours, *theirs]], train, encoding.vocab_size)
    ours_found, theirs_found = _part(matches, slice(len(ours))), _part(matches, slice(len(ours), None))
    corpus, notes = _corpus(run), list[str]()
    unknown: list[tuple[list[str], int]] | None = None
    if corpus is None:
        notes.append("The corpus is no longer in the lab, so words that training lacks were not counted.")
    else:
        training = (text for source in sources for text in corpus_texts(corpus, source, "train"))
        unknown = unknown_words([one.text for one in [*ours, *theirs]], training)
    shorter = sum(length for _, length in wanted) - sum(len(one.tokens) for one in pieces)
    if shorter or len(pieces) < len(written):
        what = f"{len(pieces):,} of {len(written):,} texts, {shorter:,} tokens fewer in all"
        notes.append(f"There was not enough held-out text to match every length: {what}.")
    sizes = generation.blocks([ours, theirs])
    ours_unknown, theirs_unknown = (None, None) if unknown is None else (unknown[: len(ours)], unknown[len(ours) :])
    model_figures = generation.figures(ours, ours_found, ours_unknown, sizes, seed)
    human_figures = generation.figures(theirs, theirs_found, theirs_unknown, sizes, seed)
    model_figures["finished"] = mean([float(one.finished) for one in written], [one.cluster for one in ours])
    prompt_tokens = float(np.mean([prompt for prompt, _ in wanted]))
    human_figures["finished"] = human.ends_within(held, mix, prompt_tokens + limit)
    rows = [
        _row(one, lengths, places, unknown[number][0] if unknown is not None else None, encoding)
        for number, (one, lengths, places) in enumerate(
            zip(written, ours_found.lengths, ours_found.places, strict=True)
        )
    ]
    facts = {
        "texts": len(ours),
        "human_texts": len(theirs),
        "blocks": vars(sizes),
        "training_tokens": train.tokens,
        "statistics": generation.rows(model_figures, human_figures, sizes),
        "longest_copy": {"model": _longest(ours_found), "human": _longest(theirs_found)},
        "copies": _copies(written, ours_found, train, encoding),
        "marked_tokens": MARKED,
        "notes": notes,
    }
    return _Measured(facts, rows)


def _part(matches: Matches, which: slice) -> Matches:
    return Matches(matches.lengths[which], matches.places[which])


def _longest(matches: Matches) -> int:
    return max((int(lengths.max(initial=0)) for lengths in matches.lengths), default=0)


def _corpus(run: Run) -> Artifact | None:
    """The corpus that the run's tokens were made from, if it is still in the lab."""
    for link in run.lineage()["chain"]:
        path = run.path.parent.parent / "artifacts" / link["id"]
        if link["id"].startswith("corpus-") and path.exists():
            return load(path)
    return None


def _row(
    one: Written, lengths: np.ndarray, places: np.ndarray, unknown: list[str] | None, encoding: Encoding
) -> dict[str, Any]:
    """A line of the texts' file. copied: where copied spans begin and end, in characters of the whole text."""
    split = words(one.text)
    loop = find_loop(split)
    lead = len(one.prompt.prompt)
    return {
        "id": one.prompt.id,
        "kind": one.prompt.kind,
        "prompt": one.prompt.prompt,
        "text": one.prompt.prompt + one.text,
        "seed": one.seed,
        "finished": one.finished,
        "tokens": len(one.tokens),
        "repeated_4": repeated(split, 4),
        "loop": vars(loop) if loop else None,
        "longest_copy": int(lengths.max(initial=0)),
        "copied": [
            [lead + offset for offset in _characters(one, span, encoding)]
            for span in novelty.spans(lengths, places, MARKED)
        ],
        "unknown_words": unknown,
    }


def _characters(one: Written, span: novelty.Span, encoding: Encoding) -> tuple[int, int]:
    """Where the characters of a span begin and end in the text; a character that a border cuts is left out."""
    ends = np.cumsum([0, *encoding.token_bytes[one.tokens].tolist()])
    data = one.text.encode(errors="replace")
    begin, end = (data[: ends[at]].decode(errors="ignore") for at in (span.start, span.start + span.length))
    return len(begin), len(end)


def _copies(
    written: list[Written], found: Matches, train: novelty.Training, encoding: Encoding
) -> list[dict[str, Any]]:
    """The longest copied spans, one of each text at most, with where they stand in the training text."""
    best = [novelty.longest(*pair) for pair in zip(found.lengths, found.places, strict=True)]
    order = sorted(range(len(best)), key=lambda number: -best[number].length)[:LISTED]
    rows = []
    for number in order:
        span, one = best[number], written[number]
        if not span.length:
            continue
        origin = train.origin(span.place, span.length, AROUND)
        text = encoding.decode(one.tokens[span.start : span.start + span.length].tolist())
        rows.append(
            {
                "id": one.prompt.id,
                "seed": one.seed,
                "tokens": span.length,
                "words": len(text.split()),
                "text": text,
                "source": origin.source,
                "document": origin.document,
                "token": origin.token,
                "before": encoding.decode(origin.before.tolist()),
                "behind": encoding.decode(origin.behind.tolist()),
            }
        )
    return rows
