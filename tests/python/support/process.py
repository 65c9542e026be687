"""Processes: started, listened to, and always reaped."""

import os
import re
import subprocess
import sys
import threading
from pathlib import Path

PROJECT = Path(__file__).resolve().parents[3]
REHOME = os.environ.get("REHOME_BIN", str(PROJECT / "target/debug/rehome"))

# A machine may be slow, or stand still for a while; nothing here takes long on
# one that does not.
PATIENCE = 360.0
# How long the binary may take for what it is to bring to an end.
LONG = "5m"
ADDRESS = re.compile(r"\b(\d+\.\d+\.\d+\.\d+:\d+)\b")


def python_module(name, *arguments):
    """The command that runs a module of this very interpreter's packages."""
    return [sys.executable, "-m", name, *arguments]


class Server:
    """A process that says on which address it listens, on stdout or stderr."""

    def __init__(self, command, env):
        self.command = command
        self.env = env
        self.said = []
        self.url = None
        self._listening = threading.Event()

    def __enter__(self):
        self.process = subprocess.Popen(
            self.command,
            env=self.env,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        # Reads to the end, so that the pipe never fills.
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()
        if not self._listening.wait(PATIENCE) or self.url is None:
            self.__exit__()
            raise AssertionError(f"{self.command} did not say where it listens:\n{''.join(self.said)}")
        return self

    def _read(self):
        for line in self.process.stdout:
            self.said.append(line)
            found = ADDRESS.search(line)
            if found and self.url is None:
                self.url = f"http://{found[1]}"
                self._listening.set()
        self._listening.set()

    def __exit__(self, *_):
        self.process.terminate()
        try:
            self.process.wait(10)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
        self._reader.join(10)
        self.process.stdout.close()


def run(command, env, timeout=PATIENCE, cwd=None):
    """Runs a command to its end; whatever it says and returns is the caller's."""
    return subprocess.run(
        command,
        env=env,
        cwd=cwd,
        timeout=timeout,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
    )
