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
    """label: with the sizes of `Blocks`. higher, lower: what a figure clearly above or below that of people means."""

    name: str
    label: str
    unit: str  # "share" of a whole, or what is counted
    higher: str
    lower: str


STATISTICS = [
    *(
        Statistic(f"repeated_{n}", f"{what} that stood in the text before", "share", "more repetitive", "more varied")
        for n, what in enumerate(("words", "2-grams", "3-grams", "4-grams"), 1)
    ),
    Statistic("loops", "texts that end in a loop", "share", "gets stuck in loops", "loops less"),
    Statistic("loop_onset", "first word of the loop", "word", "loops later", "loops sooner"),
    *(
        Statistic(f"distinct_{n}", f"distinct {n}-grams in {{words:,}} words", "share", "more varied", "more uniform")
        for n in (1, 2, 3)
    ),
    Statistic("self_bleu", "self-BLEU of {texts:,} texts", "share", "texts more alike", "texts less alike"),
    Statistic("compression", "compression ratio of {bytes:,} bytes", "ratio", "more predictable", "less predictable"),
    Statistic("types", "distinct words in {plain:,} words", "words", "richer vocabulary", "poorer vocabulary"),
    Statistic("sentence", "words in a sentence", "words", "longer sentences", "shorter sentences"),
    Statistic("finished", "texts that end within the limit", "share", "ends sooner", "ends later or never"),
    Statistic("unknown_words", "words that training lacks", "share", "invents more words", "invents fewer words"),
    *(
        Statistic(f"new_{n}", f"{n}-grams of tokens that training lacks", "share", "more novel", "less novel")
        for n in (1, 2, 3, 4, 5, 8)
    ),
    Statistic("longest_copy", "longest copied span of a text", "tokens", "copies longer spans", "copies shorter spans"),
    Statistic("copied", f"tokens in copied spans of {novelty.COPIED} or more", "share", "copies more", "copies less"),
]
NEW = [int(one.name.removeprefix("new_")) for one in STATISTICS if one.name.startswith("new_")]
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
            facts: dict[str, Any] = {"name": one.name, "label": one.label.format(**vars(sizes)), "unit": one.unit}
            facts |= {"model": ours.to_json(), "human": theirs.to_json(), "meaning": meaning(one, ours, theirs)}
            found.append(facts)
    return found
