"""The live drill's manners: it refuses in one sentence where it cannot be held,
and leaves nothing behind, however it ends. That data survives is not asked
here but by the drill itself, which tests/run holds on its own.
"""

import os
import signal
import subprocess
import time
from pathlib import Path

import pytest
from support import aws
from support.process import PATIENCE, REHOME, run

LIVE = [REHOME, "drill", "--live"]
# Its own world is in namespaces; this is what could be seen of it from outside.
TRACES = ("rehome-drill-", "/run/store")


def environment():
    return aws.environment("http://127.0.0.1:9")


def test_it_says_that_it_needs_root():
    try:
        ended = subprocess.run(
            LIVE,
            env=environment(),
            capture_output=True,
            text=True,
            timeout=PATIENCE,
            check=False,
            user=65534 if os.geteuid() == 0 else None,
        )
    except PermissionError:
        pytest.skip("nobody else may run the binary where it lies")
    assert ended.returncode == 2
    [line] = ended.stderr.splitlines()
    assert line.startswith("rehome: a live drill cannot be held here: ") and "only root may" in line


def test_rounds_belong_to_a_live_drill():
    ended = run([REHOME, "drill", "--rounds", "3"], env=environment())
    assert ended.returncode == 2 and "--live" in ended.stderr


def test_its_inside_is_not_for_people():
    ended = run([*LIVE, "--inside"], env=environment())
    assert ended.returncode == 2
    assert "start it with `rehome drill --live`" in ended.stderr


def backing(loop):
    """The file behind a loop device, while there is one."""
    try:
        return Path(f"/sys/block/{loop}/loop/backing_file").read_text()
    except OSError:
        return None


def loops(processes):
    """The loop devices that these processes hold or have mounted, and their files."""
    found = set()
    for process in processes:
        try:
            held = [os.readlink(fd) for fd in Path(f"/proc/{process}/fd").iterdir()]
            mounts = Path(f"/proc/{process}/mountinfo").read_text().split()
        except OSError:
            continue  # it just ended
        found |= {word.removeprefix("/dev/") for word in [*held, *mounts] if word.startswith("/dev/loop")}
    return {loop: backing(loop) for loop in found if backing(loop) and any(t in backing(loop) for t in TRACES)}


def descendants(of):
    """The processes below this one, by number."""
    parents = {}
    for status in Path("/proc").glob("[0-9]*/stat"):
        try:
            fields = status.read_text().rpartition(")")[2].split()
        except OSError:
            continue  # it just ended
        parents[int(status.parent.name)] = int(fields[1])
    found = {of}
    while True:
        more = {child for child, parent in parents.items() if parent in found} - found
        if not more:
            return found - {of}
        found |= more


def wait_until(condition, what):
    until = time.monotonic() + PATIENCE
    while not condition():
        assert time.monotonic() < until, what
        time.sleep(0.05)


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM, signal.SIGINT])
def test_nothing_is_left_when_it_is_killed(number):
    # Another seed each: their volumes have other names.
    command = [*LIVE, "--seed", str(100 + number)]
    pipes = {"stdin": subprocess.DEVNULL, "stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
    # Whoever starts the tests in the background has SIGINT ignored, and hands
    # that down; at a terminal it is not.
    heed = lambda: signal.signal(signal.SIGINT, signal.SIG_DFL)  # noqa: E731
    with subprocess.Popen(command, env=environment(), text=True, preexec_fn=heed, **pipes) as drill:
        try:
            first = drill.stdout.readline()
            if not first:
                assert drill.wait(PATIENCE) == 2
                pytest.skip(drill.stderr.read().strip())
            assert "runs on a volume of its own" in first
            below = descendants(drill.pid)
            own = loops(below)
            # The store and one volume; the drill, PostgreSQL, a daemon …
            assert len(own) >= 2 and len(below) > 5
            drill.send_signal(number)
            drill.wait(PATIENCE)
            wait_until(lambda: not any(Path(f"/proc/{one}").exists() for one in below), f"some of {below} live on")
            wait_until(lambda: all(backing(loop) != file for loop, file in own.items()), f"some of {own} are left")
        finally:
            drill.kill()
