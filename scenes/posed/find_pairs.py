"""Which pictures are matched with which: all with all, neighbours in time, or those that look alike."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from itertools import combinations

import numpy as np

# Up to this many pictures each is matched with every other one: 1,770 pairs, a minute and a half on two cores.
MAX_EXHAUSTIVE = 60
# Distances in time of the frames of a film that are matched.
OFFSETS = (1, 2, 3, 4, 5, 6, 8, 12, 16, 24)
# Frames spread over a film that are all matched with each other, so that a walk around something closes.
KEY_FRAMES = 24
# Frames at each end of a film that are matched with those at the other end.
END_FRAMES = 4
# Pictures that each one is matched with where they are chosen by their looks.
LOOK_ALIKES = 24
# Distances in the list at which pictures are matched besides, and where their names have numbers.
NEAR = 2
NEAR_NUMBERED = 6
# Words of the vocabulary that is made of the pictures' own features, and features of each picture that it is made of.
WORDS = 64
WORD_FEATURES = 400
# Features of a picture that its descriptor is made of, the largest ones.
PICTURE_FEATURES = 2000
KMEANS_ROUNDS = 12


def all_pairs(count: int) -> list[tuple[int, int]]:
    """Every pair of `count` pictures."""
    return list(combinations(range(count), 2))


def nearest_first(pairs: Iterable[tuple[int, int]], count: int) -> list[tuple[int, int]]:
    """The pairs of `count` pictures by their distance in the list, as if that were a circle.

    However many are matched, from the first one on, all pictures have about as many partners.
    """
    return sorted(pairs, key=lambda pair: (min(abs(pair[1] - pair[0]), count - abs(pair[1] - pair[0])), pair))


def film_pairs(count: int) -> list[tuple[int, int]]:
    """Pairs of neighbours in time, of the two ends, and of key frames, for `count` frames in their order."""
    pairs = {(i, i + offset) for offset in OFFSETS for i in range(count - offset)}
    keys = sorted({int(i) for i in np.linspace(0, count - 1, min(count, KEY_FRAMES)).round()})
    pairs |= set(combinations(keys, 2))
    pairs |= {(i, j) for i in range(END_FRAMES) for j in range(count - END_FRAMES, count) if i < j}
    return sorted(pairs)


def alike_pairs(descriptors: Sequence[np.ndarray], seed: int, *, numbered: bool = False) -> list[tuple[int, int]]:
    """Pairs of pictures that look alike, and of neighbours in the list.

    Pictures are compared by their vectors of locally aggregated descriptors (Jégou et al. 2010) over a vocabulary that
    is learned from these pictures, so that nothing is downloaded.

    Args:
        descriptors: `[n, 128]` uint8 of each picture, the largest features first.
        numbered: whether neighbours were probably taken one after another; more of them are paired then.
    """
    vectors = aggregated(descriptors, seed)
    likeness = vectors @ vectors.T
    np.fill_diagonal(likeness, -np.inf)
    count = len(vectors)
    best = np.argsort(-likeness, axis=1)[:, : min(LOOK_ALIKES, count - 1)]
    pairs = {(min(i, int(j)), max(i, int(j))) for i in range(count) for j in best[i]}
    near = NEAR_NUMBERED if numbered else NEAR
    pairs |= {(i, i + offset) for offset in range(1, near + 1) for i in range(count - offset)}
    return sorted(pairs)


def largest_group(members: set[int], pairs: Iterable[tuple[int, int]]) -> set[int]:
    """The largest set of members that pairs of members connect; of equal ones that with the least member."""
    neighbours: dict[int, set[int]] = {member: set() for member in members}
    for a, b in pairs:
        if a in members and b in members:
            neighbours[a].add(b)
            neighbours[b].add(a)
    best: set[int] = set()
    left = set(members)
    while left:
        group: set[int] = set()
        reached = {min(left)}
        while reached:
            group |= reached
            reached = set().union(*(neighbours[member] for member in reached)) - group
        left -= group
        if len(group) > len(best):
            best = group
    return best


def aggregated(descriptors: Sequence[np.ndarray], seed: int) -> np.ndarray:
    """Vectors of locally aggregated descriptors `[N, WORDS * 128]` float32 of unit length; zero without features."""
    generator = np.random.default_rng(seed)
    some = [d[generator.permutation(len(d))[:WORD_FEATURES]] for d in descriptors]
    words = _means(_roots(np.concatenate(some)), generator)
    vectors = np.zeros((len(descriptors), words.size), np.float32)
    for vector, found in zip(vectors, descriptors, strict=True):
        features = _roots(found[:PICTURE_FEATURES])
        if not len(features):
            continue
        nearest = _nearest(features, words)
        sums = np.zeros_like(words)
        np.add.at(sums, nearest, features - words[nearest])
        # Each word counts the same, however many features are near it (Arandjelovic and Zisserman 2013).
        sums /= np.maximum(np.linalg.norm(sums, axis=1, keepdims=True), 1e-9)
        vector[:] = sums.reshape(-1) / max(float(np.linalg.norm(sums)), 1e-9)
    return vectors


def _roots(descriptors: np.ndarray) -> np.ndarray:
    """Descriptors of unit length, float32."""
    values = descriptors.astype(np.float32)
    return values / np.maximum(np.linalg.norm(values, axis=1, keepdims=True), 1e-9)


def _nearest(features: np.ndarray, words: np.ndarray) -> np.ndarray:
    return (np.square(words).sum(axis=1) - 2 * features @ words.T).argmin(axis=1)


def _means(features: np.ndarray, generator: np.random.Generator) -> np.ndarray:
    """Centres `[WORDS, 128]` by Lloyd's algorithm (1982), from random features."""
    words = features[generator.permutation(len(features))[: min(WORDS, len(features))]].copy()
    for _ in range(KMEANS_ROUNDS):
        nearest = _nearest(features, words)
        counts = np.bincount(nearest, minlength=len(words))
        sums = np.zeros_like(words)
        np.add.at(sums, nearest, features)
        words[counts > 0] = sums[counts > 0] / counts[counts > 0, None]
    return words
