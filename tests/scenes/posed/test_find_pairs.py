"""The pairs of pictures that are matched: few, and enough to connect all."""

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from scenes.posed.find_pairs import (
    LOOK_ALIKES,
    MAX_EXHAUSTIVE,
    aggregated,
    alike_pairs,
    all_pairs,
    film_pairs,
    largest_group,
    nearest_first,
)


@settings(max_examples=30, deadline=None)
@given(st.integers(MAX_EXHAUSTIVE + 1, 400))
def test_the_pairs_of_a_film_are_few_and_close_a_walk_around(count):
    pairs = film_pairs(count)
    assert len(pairs) == len(set(pairs)) < min(count * 20, len(all_pairs(count)))
    assert all(0 <= i < j < count for i, j in pairs)
    assert {(i, i + 1) for i in range(count - 1)} <= set(pairs)
    assert (0, count - 1) in pairs and sum(j - i > count // 2 for i, j in pairs) >= 40


@settings(max_examples=30, deadline=None)
@given(st.integers(4, MAX_EXHAUSTIVE), st.integers(2, 6))
def test_the_first_pairs_serve_all_pictures_alike(count, partners):
    pairs = nearest_first(all_pairs(count), count)
    assert sorted(pairs) == all_pairs(count)
    assert all((j - i) in (1, count - 1) for i, j in pairs[:count])
    used = np.bincount(np.array(pairs[: count * partners // 2]).ravel(), minlength=count)
    assert used.min() >= partners - 2 and used.max() <= partners + 2


def places(num_places, views, seed=0):
    """Descriptors of pictures of several places: each place has features of its own, each view sees some of them."""
    generator = np.random.default_rng(seed)
    found = []
    for _ in range(num_places):
        own = generator.integers(0, 120, (300, 128))
        for _ in range(views):
            seen = own[generator.permutation(300)[:150]] + generator.integers(-6, 7, (150, 128))
            found.append(np.clip(seen, 0, 255).astype(np.uint8))
    return found


def test_pictures_of_one_place_are_paired():
    views, num_places = 12, 8
    descriptors = places(num_places, views)
    order = np.random.default_rng(1).permutation(len(descriptors))
    pairs = alike_pairs([descriptors[i] for i in order], seed=0)
    together = [order[i] // views == order[j] // views for i, j in pairs]
    assert sum(together) > 0.95 * num_places * views * (views - 1) / 2
    assert len(pairs) <= len(descriptors) * (LOOK_ALIKES + 2) and all(i < j for i, j in pairs)
    numbered = set(alike_pairs(descriptors, seed=0, numbered=True))
    assert {(i, i + offset) for offset in (1, 6) for i in range(len(order) - offset)} <= numbered


def test_pictures_without_features_and_a_seed_that_repeats():
    descriptors = [np.zeros((0, 128), np.uint8), *places(2, 3), np.zeros((0, 128), np.uint8)]
    vectors = aggregated(descriptors, seed=3)
    assert not vectors[0].any() and np.linalg.norm(vectors[1]) > 0.99
    np.testing.assert_array_equal(vectors, aggregated(descriptors, seed=3))
    assert (0, 1) in alike_pairs(descriptors, seed=3)


def test_the_largest_group_is_what_pairs_connect():
    members = set(range(9)) - {4}
    pairs = [(0, 1), (1, 2), (3, 4), (4, 5), (5, 6), (6, 7), (8, 7)]
    assert largest_group(members, pairs) == {5, 6, 7, 8}
    assert largest_group({1, 2}, []) == {1} and largest_group(set(), pairs) == set()
