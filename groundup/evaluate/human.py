"""Held-out human text, cut like what a model wrote: as many texts, of the same lengths, in the same shares."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from groundup.errors import GroundupError
from groundup.evaluate.estimate import Estimate
from groundup.tokens.pack import read_documents, read_shards

SPLITS = ("valid", "test")


@dataclass(frozen=True)
class HeldOut:
    """Documents of one source that nothing was trained on, without their end-of-text tokens."""

    source: str
    documents: list[np.ndarray]

    @property
    def lengths(self) -> np.ndarray:
        return np.array([len(document) for document in self.documents], np.int64)


@dataclass(frozen=True)
class Piece:
    """Tokens cut out of a held-out document; `document` counts through all sources."""

    tokens: np.ndarray
    document: int


def held_out(shards: Path, sources: Sequence[str]) -> list[HeldOut]:
    """The validation and test documents of the sources that have some. Raises GroundupError `artifact-damaged`."""
    found = []
    for source in sources:
        documents: list[np.ndarray] = []
        for split in SPLITS:
            for tokens, rows in zip(
                read_shards(shards, source, split), read_documents(shards, source, split), strict=True
            ):
                starts = rows["start"].astype(np.int64)
                ends = np.append(starts[1:], len(tokens)) - 1
                documents += [np.array(tokens[start:end]) for start, end in zip(starts, ends, strict=True)]
        if documents:
            found.append(HeldOut(source, documents))
    return found


def matched(
    wanted: Sequence[tuple[int, int]], sources: Sequence[HeldOut], shares: dict[str, float], seed: int
) -> list[Piece]:
    """A piece of held-out text for each text written: `wanted` has the tokens of its prompt and of what follows.

    From a document of a source drawn by `shares` (in any unit; a source without one is not drawn, unless none has one)
    as many tokens as the prompt had are passed over, and as many as were written are taken; what remains of the
    document may be drawn again. So no token is used twice. Where no document has enough left, the one with most
    gives what it has; where none has any, there are fewer pieces than texts. The same seed gives the same pieces.
    Raises GroundupError `text-too-short` where there is no held-out text at all.
    """
    lengths = [one.lengths for one in sources]
    if not sum(int(one.sum()) for one in lengths):
        what = "the run has no held-out text to compare with"
        raise GroundupError("text-too-short", what, "a larger data.valid_fraction or data.test_fraction")
    random = np.random.default_rng(seed)
    weights = np.array([shares.get(one.source, 0.0) for one in sources])
    weights = weights / weights.sum() if weights.sum() > 0 else np.full(len(sources), 1 / len(sources))
    used = [np.zeros(len(one), np.int64) for one in lengths]
    first = np.cumsum([0, *map(len, lengths)])
    pieces = []
    for prompt, length in sorted(wanted, key=lambda both: -sum(both)):  # long ones while there are long documents
        place = _draw(random, weights, [all - gone for all, gone in zip(lengths, used, strict=True)], prompt + length)
        if place is None:
            break
        source, document = place
        begin = int(used[source][document])
        tokens = sources[source].documents[document][begin : begin + prompt + length]
        used[source][document] += len(tokens)
        pieces.append(Piece(tokens[min(prompt, len(tokens) - 1) :][:length], int(first[source]) + document))
    return pieces


def _draw(
    random: np.random.Generator, weights: np.ndarray, left: list[np.ndarray], need: int
) -> tuple[int, int] | None:
    """(source, document) that has enough left; if none has, the one with most; None where nothing is left."""
    order = random.choice(len(weights), len(weights), replace=False, p=_positive(weights))
    for source in order:
        if len(enough := np.flatnonzero(left[source] >= need)):
            return int(source), int(random.choice(enough))
    most = max(range(len(left)), key=lambda source: int(left[source].max(initial=0)))
    document = int(left[most].argmax())
    return (most, document) if left[most][document] > 0 else None


def _positive(weights: np.ndarray) -> np.ndarray:
    """So that every source has its place in the order, those without a share behind the others, nearly always."""
    lifted = np.maximum(weights, 1e-12)
    return lifted / lifted.sum()


def ends_within(sources: Sequence[HeldOut], shares: dict[str, float], tokens: float) -> Estimate:
    """Share of the held-out documents of at most so many tokens, each source in its share."""
    weights = np.array([shares.get(one.source, 0.0) for one in sources])
    weights = weights / weights.sum() if weights.sum() > 0 else np.full(len(sources), 1 / max(1, len(sources)))
    counts = np.array([len(one.documents) for one in sources])
    if not counts.sum():
        return Estimate(None)
    parts = np.array([float((one.lengths <= tokens).mean()) for one in sources])
    variance = float((weights**2 * parts * (1 - parts) / counts).sum())  # of a stratified sample
    return Estimate(
        float(weights @ parts), variance**0.5 if counts.sum() > 1 else None, int(counts.sum()), int(counts.sum())
    )
