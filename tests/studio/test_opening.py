"""A file whose reader takes long: the next one does not wait for it once nobody wants it any more."""

import shutil
import threading

import pytest

pytest.importorskip("gradio")

from apps.studio.opening import MAX_LEFT, Opening  # noqa: E402
from apps.studio.tabs import fit as fit_tab  # noqa: E402


def test_what_is_given_up_delays_nothing_and_few_go_on_beside():
    opening, goes_on = Opening(), threading.Event()
    wanted = True
    try:
        assert opening.result(lambda: 3, lambda: True) == 3
        with pytest.raises(KeyError):
            opening.result(lambda: {}["a"], lambda: True)
        with pytest.raises(TimeoutError):
            opening.result(lambda: (_ for _ in ()).throw(TimeoutError), lambda: True)
        wanted = False
        for _ in range(MAX_LEFT):
            assert opening.result(lambda: goes_on.wait(60), lambda: wanted) is None
        assert opening.result(lambda: 4, lambda: True) == 4
        # One more has nobody beside it: what comes after it waits.
        assert opening.result(lambda: goes_on.wait(60), lambda: wanted) is None
        behind = opening.submit(lambda: 5)
        assert not behind.done()
        goes_on.set()
        assert behind.result(60) == 5
    finally:
        goes_on.set()
        opening.close()


@pytest.mark.slow
@pytest.mark.skipif(shutil.which("chromium") is None, reason="the system has no chromium: apt install chromium")
def test_a_file_that_takes_long_to_read_can_be_cancelled(visit, photograph, monkeypatch):
    pytest.importorskip("playwright")
    goes_on, shown = threading.Event(), fit_tab.shown_signal
    monkeypatch.setattr(fit_tab, "shown_signal", lambda *given: goes_on.wait(60) and shown(*given))
    visitor = visit()
    page = visitor.page
    try:
        visitor.upload(photograph)
        visitor.shows(".opening", "Reading the file")
        page.locator(".opening").get_by_role("button", name="Cancel").click()
        visitor.shows("#about", "Cancelled: nothing is chosen.")
        page.wait_for_function("!document.querySelector('.opening')")
        # The next one is opened at once, while the first is still being read.
        monkeypatch.setattr(fit_tab, "shown_signal", shown)
        visitor.example("Chelsea", "image")
        assert not goes_on.is_set()
    finally:
        goes_on.set()
    visitor.shows("#estimate", "parameters")
    assert "chelsea" in page.locator("#example input").input_value().lower()
