"""What of a text stands in the training text: new n-grams, copied spans and the documents they come from."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from groundup.evaluate.estimate import Estimate, mean, ratio
from groundup.evaluate.suffixes import Matches, longest_matches, sort_suffixes
from groundup.tokens.pack import read_documents, read_shards

# A run of tokens from here on counts as copied. One in ten held-out pieces of 200 tokens holds such a run, one in a
# hundred a run of 28, where the training text has 4 million tokens (docs/log.md).
COPIED = 20


@dataclass(frozen=True)
class Origin:
    """A place in the training text."""

    source: str
    document: str  # first 16 digits of the document's id in the corpus
    token: int  # of the document
    before: np.ndarray  # tokens of the document that stand before it, and behind the span
    behind: np.ndarray


@dataclass(frozen=True)
class Training:
    """The training text of a run as token shards, memory-mapped, and their documents."""

    names: list[str]  # the source of each shard
    shards: list[np.ndarray]
    documents: list[np.ndarray]

    @property
    def tokens(self) -> int:
        return sum(map(len, self.shards))

    def origin(self, place: int, length: int, around: int) -> Origin:
        """What stands at the `place`-th of all tokens, with up to `around` tokens of its document on either side."""
        begins = np.cumsum([0, *map(len, self.shards)])
        shard = int(np.searchsorted(begins, place, side="right")) - 1
        inside, documents = place - int(begins[shard]), self.documents[shard]
        number = int(np.searchsorted(documents["start"], inside, side="right")) - 1
        start = int(documents["start"][number])
        following = int(documents["start"][number + 1]) if number + 1 < len(documents) else len(self.shards[shard])
        tokens = self.shards[shard]
        before = tokens[max(start, inside - around) : inside]
        behind = tokens[inside + length : min(following - 1, inside + length + around)]  # without the end of text
        name = f"{int(documents['id'][number]):016x}"
        return Origin(self.names[shard], name, inside - start, np.array(before), np.array(behind))


def training(shards: Path, sources: Sequence[str]) -> Training:
    """Open the training shards of some sources. Raises GroundupError `artifact-damaged`."""
    names, tokens, documents = [], [], []
    for source in sources:
        for one, its in zip(read_shards(shards, source, "train"), read_documents(shards, source, "train"), strict=True):
            names.append(source)
            tokens.append(one)
            documents.append(its)
    return Training(names, tokens, documents)


def find_copies(texts: Sequence[np.ndarray], train: Training, vocab_size: int) -> Matches:
    """Of each token of each text, the longest run from it on that stands in one training document."""
    return longest_matches(sort_suffixes(list(texts), vocab_size), train.shards)


def new(matches: Matches, n: int, clusters: Sequence[int]) -> Estimate:
    """Share of the n-grams of tokens that the training text does not hold.

    The n-novelty of Merrill et al. 2024, "Evaluating n-Gram Novelty of Language Models"; McCoy et al. 2023, "How Much
    Do Language Models Copy From Their Training Data?", asked the same of words. It depends on the tokenizer.
    """
    grams = [max(0, len(lengths) - n + 1) for lengths in matches.lengths]
    unseen = [
        int((lengths[:count] < n).sum()) if count else 0 for lengths, count in zip(matches.lengths, grams, strict=True)
    ]
    return ratio(unseen, grams, clusters)


@dataclass(frozen=True)
class Span:
    """Tokens `start` to `start + length` of a text, which stand at `place` in the training text."""

    start: int
    length: int
    place: int


def longest(lengths: np.ndarray, places: np.ndarray) -> Span:
    """The longest copied span of a text, the first of equal ones; of length 0 where nothing of it was found."""
    if not len(lengths):
        return Span(0, 0, -1)
    at = int(np.argmax(lengths))
    return Span(at, int(lengths[at]), int(places[at]))


def spans(lengths: np.ndarray, places: np.ndarray, least: int = COPIED) -> list[Span]:
    """The copied spans of at least `least` tokens that no other one holds, in order; they may overlap."""
    found: list[Span] = []
    for start in np.flatnonzero(lengths >= least):
        length = int(lengths[start])
        if not found or start + length > found[-1].start + found[-1].length:
            found.append(Span(int(start), length, int(places[start])))
    return found


def covered(lengths: np.ndarray, places: np.ndarray, least: int = COPIED) -> int:
    """Tokens that lie in a copied span of at least `least` tokens."""
    inside = np.zeros(len(lengths), bool)
    for span in spans(lengths, places, least):
        inside[span.start : span.start + span.length] = True
    return int(inside.sum())


def longest_copies(matches: Matches, clusters: Sequence[int]) -> Estimate:
    """Mean length in tokens of the longest copied span of a text."""
    return mean([float(lengths.max()) if len(lengths) else None for lengths in matches.lengths], clusters)


def copied(matches: Matches, clusters: Sequence[int]) -> Estimate:
    """Share of the tokens that lie in copied spans of at least `COPIED` tokens."""
    inside = [covered(*pair) for pair in zip(matches.lengths, matches.places, strict=True)]
    return ratio(inside, list(map(len, matches.lengths)), clusters)
