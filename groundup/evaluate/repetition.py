"""How a text repeats itself: n-grams that were there before, and loops that it does not leave."""

from dataclasses import dataclass

import numpy as np

from groundup.evaluate.words import ngrams

COPIES, SHORTEST = 3, 2  # a loop is a phrase of two words or more that stands there three times


def repeated(words: list[str], n: int) -> float | None:
    """Share of a text's n-grams that stood in it before: seq-rep-n, 1 - distinct n-grams / n-grams.

    Welleck et al. 2020, "Neural Text Generation with Unlikelihood Training", section 6.1, which takes the mean over the
    continuations. None where the text has no n-gram. It grows with the text's length, so texts of equal length compare.
    """
    grams = ngrams(words, n)
    return 1 - len(set(grams)) / len(grams) if grams else None


@dataclass(frozen=True)
class Loop:
    """The words from `onset` on are copies of the `period` words there; the last copy may be cut off."""

    onset: int
    period: int


def find_loop(words: list[str]) -> Loop | None:
    """The loop that a text ends in, or None.

    Exact: at least the last `COPIES` x p words have period p (w[j] = w[j - p] for all of them but the first p), for
    some p of `SHORTEST` words or more. Of several, the one that began first, and of these the shortest p. After
    Holtzman et al. 2020, "The Curious Case of Neural Text Degeneration", who count texts that end with a phrase of at
    least two tokens repeated at least three times; a last copy that the limit cut off counts here, too. A word that is
    said over and over is a phrase of two. A loop that a text leaves again is seen by `repeated` alone.
    """
    ids = np.unique(words, return_inverse=True)[1]
    best: Loop | None = None
    for period in range(SHORTEST, len(ids) // COPIES + 1):
        differ = np.flatnonzero(ids[period:] != ids[:-period])
        onset = int(differ[-1]) + 1 if len(differ) else 0
        if len(ids) - onset >= COPIES * period and (best is None or onset < best.onset):
            best = Loop(onset, period)
    return best
