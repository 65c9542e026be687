"""A clean Debian in a folder of its own: nothing of this machine is in it, and
what is installed there goes with it."""

import fcntl
import os
import shutil
import subprocess
from pathlib import Path

import pytest

SUITE = os.environ.get("REHOME_ROOT_SUITE", "bullseye")
MIRROR = os.environ.get("REHOME_ROOT_MIRROR", "http://deb.debian.org/debian")
# What the package depends on, and systemd, to judge the units.
INCLUDED = ["ca-certificates", "e2fsprogs", "procps", "systemd"]

# In place of systemctl: systemd does not run in a folder, so what it is asked
# is noted instead.
SYSTEMCTL = """#!/bin/sh
echo "$*" >> /systemctl.log
"""


class Root:
    def __init__(self, cache: Path, folder: Path):
        self.folder = folder
        self._clean = cache / "-".join([SUITE, *INCLUDED])
        if os.geteuid() != 0 or shutil.which("debootstrap") is None:
            pytest.skip("LEFT OUT: packages in a clean Debian: needs root and debootstrap")
        cache.mkdir(parents=True, exist_ok=True)
        with open(cache / "lock", "w") as lock:
            # One process makes it, the others wait for it.
            fcntl.flock(lock, fcntl.LOCK_EX)
            if not self._clean.exists():
                self._bootstrap()

    def _bootstrap(self) -> None:
        half_done = self._clean.with_name("new")
        shutil.rmtree(half_done, ignore_errors=True)
        words = ["debootstrap", "--variant=minbase", f"--include={','.join(INCLUDED)}"]
        if os.environ.get("REHOME_ROOT_KEYRING"):
            words.append(f"--keyring={os.environ['REHOME_ROOT_KEYRING']}")
        ended = subprocess.run([*words, SUITE, half_done, MIRROR], capture_output=True, text=True)
        if ended.returncode != 0:
            last = (ended.stdout + ended.stderr).strip().splitlines()[-1:]
            pytest.skip(f"LEFT OUT: packages in a clean Debian: {' '.join(last)}")
        half_done.rename(self._clean)

    def __enter__(self):
        """As it was, whatever the test before did: laid over the clean one
        where the kernel can, or else copied from it."""
        layers = [self.folder.with_name(name) for name in ("changed", "work")]
        for folder in (self.folder, *layers):
            folder.mkdir()
        options = "lowerdir={},upperdir={},workdir={}".format(self._clean, *layers)
        words = ["mount", "-t", "overlay", "overlay", "-o", options, self.folder]
        self._overlaid = subprocess.run(words, capture_output=True).returncode == 0
        if not self._overlaid:
            subprocess.run(["cp", "--archive", f"{self._clean}/.", self.folder], check=True)
        return self

    def __exit__(self, *_):
        if self._overlaid:
            subprocess.run(["umount", self.folder], check=True)
        shutil.rmtree(self.folder)

    def path(self, inside: str) -> Path:
        return self.folder / inside.lstrip("/")

    def run(self, *words, code=0, **environment) -> str:
        """In a process and mount namespace of its own, so that nothing outlives it."""
        env = {"PATH": "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", "HOME": "/root", "LANG": "C.UTF-8"}
        inside = ["unshare", "--mount", "--pid", "--fork", "--kill-child", f"--root={self.folder}", "--mount-proc"]
        ended = subprocess.run([*inside, "--", *words], env=env | environment, capture_output=True, text=True, timeout=300)
        assert ended.returncode == code, f"{words} ended with {ended.returncode}:\n{ended.stdout}{ended.stderr}"
        return ended.stdout + ended.stderr

    def take(self, package: Path) -> str:
        shutil.copy(package, self.folder)
        return f"/{package.name}"

    def pretend_systemd_runs(self) -> None:
        self.path("/run/systemd/system").mkdir(parents=True, exist_ok=True)
        # At its own place: rpm gives its scripts a PATH of rpm's own.
        stand_in = self.path("/bin/systemctl")
        stand_in.unlink()
        stand_in.write_text(SYSTEMCTL)
        stand_in.chmod(0o755)

    def asked_of_systemd(self) -> list:
        """Since it was last looked at."""
        log = self.path("/systemctl.log")
        lines = log.read_text().splitlines() if log.exists() else []
        log.unlink(missing_ok=True)
        return lines

    def files(self, *below) -> set:
        found = set()
        for folder in below:
            found |= {f"/{path.relative_to(self.folder)}" for path in self.path(folder).rglob("*")}
        return found
