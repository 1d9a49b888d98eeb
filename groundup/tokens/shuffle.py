"""A shuffled order that needs no memory: where each place of it leads can be computed by itself.

A Feistel network is a permutation of all numbers of so many bits, whatever its round function is (Luby and Rackoff
1988); walking on until a number falls into the range makes it a permutation of that range (Black and Rogaway 2002,
"Ciphers with Arbitrary Finite Domains", the cycle-walking cipher). It gives the same order with every version of
every library.
"""

import numpy as np

ROUNDS = 6
Words = np.ndarray  # of uint64


def scramble(words: Words) -> Words:
    """64 bits to 64 bits that look unrelated, one to one: the finaliser of SplitMix64 (Steele et al. 2014)."""
    words = (words ^ words >> np.uint64(30)) * np.uint64(0xBF58476D1CE4E5B9)
    words = (words ^ words >> np.uint64(27)) * np.uint64(0x94D049BB133111EB)
    return words ^ words >> np.uint64(31)


def keys(key: int, numbers: np.ndarray) -> Words:
    """A key (n,) for each of the numbers (n,), derived from one key of 64 bits."""
    golden = np.uint64(0x9E3779B97F4A7C15)  # SplitMix64's step
    return scramble(np.uint64(key) + (numbers.astype(np.uint64) + np.uint64(1)) * golden)


def shuffled(places: np.ndarray, size: int, key: Words) -> np.ndarray:
    """(n,) int64: what stands at each of the places (n,) when 0 ... size - 1 are shuffled by the keys (n,)."""
    half = np.uint64(max(1, ((size - 1).bit_length() + 1) // 2))
    mask = (np.uint64(1) << half) - np.uint64(1)
    values = places.astype(np.uint64)
    outside = np.arange(len(values))
    while len(outside):
        left, right = values[outside] >> half, values[outside] & mask
        for number in range(ROUNDS):
            turned = scramble(key[outside] + (right << np.uint64(8)) + np.uint64(number))
            left, right = right, left ^ turned & mask
        values[outside] = left << half | right
        outside = outside[values[outside] >= size]
    return values.astype(np.int64)
