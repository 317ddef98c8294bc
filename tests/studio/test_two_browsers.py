"""Two browsers on one run, of which one deletes it, and a studio that is started again under an open page."""

import os
import shutil
import signal
import socket
import subprocess
import sys
import time

import pytest

pytest.importorskip("gradio")
pytest.importorskip("playwright")
pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(shutil.which("chromium") is None, reason="the system has no chromium: apt install chromium"),
]
STEPS = 400_000


def test_what_one_browser_does_to_a_run_the_other_shows(visit):
    first, second = visit(), visit()
    first.example("Chelsea", "image")
    first.steps(STEPS)
    first.fit()
    job = list(first.studio.queue.jobs.values())[-1]
    first.state("running")
    second.page.goto(f"{second.address}/run/{job.path.name}")
    second.state("running")
    second.page.get_by_role("button", name="Pause").click()
    assert first.state("paused") == "paused"
    first.page.get_by_role("button", name="Resume").click()
    assert second.state("running") == "running"
    # Both at once: one of them is first, and the other is told of a fit that stops, which is no error.
    for visitor in (first, second):
        visitor.page.get_by_role("button", name="Pause").evaluate("button => button.click()")
    assert first.state("paused") == second.state("paused") == "paused"
    second.page.get_by_role("button", name="Delete", exact=True).first.click()
    second.page.get_by_role("button", name="Undo").wait_for()
    first.shows("#live .note", "This run was deleted.")
    assert not first.page.get_by_role("link", name="View, inspect and export").is_visible()
    assert not first.page.get_by_role("button", name="Resume").is_visible()


def start(runs, port):
    """A studio as a process of its own, once it answers."""
    call = [sys.executable, "-m", "apps.cli.main", "studio", "--no-browser", "--port", str(port), "--runs", str(runs)]
    process = subprocess.Popen(call, stderr=subprocess.DEVNULL, env={**os.environ, "OMP_NUM_THREADS": "1"})
    begun = time.monotonic()
    while time.monotonic() - begun < 120:
        assert process.poll() is None, "the studio ended"
        try:
            socket.create_connection(("127.0.0.1", port), timeout=1).close()
            return process
        except OSError:
            time.sleep(0.1)
    raise AssertionError("the studio did not start")


def test_a_page_that_is_open_while_the_studio_is_started_again_goes_on(chromium, tmp_path, photograph):
    from apps.cli.main import main

    small = ["--method", "densegrid", "--params", "2k", "--steps", "2"]
    assert main(["fit", str(photograph), "--out", str(tmp_path / "runs" / "photo"), *small]) == 0
    with socket.socket() as trial:
        trial.bind(("127.0.0.1", 0))
        port = trial.getsockname()[1]
    address = f"http://localhost:{port}"
    context = chromium.new_context()
    studio = start(tmp_path / "runs", port)
    try:
        first, run = context.new_page(), context.new_page()
        for page in (first, run):
            page.set_default_timeout(120_000)
        first.goto(address)
        first.wait_for_selector("#start")
        run.goto(f"{address}/run/photo")
        run.wait_for_function("document.querySelector('[data-studio=zoom]')?.dataset.drawn")
        studio.send_signal(signal.SIGKILL)
        studio.wait(60)
        for page in (first, run):
            page.wait_for_selector(".disconnected")
            lost = page.locator(".disconnected").first.evaluate("node => getComputedStyle(node, '::before').content")
            assert "The connection is lost. Trying again" in lost
        studio = start(tmp_path / "runs", port)
        first.get_by_role("alert").filter(has_text="The studio was restarted").wait_for()
        run.wait_for_function("!document.querySelector('.disconnected')")
        # What is asked for now comes from the new one.
        run.locator("[data-studio=zoom] .window").focus()
        run.keyboard.press("+")
        run.wait_for_function("document.querySelector('[data-studio=zoom]').dataset.drawn.startsWith('photo 0.1667')")
        first.get_by_role("button", name="Load the page anew").click()
        first.wait_for_function("!document.querySelector('.restarted')")
        first.wait_for_selector("#start")
    finally:
        context.close()
        studio.terminate()
        studio.wait(60)
