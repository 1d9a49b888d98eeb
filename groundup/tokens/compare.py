"""Several tokenizers on the same text, side by side, as plain data."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np

from groundup.console import progress
from groundup.data.corpus import texts
from groundup.errors import GroundupError
from groundup.model.size import parameters
from groundup.store.artifacts import Artifact
from groundup.tokens import commonest
from groundup.tokens.report import describe, fitting, opened, round_trip, shape, sources
from groundup.tokens.spelling import Vocabulary
from groundup.tokens.tokenizer import draw
from groundup.tokens.usage import Usage, measure

Row = dict[str, Any]

SAMPLE = 20e6  # bytes of training text
CONTEXT, RUNG = 512, "20m"
SPLITS = ("train", "valid")


def compare(corpus: Artifact, columns: Sequence[tuple[str, Artifact]], mix: Mapping[str, float]) -> Row:
    """The figures of tokenizers, given as (name, artifact), on all validation text and a sample of the training text.

    `mix`: each source's share of that sample. Raises GroundupError `usage` for fewer than two different tokenizers.
    """
    if len({artifact.id for _, artifact in columns}) < 2:
        what = f"{', '.join(name for name, _ in columns) or 'nothing'}: that is fewer than two different tokenizers"
        raise GroundupError("usage", what, "name another one, for example vocab_size=4096 or the path of one")
    counts = corpus.manifest["counts"]
    budget = min(SAMPLE, sum(counts[source]["train"]["bytes"] for source in mix))
    size = round(budget) + sum(counts[source]["valid"]["bytes"] for source in sources(corpus))
    words = [text for text, _ in commonest.count(text for _, text in draw(corpus, dict(mix), budget))["words"]]
    known: list[Vocabulary] = []
    rows: list[Row] = []
    with progress("tokenizer compare", size * len(columns), "B") as advance:
        for name, artifact in columns:
            vocabulary, encode, encoder = opened(corpus, artifact)
            usage = measure(documents(corpus, mix, budget), vocabulary, encode, advance)
            about = {"name": name} | describe(artifact) | {"encoder": encoder}
            rows.append(about | column(vocabulary, usage, sources(corpus), words))
            known.append(vocabulary)
    text = {split: {key: rows[0]["all"][split][key] for key in ("documents", "bytes", "words")} for split in SPLITS}
    return {
        "corpus": corpus.id,
        "text": text,
        "mix": dict(mix),
        "context": CONTEXT,
        "rung": RUNG,
        "words": len(words),
        "tokenizers": rows,
        "overlap": [[overlap(one, other) for other in known] for one in known],
        "hard_cases": [
            {"label": label, "text": case, "splits": [one.split(case) for one in known]}
            for label, case in commonest.HARD_CASES
        ],
    }


def documents(corpus: Artifact, mix: Mapping[str, float], budget: float) -> Iterator[tuple[str, str, str]]:
    """(source, split, text): a sample of the training text, drawn by the mix, and all validation text."""
    for source, text in draw(corpus, dict(mix), budget):
        yield source, "train", text
    for source in sources(corpus):
        for text in texts(corpus, source, "valid"):
            yield source, "valid", text


def column(known: Vocabulary, usage: Usage, names: list[str], words: list[str]) -> Row:
    """The figures of one tokenizer. Unused: tokens of more than one byte that this text does not use."""
    by_source = {name: {split: usage.counts[name, split].to_json() for split in SPLITS} for name in names}
    pooled = {split: usage.pooled(split).to_json() for split in SPLITS}
    uses = np.sum(list(usage.uses.values()), axis=0)
    parts = parameters(shape(RUNG, known.encoding.vocab_size))
    longer = [id for id, spelt in enumerate(known.spelt) if len(spelt) > 1]
    return {
        "sources": by_source,
        "all": pooled,
        "words_in_context": {name: fitting(CONTEXT, each["train"])["words"] for name, each in by_source.items()},
        "words_in_context_all": fitting(CONTEXT, pooled["train"])["words"],
        "embedding": parts["embedding"],
        "parameters": sum(parts.values()),
        "unused": sum(not uses[id] for id in longer),
        "words_of_one_token": sum(len(known.encoding.encode(f" {word}")) == 1 for word in words),
        "round_trip": round_trip(usage),
    }


def overlap(one: Vocabulary, other: Vocabulary) -> float:
    """Jaccard similarity of what the tokens spell: those that both have, by those that either has.

    Special tokens and single bytes, which nearly every vocabulary has, are left out.
    """
    first, second = ({spelt for spelt in known.spelt if len(spelt) > 1} for known in (one, other))
    return len(first & second) / len(first | second) if first | second else 1.0
