"""The packages under test: those packaging/build made, in dist/ or wherever
REHOME_DIST says. Each is looked at with the tools of the system it is for."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
from root import Root

PROJECT = Path(__file__).resolve().parents[2]
DIST = Path(os.environ.get("REHOME_DIST", PROJECT / "dist"))
ARCH = os.uname().machine
DEB_ARCH = {"x86_64": "amd64", "aarch64": "arm64"}[ARCH]

# The small runtime API of the other Python tests.
sys.path.append(str(PROJECT / "tests" / "python"))


@pytest.fixture(scope="session")
def version():
    return re.search(r'^version = "(.+)"$', (PROJECT / "Cargo.toml").read_text(), re.MULTILINE)[1]


def built(name):
    path = DIST / name
    if not path.exists():
        pytest.exit(f"{path} is not there: run packaging/build first", 2)
    return path


@pytest.fixture(scope="session")
def program():
    return built(f"{ARCH}/rehome")


@pytest.fixture(scope="session")
def deb(version):
    return built(f"rehome_{version}-1_{DEB_ARCH}.deb")


@pytest.fixture(scope="session")
def rpm(version):
    return built(f"rehome-{version}-1.{ARCH}.rpm")


@pytest.fixture(scope="session")
def tarball(version):
    return built(f"rehome-{version}-{ARCH}.tar.gz")


@pytest.fixture(scope="session")
def function_zip(version):
    return built(f"rehome-{version}-lambda-{ARCH.replace('aarch64', 'arm64')}.zip")


@pytest.fixture
def root(tmp_path):
    """A clean Debian 11, the oldest Debian these packages are for."""
    with Root(PROJECT / ".cache" / "roots", tmp_path / "root") as root:
        yield root


def needs(*programs):
    """Those not here are named: what they would have tested was not tested."""
    missing = [one for one in programs if subprocess.run(["which", one], capture_output=True).returncode != 0]
    return pytest.mark.skipif(bool(missing), reason=f"LEFT OUT: packages: {', '.join(missing)} not installed")
