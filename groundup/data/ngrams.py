"""Word n-grams as 64-bit hashes: what leaks, near-duplicates and repetition are found with.

A word is hashed by a polynomial over its bytes (Karp and Rabin 1987), an n-gram by a polynomial over its words, both
modulo 2^64, which numpy's unsigned integers do by themselves. Prefix sums give the hashes of all words of a text in a
few passes over its bytes; each result is scrambled by the finaliser of SplitMix64 (Steele, Lea and Flood 2014), so
that its low bits are as good as its high ones. Nothing depends on the process, the machine or the size of a batch.
"""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

MODULUS = 1 << 64
PART = 1 << 22  # characters of a long text that are in memory as arrays at once
BLOCK = 1 << 15  # bytes hashed at once: the tables of powers then stay in the processor's cache
BYTE_BASE, WORD_BASE = 0x9E3779B97F4A7C15, 0xD1342543DE82EF97  # odd, hence with an inverse modulo 2^64

POWERS = np.cumprod(np.full(BLOCK, BYTE_BASE, np.uint64))
INVERSES = np.cumprod(np.full(BLOCK, pow(BYTE_BASE, -1, MODULUS), np.uint64))

# Letters and digits of ASCII in lower case, bytes of longer UTF-8 sequences as they are, zero for what separates words.
FOLD = bytes(code if code > 127 else ord(chr(code).lower()) * chr(code).isalnum() for code in range(256))
# Within ASCII the table is faster. U+0345, a mark, casefolds to a letter: the only one that does.
SEPARATOR_BEYOND_ASCII = re.compile(r"[^\x00-\x7f\w\u0345]+")


@dataclass(frozen=True)
class Words:
    """The words of a text: their hashes, where they start and how long they are in the bytes of `fold`."""

    hashes: np.ndarray  # uint64
    starts: np.ndarray  # int64
    lengths: np.ndarray  # int64


def canonical(text: str) -> str:
    """The words of a text, casefolded and joined by single spaces.

    A word is a run of letters and digits; where a script puts no spaces between words, it is what stands between marks.
    """
    folded = np.frombuffer(fold(text), np.uint8)
    keep = folded != 0
    keep[1:] |= keep[:-1].copy()  # one separator after each word
    return folded[keep].tobytes().replace(b"\0", b" ").strip().decode()


def ngram_hashes(text: str, n: int) -> np.ndarray:
    """One uint64 for each n words in a row, in order; one for the whole text if it has fewer, none if it has no words.

    Equal n-grams have equal hashes in any process; different ones have different hashes but for chance, 2^-60 a pair.
    """
    words, found = np.empty(0, np.uint64), []
    for part in _parts(text):
        words = np.concatenate([words[max(0, len(words) - n + 1) :], hash_words(fold(part)).hashes])
        found.append(hash_ngrams(words, n))
    return np.concatenate(found) if any(map(len, found)) else hash_ngrams(words, len(words))


def batch_ngram_hashes(texts: Sequence[str], n: int) -> tuple[np.ndarray, np.ndarray]:
    """`ngram_hashes` of many texts, end to end, and the len(texts) + 1 offsets at which those of a text begin and end.

    Faster than one by one where texts are short.
    """
    hashes, lengths = [np.empty(0, np.uint64)], [np.zeros(1, np.int64)]
    for group in groups(texts):
        found, each = _group_ngrams(group, n)
        hashes.append(found)
        lengths.append(each)
    return np.concatenate(hashes), np.cumsum(np.concatenate(lengths))


def batch_word_hashes(texts: Sequence[str]) -> tuple[np.ndarray, np.ndarray]:
    """Hashes of the words of many texts, end to end, and the len(texts) + 1 offsets of each text's."""
    hashes, counts = [np.empty(0, np.uint64)], [np.zeros(1, np.int64)]
    for group in groups(texts):
        folded = [fold(text) for text in group]
        words = hash_words(b"\0".join(folded))
        borders = np.cumsum([0, *(len(one) + 1 for one in folded)])
        hashes.append(words.hashes)
        counts.append(np.diff(np.searchsorted(words.starts, borders)))
    return np.concatenate(hashes), np.cumsum(np.concatenate(counts))


def fold(text: str) -> bytes:
    """UTF-8 bytes of the text, casefolded, with zeros for all but letters and digits."""
    if len(text) > BLOCK:  # piecewise: most pieces of a long text are ASCII, even where the whole is not
        return b"".join(fold(text[start : start + BLOCK]) for start in range(0, len(text), BLOCK))
    if not text.isascii():
        text = SEPARATOR_BEYOND_ASCII.sub("\0", text)
    if not text.isascii():  # there were not only quotation marks and dashes
        text = SEPARATOR_BEYOND_ASCII.sub("\0", text.casefold())
    return text.encode().translate(FOLD)


def hash_words(folded: bytes) -> Words:
    """The words of folded bytes. Those are worked through in blocks, across whose borders words may go on."""
    hashes, starts, ends = [np.empty(0, np.uint64)], [np.empty(0, np.int64)], [np.empty(0, np.int64)]
    inside = False
    for place in range(0, len(folded), BLOCK):
        block = np.frombuffer(folded[place : place + BLOCK], np.uint8)
        size = len(block)
        sums = np.zeros(size + 1, np.uint64)
        np.cumsum(block * POWERS[:size], out=sums[1:])
        word = np.empty(size + 1, bool)
        word[0], word[1:] = inside, block != 0
        change = np.flatnonzero(word[1:] != word[:-1])  # beginnings and ends of words, by turns
        begin, end = change[inside::2], change[not inside :: 2]
        border = sums[np.append(begin, size)]
        if inside:  # what stands before the first beginning belongs to the last word of the blocks before
            more = int(border[0]) * pow(BYTE_BASE, place - int(starts[-1][-1]) - 1, MODULUS)
            hashes[-1][-1] = (int(hashes[-1][-1]) + more) % MODULUS
        if len(begin):
            hashes.append((border[1:] - border[:-1]) * INVERSES[begin])
            starts.append(begin + place)
        ends.append(end + place)
        inside = bool(word[-1])
    start, stop = np.concatenate(starts), np.concatenate([*ends, [len(folded)]] if inside else ends)
    return Words(_scramble(np.concatenate(hashes)), start, stop - start)


def hash_ngrams(words: np.ndarray, n: int) -> np.ndarray:
    """Hashes of each n of the words' hashes in a row: len(words) - n + 1 of them, none if there are fewer words."""
    if not 0 < n <= len(words):
        return np.empty(0, np.uint64)
    grams, length = words, 1
    for bit in f"{n:b}"[1:]:  # as in raising to a power: double the length, then add one where n has a bit
        grams = grams[:-length] * np.uint64(pow(WORD_BASE, length, MODULUS)) + grams[length:]
        length *= 2
        if bit == "1":
            grams = grams[:-1] * np.uint64(WORD_BASE) + words[length:]
            length += 1
    return _scramble(grams.copy() if grams is words else grams)


def _scramble(hashes: np.ndarray) -> np.ndarray:
    """The finaliser of SplitMix64, in place: every bit in depends on every bit out; one to one."""
    for shift, factor in ((30, 0xBF58476D1CE4E5B9), (27, 0x94D049BB133111EB)):
        hashes ^= hashes >> np.uint64(shift)
        hashes *= np.uint64(factor)
    hashes ^= hashes >> np.uint64(31)
    return hashes


def _parts(text: str) -> Iterator[str]:
    """A text in parts of about PART characters, cut at spaces."""
    start = 0
    while len(text) - start > PART:
        end = text.rfind(" ", start + 1, start + PART)
        end = end if end > 0 else text.find(" ", start + PART)
        if end < 0:
            break
        yield text[start:end]
        start = end
    yield text[start:] if start else text


def groups(texts: Sequence[str]) -> Iterator[list[str]]:
    """Texts in groups of about eight blocks: enough that numpy's cost per call does not matter."""
    group: list[str] = []
    size = 0
    for text in texts:
        group.append(text)
        size += len(text)
        if size > 8 * BLOCK:
            yield group
            group, size = [], 0
    if group:
        yield group


def _group_ngrams(texts: list[str], n: int) -> tuple[np.ndarray, np.ndarray]:
    """N-gram hashes of texts end to end, and how many each text has."""
    folded = [fold(text) for text in texts]
    words = hash_words(b"\0".join(folded))
    borders = np.cumsum([0, *(len(one) + 1 for one in folded)])
    first = np.searchsorted(words.starts, borders)
    counts, first = np.diff(first), first[:-1]  # words of each text, and the index of its first one
    lengths = np.minimum(counts, n)
    grams = counts - lengths + (counts > 0)
    offsets = np.cumsum(grams) - grams
    hashes = np.empty(grams.sum(), np.uint64)
    for length in np.unique(lengths):  # n, and what shorter texts have
        these = lengths == length
        where, source = _ranges(offsets[these], grams[these]), _ranges(first[these], grams[these])
        hashes[where] = hash_ngrams(words.hashes, int(length))[source]
    return hashes, grams


def _ranges(starts: np.ndarray, lengths: np.ndarray) -> np.ndarray:
    """start, start + 1, ... of each start, as many as its length."""
    return np.arange(lengths.sum()) + np.repeat(starts - np.cumsum(lengths) + lengths, lengths)
