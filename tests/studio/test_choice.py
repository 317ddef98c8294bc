"""Which of several answers counts where people choose again before the first file is read."""

import copy

import pytest

from apps.studio.choice import Choice
from scenes.errors import BadInput


def test_only_the_answer_to_the_newest_wish_counts():
    choice = Choice()
    first, second = choice.begin("a.png"), choice.begin("b.png")
    assert choice.finish(second, "b") and not choice.finish(first, "a")
    assert choice.current(str(second)) == "b"


def test_nothing_is_handed_out_while_a_newer_file_is_read_or_before_it_is_shown():
    choice = Choice()
    assert choice.current("") is None
    first = choice.begin("a.png")
    choice.finish(first, "a")
    second = choice.begin("b.png")
    with pytest.raises(BadInput, match="b.png is still being read"):
        choice.current(first)
    choice.finish(second, "b")
    with pytest.raises(BadInput, match="another signal was chosen"):
        choice.current(first)
    assert choice.current(second) == "b"
    choice.finish(choice.begin("c.png"), None)
    assert choice.current("") is None


def test_each_page_has_a_choice_of_its_own():
    choice = Choice()
    choice.finish(choice.begin(), "a")
    assert copy.deepcopy(choice).current("") is None
