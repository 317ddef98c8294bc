"""Errors in the page's words: labels of controls, no folders of the server, no flags, no names of classes."""

import pytest

from apps.studio.messages import message_of, unexpected
from scenes.errors import BadInput


@pytest.mark.parametrize(
    "text, shown",
    [
        ("`steps=0`: should be at least 1", "“Steps” 0: should be at least 1"),
        ("/srv/my runs/.uploads/0123456789abcdef/photo.png: is damaged", "photo.png: is damaged"),
        ("/home/me/runs/.uploads/examples/bells.wav: is damaged", "bells.wav: is damaged"),
        ("/home/me/runs/cat: this run has no weights", "cat: this run has no weights"),
        ("give --held-out=0.1 too", "give “Held-out samples” 0.1 too"),
        ("at 1/2 of 3 m/s, and/or 10 km/h", "at 1/2 of 3 m/s, and/or 10 km/h"),
        ("x.mp4: has no cameras; find those of a video with: fit-a-scene poses /a/x.mp4 --out my-scene", None),
        ("USD files need usd-core: pip install 'field-studio[usd]'", None),
    ],
)
def test_messages_speak_of_the_page(text, shown):
    found = message_of(BadInput(text))
    assert shown is None or found == shown
    assert not any(word in found for word in ("--", "fit-a-scene", "pip ", ".uploads", "/srv", "/home"))


def test_unforeseen_errors_show_no_classes_and_no_folders():
    assert unexpected(KeyError("positions")).startswith("something went wrong")
    assert unexpected(OSError(28, "No space left on device", "/srv/runs/x")) == (
        "the server could not read or write a file: no space left on device"
    )
