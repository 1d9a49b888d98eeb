"""Choice items made from held-out text of any corpus, the same for the same text and seed.

Four phenomena. `ending`: the last sentence of a document, against that of another one. `next`: a sentence from its
middle, likewise. `order`: the next sentences, two or three that begin with the same word, against the same from the
last to the first. `swap`: the next sentence, against itself with two words exchanged.

For `ending` and `next` documents go together in twins: each one's sentence is the false option of the other, so words
and lengths of the options tell nothing. Two documents are twins only where choosing the option that shares more words
with the context is right for exactly one of them (or ties), and of those the ones whose sentences fit the other best.
"""

import hashlib
import random
import re
from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np

from groundup.data.corpus import texts
from groundup.errors import GroundupError
from groundup.evaluate.bias import words
from groundup.evaluate.items import SuiteItem
from groundup.evaluate.suites import Suite
from groundup.store.artifacts import Artifact

VERSION = 1
REACH = {"ending": "distant", "next": "distant", "order": "distant", "swap": "local"}
CANDIDATES = 1000  # documents looked at for each phenomenon: twins cost their square
CONTEXT = 120  # words of context at most, so that a context of 256 tokens holds them
SENTENCE_WORDS = (4, 30)
SENTENCE_END = re.compile(r"(?<=[.!?])([\"'\u201d\u2019]?)\s+(?=[\"'\u201c\u2018]?[A-Z])")
WORD = re.compile(r"[a-z]{3,}")


@dataclass(frozen=True)
class Cut:
    """A document cut in two: what is given, and the sentences that go on."""

    context: str
    rest: tuple[str, ...]


def from_corpus(corpus: Artifact, source: str, split: str, seed: int = 0, items: int = 400) -> Suite:
    """A suite from a source's validation or test documents. Raises GroundupError `training-text`, `no-text`."""
    _refuse_training(split)
    return generate(texts(corpus, source, split), split, source, seed, items)


def generate(documents: Iterable[str], split: str, source: str, seed: int = 0, items: int = 400) -> Suite:
    """About `items` items, fewer where the text gives no more, a quarter for each phenomenon.

    They depend on the documents, not on their order. Raises GroundupError `training-text` unless the split is valid or
    test, and `no-text` where no item can be made.
    """
    _refuse_training(split)
    drawn = sorted(set(documents), key=lambda text: hashlib.sha256(f"{seed} {text}".encode()).digest())
    told = [sentences(text) for text in drawn[:CANDIDATES]]
    name, wanted = f"{source}-{split}", items // 4
    found = [
        *_twins(name, "ending", [cut for cut in (_cut(one, len(one) - 1, 1) for one in told) if cut], wanted),
        *_twins(name, "next", [cut for cut in (_cut(one, len(one) // 2, 1) for one in told) if cut], wanted),
        *_orders(name, [cut for cut in map(_cut_alike, told) if cut], wanted, seed),
        *_swaps(name, [cut for cut in (_cut(one, 3, 1) for one in told) if cut], wanted, seed),
    ]
    if not found:
        what = f"the {split} text of {source} has no documents of some sentences each to make items from"
        raise GroundupError("no-text", what, "use a source with more and longer documents")
    content = hashlib.sha256("".join(item.to_line() for item in found).encode()).hexdigest()
    return Suite(name, VERSION, content, tuple(found), REACH)


def _refuse_training(split: str) -> None:
    if split not in ("valid", "test"):
        what = f"items cannot be made from the split {split!r}: the model may have learned it by heart"
        raise GroundupError("training-text", what, "make them from valid or test")


def sentences(text: str) -> list[str]:
    """A text's sentences, each with the mark and quotation mark that end it; line ends count as spaces."""
    parts = SENTENCE_END.split(" ".join(text.split()))
    return [sentence + mark for sentence, mark in zip(parts[::2], [*parts[1::2], ""], strict=True)]


def _cut(told: list[str], at: int, length: int) -> Cut | None:
    """The document cut before sentence `at`, if it has so many, whole, after two or more."""
    rest = told[at : at + length]
    if at < 2 or len(rest) < length or not all(map(_usable, rest)):
        return None
    context: list[str] = []
    for sentence in reversed(told[:at]):
        if context and len(words(" ".join([sentence, *context]))) > CONTEXT:
            break
        context.insert(0, sentence)
    return Cut(" ".join(context), tuple(rest))


def _cut_alike(told: list[str]) -> Cut | None:
    """The document cut before its first three sentences, or else two, that differ and begin with the same word.

    With other beginnings (`One day`, `Suddenly`, `So`) a trigram knows the order from the words at the seams.
    """
    for length in (3, 2):
        for at in range(2, len(told) - length + 1):
            rest = told[at : at + length]
            if len({sentence.split(" ")[0] for sentence in rest}) == 1 and len(set(rest)) == length:
                cut = _cut(told, at, length)
                if cut:
                    return cut
    return None


def _usable(sentence: str) -> bool:
    low, high = SENTENCE_WORDS
    whole = sentence.count('"') % 2 == 0 and sentence.count("\u201c") == sentence.count("\u201d")
    return whole and low <= len(words(sentence)) <= high and sentence[-1] in '.!?"\u201d'


def _twins(name: str, kind: str, cuts: list[Cut], wanted: int) -> list[SuiteItem]:
    """Two items for each pair of documents, each with the sentences of both."""
    ours = _overlaps(cuts)
    own, size = ours.diagonal().copy(), len(cuts)
    # Worth of document i's item to a baseline that chooses by shared words, when j is its twin: 1, 1/2 or 0.
    worth = 0.5 * (1 + np.sign(np.round(own[:, None] - ours, 9)))
    fair = np.isclose(worth + worth.T, 1.0)
    alike = np.where(fair, np.minimum(ours, ours.T), -1.0)
    alike[np.tril_indices(size)] = -1.0
    found: list[SuiteItem] = []
    used: set[int] = set()
    for place in np.argsort(-alike, axis=None, kind="stable"):
        one, other = divmod(int(place), size)
        if alike[one, other] < 0 or len(found) + 2 > wanted:
            break
        if one in used or other in used or cuts[one].rest == cuts[other].rest:
            continue
        used |= {one, other}
        options = tuple(f" {cuts[at].rest[0]}" for at in (one, other))
        number = len(found) // 2 + 1
        for gold, at in enumerate((one, other)):
            found.append(
                SuiteItem(f"{name}-{kind}-{number:03d}{'ab'[gold]}", name, kind, cuts[at].context, options, gold)
            )
    return found


def _overlaps(cuts: list[Cut]) -> np.ndarray:
    """(documents, documents): the share of the words of sentence j that stand in context i."""
    sets = [(set(words(cut.context)), set(words(cut.rest[0]))) for cut in cuts]
    number = {word: at for at, word in enumerate(sorted(set().union(*(both for pair in sets for both in pair))))}
    contexts, options = (np.zeros((len(cuts), len(number)), np.float32) for _ in range(2))
    for at, (context, option) in enumerate(sets):
        contexts[at, [number[word] for word in context]] = 1
        options[at, [number[word] for word in option]] = 1
    return (contexts @ options.T / np.maximum(1, options.sum(1))).astype(np.float64)


def _orders(name: str, cuts: list[Cut], wanted: int, seed: int) -> list[SuiteItem]:
    found = []
    for number, cut in enumerate(cuts[:wanted], 1):
        draw = random.Random(f"{seed} order {cut.context}")
        found.append(_item(name, "order", number, cut.context, " ".join(cut.rest), " ".join(cut.rest[::-1]), draw))
    return found


def _swaps(name: str, cuts: list[Cut], wanted: int, seed: int) -> list[SuiteItem]:
    found: list[SuiteItem] = []
    for cut in cuts:
        draw = random.Random(f"{seed} swap {cut.context}")
        parts = cut.rest[0].split(" ")
        places = [at for at, part in enumerate(parts) if WORD.fullmatch(part)]
        pairs = [(a, b) for a in places for b in places if b - a > 1 and parts[a] != parts[b]]
        if not pairs or len(found) == wanted:
            continue
        one, other = draw.choice(pairs)
        swapped = parts.copy()
        swapped[one], swapped[other] = parts[other], parts[one]
        found.append(_item(name, "swap", len(found) + 1, cut.context, cut.rest[0], " ".join(swapped), draw))
    return found


def _item(name: str, kind: str, number: int, context: str, right: str, wrong: str, draw: random.Random) -> SuiteItem:
    gold = draw.randrange(2)
    options = (f" {right}", f" {wrong}") if gold == 0 else (f" {wrong}", f" {right}")
    return SuiteItem(f"{name}-{kind}-{number:03d}a", name, kind, context, options, gold)
