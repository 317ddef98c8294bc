"""Completion in the shells themselves: what is typed at a terminal, Tab included, and what becomes of it."""

import os
import pty
import re
import select
import shutil
import subprocess
import time
from pathlib import Path

import pytest

from apps.cli.completion import completion_script

# Seconds until a shell has answered; a tenth is usual.
PATIENCE = 30
# The command stands for itself: it says what it was called with.
COMMAND = "fit-a-scene() { printf '<%s>' called \"$@\"; echo; }\n"


def needs(shell: str) -> pytest.MarkDecorator:
    return pytest.mark.skipif(not shutil.which(shell), reason=f"needs {shell}: apt install {shell}")


def set_up(shell: str, home: Path) -> list[str]:
    """Install the completion as the help says, and return how the shell is started."""
    script = completion_script(shell)
    if shell == "bash":
        (home / "completion").write_text(script)
        (home / "rc").write_text(f"PS1='> '\n. {home}/completion\n{COMMAND}echo ready\n")
        return ["bash", "--noprofile", "--rcfile", str(home / "rc"), "-i"]
    (home / ".zfunc").mkdir()
    (home / ".zfunc" / "_fit-a-scene").write_text(script)
    start = "fpath+=~/.zfunc\nautoload -Uz compinit\ncompinit -u\nPS1='> '\nLISTMAX=0\n"
    (home / ".zshrc").write_text(f"{start}{COMMAND}echo ready\n")
    return ["zsh", "-i"]


class Terminal:
    """A shell at a terminal of its own."""

    def __init__(self, command: list[str], home: Path):
        self.screen, inner = pty.openpty()
        environment = {"HOME": str(home), "ZDOTDIR": str(home), "TERM": "dumb", "PATH": os.environ["PATH"]}
        self.process = subprocess.Popen(
            command, cwd=home, env=environment, preexec_fn=lambda: os.login_tty(inner), close_fds=False
        )
        os.close(inner)

    def wait_for(self, pattern: str) -> re.Match:
        """Read until the pattern is there."""
        read, end = "", time.monotonic() + PATIENCE
        while time.monotonic() < end:
            if select.select([self.screen], [], [], 0.2)[0]:
                read += os.read(self.screen, 65536).decode(errors="replace")
                if found := re.search(pattern, read):
                    return found
        raise AssertionError(f"{pattern!r} did not come: {read!r}")

    def type(self, text: str) -> None:
        os.write(self.screen, text.encode())

    def close(self) -> None:
        self.process.kill()
        self.process.wait()
        os.close(self.screen)


@pytest.mark.parametrize("shell", [pytest.param("bash", marks=needs("bash")), pytest.param("zsh", marks=needs("zsh"))])
def test_tab_completes_at_a_terminal(shell, tmp_path):
    (tmp_path / "photo.png").touch()
    terminal = Terminal(set_up(shell, tmp_path), tmp_path)
    try:
        terminal.wait_for("ready")
        for typed, called in [
            ("dist\tx --into sir\t", "distill x --into siren"),
            ("fit pho\t--second\t3", "fit photo.png --seconds 3"),
            ("runs --sort si\t", "runs --sort size"),
            ("completion fi\t", "completion fish"),
        ]:
            terminal.type(f"fit-a-scene {typed}\r")
            wanted = "".join(f"<{word}>" for word in ["called", *called.split()])
            assert terminal.wait_for(r"<called>[^\r\n]*")[0] == wanted
        # What may follow is listed.
        terminal.type("fit-a-scene fit x --se\t\t")
        terminal.wait_for(r"(?s)(?=.*--seconds)(?=.*--seed)(?=.*--set\b)")
    finally:
        terminal.close()


@needs("fish")
@pytest.mark.parametrize(
    ("typed", "offered"),
    [
        ("", {"fit", "runs", "help"}),
        ("fit x --se", {"--seconds", "--seed", "--set"}),
        ("fit pho", {"photo.png"}),
        ("distill x --into sir", {"siren"}),
        ("runs --sort ", {"date", "name", "kind", "size"}),
    ],
)
def test_fish_completes(typed, offered, tmp_path):
    """By fish's own engine, which loads the file from where the help puts it."""
    folder = tmp_path / ".config" / "fish" / "completions"
    folder.mkdir(parents=True)
    (folder / "fit-a-scene.fish").write_text(completion_script("fish"))
    (tmp_path / "photo.png").touch()
    program = tmp_path / "fit-a-scene"
    program.write_text("#!/bin/sh\n")
    program.chmod(0o755)
    environment = {"HOME": str(tmp_path), "TERM": "dumb", "PATH": f"{tmp_path}:{os.environ['PATH']}"}
    ask = ["fish", "-c", f"complete -C 'fit-a-scene {typed}'"]
    done = subprocess.run(ask, cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=PATIENCE)
    assert offered <= {line.split("\t")[0] for line in done.stdout.splitlines()}, done.stdout + done.stderr
