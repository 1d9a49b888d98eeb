"""The figures of a tokenizer on a corpus: measured on every document, as plain data."""

from collections.abc import Iterator, Mapping
from itertools import islice
from typing import Any

import numpy as np

from groundup.console import progress
from groundup.data.corpus import texts
from groundup.data.finish import SPLITS
from groundup.model.config import ModelConfig, configure
from groundup.model.size import parameters
from groundup.recipe import schema
from groundup.recipe.rungs import RUNGS, fill_in
from groundup.store.artifacts import Artifact
from groundup.tokens import commonest
from groundup.tokens.encoders import Encode, choose
from groundup.tokens.encoding import FILE, open_tokenizer
from groundup.tokens.spelling import BYTE, CLASSES, SPECIAL, Vocabulary, token_class, vocabulary
from groundup.tokens.tokenizer import draw
from groundup.tokens.usage import DECODED, Usage, measure

Row = dict[str, Any]

# A token seen so seldom keeps nearly the embedding that it began with (Land and Bartolo 2024, "Fishing for Magikarp",
# find such tokens by their embeddings). The bound is ours, a round number: from some 100 uses on, one is met often.
SELDOM = 100
SAMPLE = 10e6  # bytes of training text in which the commonest words and so on are counted
LISTED = 40  # tokens in each list
EXAMPLES = 5  # tokens shown of each class
POINTS = 150  # of the curve, once at equal distances and once at equal ratios


def figures(corpus: Artifact, trained: Artifact, mix: Mapping[str, float]) -> Row:
    """All that the page shows. `mix`: each source's share of the sample in which the commonest words are counted.

    Numbers that have no meaning (tokens per word of a split without a document) are None.
    """
    known, encode, encoder = opened(corpus, trained)
    documents = (
        (source, split, text) for source in sources(corpus) for split in SPLITS for text in texts(corpus, source, split)
    )
    size = sum(corpus.manifest["counts"][source][split]["bytes"] for source in sources(corpus) for split in SPLITS)
    with progress("tokenizer report", size, "B") as advance:
        usage = measure(documents, known, encode, advance)
    budget = min(SAMPLE, sum(corpus.manifest["counts"][source]["train"]["bytes"] for source in mix))
    drawn = 0

    def sample() -> Iterator[str]:
        nonlocal drawn
        for _, text in draw(corpus, dict(mix), budget):
            drawn += len(text.encode())
            yield text

    common = splits(known, commonest.count(sample()))
    counted = counts(corpus, usage)
    uses = usage.uses["train"]
    return {
        "tokenizer": describe(trained),
        "corpus": corpus.id,
        "encoder": encoder,
        **counted,
        "round_trip": round_trip(usage),
        "use": use(known, uses),
        "vocabulary": classes(known, uses),
        "longest": longest(known, uses),
        "sample_bytes": drawn,
        "commonest": common,
        "hard_cases": [{"label": label} | known.split(text) for label, text in commonest.HARD_CASES],
        "rungs": rungs(known.encoding.vocab_size, counted),
    }


def opened(corpus: Artifact, trained: Artifact) -> tuple[Vocabulary, Encode, str]:
    """A tokenizer's vocabulary, and the fastest encoder that is right on texts of this corpus, with its name."""
    encoding = open_tokenizer(trained.path / FILE)
    some = [text for source in sources(corpus) for text in islice(texts(corpus, source, "train"), 50)]
    return vocabulary(encoding), *choose(encoding, some)


def sources(corpus: Artifact) -> list[str]:
    return list(corpus.manifest["counts"])


def describe(trained: Artifact) -> Row:
    """What a tokenizer is: its artifact, kind, number of tokens, and the part of a recipe that it was made from."""
    manifest = trained.manifest
    known = {"id": trained.id, "kind": manifest["kind"], "vocab_size": manifest["counts"]["vocab_size"]}
    return known | {"recipe": manifest["recipe"], "created": manifest["created"]}


def counts(corpus: Artifact, usage: Usage) -> Row:
    """By source and split, and pooled over the sources: by size, then, and not by the mix."""
    by_source = {
        source: {split: usage.counts[source, split].to_json() for split in SPLITS} for source in sources(corpus)
    }
    return {"sources": by_source, "all": {split: usage.pooled(split).to_json() for split in SPLITS}}


def round_trip(usage: Usage) -> Row:
    documents, broken, unknown = (
        sum(getattr(count, key) for count in usage.counts.values()) for key in ("documents", "broken", "unknown")
    )
    known = {"documents": documents, "broken": broken, "unknown": unknown}
    return known | {"first": usage.broken, "decoded_one_in": DECODED}


def use(known: Vocabulary, uses: np.ndarray) -> Row:
    """How often each token was used; `uses` (vocabulary,). Special tokens are left out: no text holds them."""
    ids = np.array([id for id, spelt in enumerate(known.spelt) if spelt])
    order = ids[np.argsort(-uses[ids], kind="stable")]
    ranked = uses[order]
    total = int(ranked.sum())
    unused = order[ranked == 0]
    # Of the 256 bytes many can occur in no text or hardly in any; another unused token tells more.
    unused = np.array(sorted(unused, key=lambda id: (len(known.spelt[id]) == 1, id)), int)
    used = order[ranked > 0]
    places = np.arange(len(used))
    points = np.unique(np.round(np.r_[np.geomspace(1, max(1, len(used)), POINTS), places[:: -(-len(used) // POINTS)]]))
    points = points[(points >= 1) & (points <= len(used))].astype(int)
    so_far = np.cumsum(ranked) / max(1, total)

    def listed(some: np.ndarray) -> list[Row]:
        return [{"id": int(id), "token": known.shown[id], "uses": int(uses[id])} for id in some[:LISTED]]

    return {
        "tokens": total,
        "vocabulary": len(ids),
        "unused": len(unused),
        "unused_bytes": sum(len(known.spelt[id]) == 1 for id in unused),
        "seldom": int((ranked < SELDOM).sum()),
        "seldom_share": float((ranked < SELDOM).mean()),
        "threshold": SELDOM,
        "commonest_share": {str(n): float(so_far[min(n, len(so_far)) - 1]) for n in (10, 100, 1000)},
        "commonest": listed(used),
        "rarest": listed(used[::-1]),
        "unused_tokens": listed(unused),
        "curve": {
            "rank": points.tolist(),
            "uses": ranked[points - 1].tolist(),
            "share": so_far[points - 1].tolist(),
        },
    }


def classes(known: Vocabulary, uses: np.ndarray) -> list[Row]:
    """The vocabulary by what its tokens spell, in the order of CLASSES."""
    members: dict[str, list[int]] = {name: [] for name in CLASSES}
    for id, spelt in enumerate(known.spelt):
        members[token_class(spelt)].append(id)
    total = max(1, int(uses.sum()))
    rows = []
    for name, ids in members.items():
        of = uses[ids]
        first = sorted(ids, key=lambda id: (-uses[id], id))[:EXAMPLES]
        rows.append(
            {
                "class": name,
                "tokens": len(ids),
                "unused": int((of == 0).sum()) if name != SPECIAL else None,
                "seldom": int((of < SELDOM).sum()) if name != SPECIAL else None,
                "share_of_text": float(of.sum() / total),
                "examples": [known.shown[id] for id in first if uses[id] or name in (SPECIAL, BYTE)],
            }
        )
    return rows


def longest(known: Vocabulary, uses: np.ndarray) -> list[Row]:
    ids = sorted(range(len(known.spelt)), key=lambda id: (-len(known.spelt[id]), id))[:LISTED]
    return [
        {"id": id, "token": known.shown[id], "bytes": len(known.spelt[id]), "uses": int(uses[id])}
        for id in ids
        if known.spelt[id]
    ]


def splits(known: Vocabulary, common: Mapping[str, list[tuple[str, int]]]) -> dict[str, list[Row]]:
    """The commonest words and so on, each split as it mostly stands: those of SPACED behind a space."""
    found = {}
    for name, rows in common.items():
        before = " " if name in commonest.SPACED else ""
        found[name] = [known.split(before + text) | {"text": text, "count": number} for text, number in rows]
    return found


def rungs(vocab_size: int, counted: Row) -> list[Row]:
    """Of each rung: the embedding's share of the parameters, and how much text of each source fits in its context."""
    rows = []
    for size in RUNGS:
        config = shape(size, vocab_size)
        parts = parameters(config)
        row = {"rung": size, "context": config.context, "embedding": parts["embedding"], "total": sum(parts.values())}
        fits = {name: fitting(config.context, splits["train"]) for name, splits in counted["sources"].items()}
        rows.append(row | {"fits": fits, "fits_all": fitting(config.context, counted["all"]["train"])})
    return rows


def shape(size: str, vocab_size: int) -> ModelConfig:
    """The modern model of a rung, tied, with a vocabulary."""
    model = {"family": "modern", "size": size}
    of_family, of_shape = fill_in(model)
    return configure(schema.Model.model_validate(model | of_family | of_shape), vocab_size)


def fitting(context: int, count: Row) -> Row:
    """Words and bytes of a text that so many tokens hold."""
    words = context / count["tokens_per_word"] if count["tokens_per_word"] else None
    return {"words": words, "bytes": context * count["bytes_per_token"] if count["bytes_per_token"] else None}
