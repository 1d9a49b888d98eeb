"""How much the texts of a set differ: distinct n-grams, self-BLEU, compression, vocabulary.

All of these depend on how much text they see. So text is cut into blocks of equal size and a figure is the mean over
the blocks, with the standard error between blocks: sets of any size compare, as long as their blocks are of one size.
"""

import math
import zlib
from collections import Counter
from collections.abc import Sequence

from groundup.evaluate.estimate import Estimate, mean
from groundup.evaluate.words import ngrams

SMOOTHING = 0.1  # the count that stands for none: Chen and Cherry 2014, method 1, as in NLTK and in Texygen's self-BLEU


def _over(values: Sequence[float]) -> Estimate:
    return mean(list(values), range(len(values)))


def blocks(texts: Sequence[list[str]], size: int) -> list[list[list[str]]]:
    """The texts, in order, as blocks of exactly `size` words; a text may be divided, and the rest is left out."""
    if size < 1:
        return []
    done: list[list[list[str]]] = []
    block: list[list[str]] = []
    room = size
    for text in texts:
        while len(text) >= room:
            done.append([*block, text[:room]])
            block, text, room = [], text[room:], size
        if text:
            block.append(text)
            room -= len(text)
    return done


def distinct(texts: Sequence[list[str]], n: int, size: int) -> Estimate:
    """Distinct n-grams by n-grams in `size` words: distinct-n (Li et al. 2016, "A Diversity-Promoting Objective
    Function for Neural Conversation Models"), which falls as the text grows, here of equal blocks.

    With n = 1 it is the mean segmental type-token ratio (Johnson 1944). An n-gram lies in one text.
    """
    shares = []
    for block in blocks(texts, size):
        grams = [gram for text in block for gram in ngrams(text, n)]
        if grams:
            shares.append(len(set(grams)) / len(grams))
    return _over(shares)


def self_bleu(texts: Sequence[list[str]], size: int, n: int = 4) -> Estimate:
    """Mean BLEU of each text against the others of its group of `size` texts: the higher, the more alike they are.

    Zhu et al. 2018, "Texygen". BLEU by Papineni et al. 2002 with n-grams up to `n` in equal weights, smoothed by method
    1, as NLTK's sentence_bleu computes it. It rises with the number of texts to compare with, so groups are of equal
    size; texts without words are left out, and so is an incomplete group.
    """
    full = [text for text in texts if text]
    groups = [full[begin : begin + size] for begin in range(0, len(full) - size + 1, size)] if size > 1 else []
    return _over([sum(scores) / len(scores) for scores in (_against_others(group, n) for group in groups)])


def _against_others(group: Sequence[list[str]], n: int) -> list[float]:
    """BLEU of each text with all others as references."""
    counts = [[Counter(ngrams(text, length)) for text in group] for length in range(1, n + 1)]
    tops = [_two_highest(of_length) for of_length in counts]
    lengths = Counter(len(text) for text in group)
    scores = []
    for number, text in enumerate(group):
        log_precision = 0.0
        for of_length, top in zip(counts, tops, strict=True):
            own = of_length[number]
            clipped = 0
            for gram, count in own.items():
                highest, second, whose = top[gram]
                clipped += min(count, second if whose == number else highest)
            if not clipped and of_length is counts[0]:
                log_precision = -math.inf  # not a word in common: no smoothing makes that anything but 0
                break
            log_precision += math.log((clipped or SMOOTHING) / max(1, own.total())) / n
        others = lengths - Counter([len(text)])
        closest = min(others, key=lambda length: (abs(length - len(text)), length))
        penalty = 1.0 if len(text) > closest else math.exp(1 - closest / len(text))
        scores.append(penalty * math.exp(log_precision))
    return scores


def _two_highest(counts: Sequence[Counter[tuple[str, ...]]]) -> dict[tuple[str, ...], tuple[int, int, int]]:
    """Of each n-gram how often it stands in the text that has most of it, in the next one, and which text is first."""
    found: dict[tuple[str, ...], tuple[int, int, int]] = {}
    for number, counter in enumerate(counts):
        for gram, count in counter.items():
            highest, second, whose = found.get(gram, (0, 0, -1))
            if count > highest:
                found[gram] = count, highest, number
            elif count > second:
                found[gram] = highest, count, whose
    return found


def compression(texts: Sequence[str], size: int) -> Estimate:
    """UTF-8 bytes by their number after zlib (level 9), in blocks of `size` bytes: the higher, the more repetitive.

    The compression ratio of Shaib et al. 2024, "Standardizing the Measurement of Text Diversity", with the algorithm of
    gzip without its header. Its window of 32 KiB holds a block of `size` whole.
    """
    data = "\n".join(texts).encode(errors="replace") if size > 0 else b""
    cut = [data[begin : begin + size] for begin in range(0, len(data) - size + 1, max(1, size))] if data else []
    return _over([size / len(zlib.compress(one, 9)) for one in cut])
