"""Statistics of open generation that need no judge, each beside the same figure for held-out human text."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from groundup.evaluate import novelty
from groundup.evaluate.diversity import compression, distinct, self_bleu
from groundup.evaluate.estimate import Estimate, compare, mean, ratio
from groundup.evaluate.repetition import find_loop, repeated
from groundup.evaluate.suffixes import Matches
from groundup.evaluate.words import sentence_lengths, spelled, words

VERSION = 1  # of the definitions: figures of different versions do not compare
WORDS, BYTES, GROUP = 1000, 8192, 50  # of a block of words, a block to compress, a group of texts for self-BLEU
NEW = (1, 2, 3, 4, 5, 8)  # lengths of the n-grams that are looked for in the training text
PARTS = 5  # blocks that the smaller set has at least, so that their spread is known


@dataclass(frozen=True)
class Passage:
    """A continuation without its prompt. `cluster`: those with the same number are not independent."""

    text: str
    tokens: np.ndarray
    cluster: int


@dataclass(frozen=True)
class Blocks:
    """Sizes of the blocks for figures that depend on the amount of text, the same for both sets."""

    words: int  # with marks
    plain: int  # words without marks
    bytes: int
    texts: int


@dataclass(frozen=True)
class Statistic:
    """about: what is counted, with the sizes of `Blocks`. higher, lower: what a figure clearly above or below that of
    people says of the model."""

    name: str
    label: str
    unit: str  # "share" of a whole, or what is counted
    about: str
    higher: str
    lower: str


def _by_length(name: str, label: str, about: str, higher: str, lower: str, lengths: Sequence[int]) -> list[Statistic]:
    kinds = {n: "words" if n == 1 and name != "new" else f"{n}-grams" for n in lengths}
    return [
        Statistic(f"{name}_{n}", f"{label} {kind}", "share", about.format(kind=kind, n=n), higher, lower)
        for n, kind in kinds.items()
    ]


STATISTICS = [
    *_by_length(
        "repeated",
        "repeated",
        "{kind} of a text that stood in it before (seq-rep-{n})",
        "is more repetitive",
        "is less repetitive",
        (1, 2, 3, 4),
    ),
    Statistic(
        "loops",
        "texts in a loop",
        "share",
        "texts that end with a phrase of two words or more, three times or more",
        "gets stuck in loops",
        "loops less",
    ),
    Statistic(
        "loop_onset",
        "onset of the loop",
        "word",
        "its first word, of the texts in a loop",
        "loops later",
        "loops sooner",
    ),
    *_by_length(
        "distinct",
        "distinct",
        "distinct {kind} by all in {{words:,}} words (distinct-{n})",
        "is more varied",
        "is more uniform",
        (1, 2, 3),
    ),
    Statistic(
        "self_bleu",
        "self-BLEU",
        "share",
        "BLEU-4 of each text against the others of {texts:,}",
        "writes texts more alike",
        "writes texts less alike",
    ),
    Statistic(
        "compression",
        "compression ratio",
        "ratio",
        "{bytes:,} bytes by their number after zlib",
        "is more predictable",
        "is less predictable",
    ),
    Statistic(
        "types",
        "vocabulary",
        "words",
        "distinct words in {plain:,}",
        "has a richer vocabulary",
        "has a poorer vocabulary",
    ),
    Statistic(
        "sentence",
        "sentence length",
        "words",
        "words by sentences that end",
        "writes longer sentences",
        "writes shorter sentences",
    ),
    Statistic("finished", "finished texts", "share", "texts that end within the limit", "ends sooner", "ends later"),
    Statistic(
        "unknown_words",
        "unknown words",
        "share",
        "words that no training document holds",
        "invents more words",
        "invents fewer words",
    ),
    *_by_length(
        "new", "new", "{kind} of tokens that no training document holds", "is more novel", "is less novel", NEW
    ),
    Statistic(
        "longest_copy",
        "longest copied span",
        "tokens",
        "of a text, the longest run of tokens that stands in a training document",
        "copies longer spans",
        "copies shorter spans",
    ),
    Statistic(
        "copied",
        "copied tokens",
        "share",
        f"tokens in such runs of {novelty.COPIED} or more",
        "copies more",
        "copies less",
    ),
]
UNCLEAR = "no clear difference"


def blocks(sets: Sequence[Sequence[Passage]]) -> Blocks:
    """The usual sizes, or a fifth of what the smallest of the sets has where that is less."""
    return Blocks(
        min([WORDS, *(sum(len(words(one.text)) for one in texts) // PARTS for texts in sets)]),
        min([WORDS, *(sum(len(spelled(one.text)) for one in texts) // PARTS for texts in sets)]),
        min([BYTES, *(len("\n".join(one.text for one in texts).encode(errors="replace")) // PARTS for texts in sets)]),
        min([GROUP, *(sum(bool(words(one.text)) for one in texts) // PARTS for texts in sets)]),
    )


def figures(
    texts: Sequence[Passage],
    matches: Matches,
    unknown: Sequence[tuple[list[str], int]] | None,
    sizes: Blocks,
    seed: int,
) -> dict[str, Estimate]:
    """Every statistic but `finished`, by name. unknown: None where the training text is not at hand.

    The blocks take the texts in an order drawn by `seed`: neighbours share a prompt or a document.
    """
    clusters = [one.cluster for one in texts]
    split = [words(one.text) for one in texts]
    loops = [find_loop(one) for one in split]
    order = np.random.default_rng(seed).permutation(len(texts))
    mixed, spelt = [split[i] for i in order], [spelled(texts[i].text) for i in order]
    sentences = [sentence_lengths(one.text) for one in texts]
    found = {f"repeated_{n}": mean([repeated(one, n) for one in split], clusters) for n in (1, 2, 3, 4)}
    found["loops"] = mean([float(loop is not None) for loop in loops], clusters)
    found["loop_onset"] = mean([loop.onset + 1 if loop else None for loop in loops], clusters)
    found |= {f"distinct_{n}": distinct(mixed, n, sizes.words) for n in (1, 2, 3)}
    found["self_bleu"] = self_bleu(mixed, sizes.texts)
    found["compression"] = compression([texts[i].text for i in order], sizes.bytes)
    found["types"] = _times(distinct(spelt, 1, sizes.plain), sizes.plain)
    found["sentence"] = ratio([sum(one) for one in sentences], [len(one) for one in sentences], clusters)
    if unknown is not None:
        found["unknown_words"] = ratio([len(one) for one, _ in unknown], [count for _, count in unknown], clusters)
    found |= {f"new_{n}": novelty.new(matches, n, clusters) for n in NEW}
    found["longest_copy"] = novelty.longest_copies(matches, clusters)
    found["copied"] = novelty.copied(matches, clusters)
    return found


def _times(one: Estimate, factor: float) -> Estimate:
    if one.value is None:
        return one
    spread = None if one.standard_error is None else one.standard_error * factor
    return Estimate(one.value * factor, spread, one.n, one.units)


def meaning(statistic: Statistic, model: Estimate, human: Estimate) -> str:
    """In words, how the model's figure lies to that of human text."""
    names = {None: "", 0: UNCLEAR, 1: statistic.higher, -1: statistic.lower}
    return names[compare(model, human)]


def rows(model: dict[str, Estimate], human: dict[str, Estimate], sizes: Blocks) -> list[dict[str, Any]]:
    """A row for each statistic that was measured, as it goes into the results."""
    found = []
    for one in STATISTICS:
        ours, theirs = model.get(one.name, Estimate(None)), human.get(one.name, Estimate(None))
        if ours.value is not None or theirs.value is not None:
            facts: dict[str, Any] = {"name": one.name, "label": one.label, "unit": one.unit}
            facts["about"] = one.about.format(**vars(sizes))
            facts |= {"model": ours.to_json(), "human": theirs.to_json(), "meaning": meaning(one, ours, theirs)}
            found.append(facts)
    return found
