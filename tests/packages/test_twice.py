"""Is a release the same wherever, whenever and by whomever it is packed?"""

import os
import subprocess

from conftest import ARCH, DIST, PROJECT


def test_packing_twice_gives_the_same_bytes(program, deb, rpm, tarball, function_zip, tmp_path):
    # Everything an archive tends to take along is different this time.
    env = dict(os.environ, TZ="Asia/Kolkata", LC_ALL="C", USER="somebody", HOSTNAME="elsewhere")
    words = [PROJECT / "packaging" / "build", "--program", program, "--out", tmp_path]
    subprocess.run(words, cwd=tmp_path, env=env, umask=0o077, check=True)
    for first in (deb, rpm, tarball, function_zip, DIST / ARCH / "rehome"):
        again = tmp_path / first.relative_to(DIST)
        assert again.read_bytes() == first.read_bytes(), first.name


def test_the_checksums_are_those_of_the_files(deb, rpm, tarball, function_zip):
    ended = subprocess.run(["sha256sum", "--check", "--strict", "SHA256SUMS"], cwd=DIST, capture_output=True, text=True)
    assert ended.returncode == 0, ended.stdout + ended.stderr
    for path in (deb, rpm, tarball, function_zip):
        assert f"{path.name}: OK" in ended.stdout
