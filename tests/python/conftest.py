"""What every test stands on: the binary, processes that always end, a region,
a moto server and the metadata service of one instance.

Every test has a world of its own, so their order does not matter. Ports are
given by the kernel, and every wait has an end.
"""

import os
import urllib.request

import pytest
from support import aws
from support.imds import Imds
from support.process import PATIENCE, REHOME, Server, python_module


@pytest.fixture(scope="session", autouse=True)
def binary():
    """Nothing here means anything without the binary."""
    if not os.access(REHOME, os.X_OK):
        pytest.exit(f"{REHOME} is not there: run `cargo build`, or name another with REHOME_BIN", 2)
    return REHOME


@pytest.fixture
def region():
    """The emulated region on a port, fifty times as fast as the real one."""
    command = [REHOME, "region", "--listen", "127.0.0.1:0", "--seed", "1", "--latency-scale", "0.02"]
    with Server(command, env=aws.environment()) as server:
        yield aws.Session(server.url)


@pytest.fixture(scope="session")
def moto_server():
    with Server(python_module("moto.server", "-H", "127.0.0.1", "-p", "0"), env=aws.environment()) as server:
        yield server


@pytest.fixture
def moto(moto_server):
    """A moto server with nothing in it."""
    reset = urllib.request.Request(f"{moto_server.url}/moto-api/reset", method="POST")
    with urllib.request.urlopen(reset, timeout=PATIENCE) as answer:
        assert answer.status == 200
    return aws.Session(moto_server.url)


@pytest.fixture
def imds():
    """The metadata service, as long as the test says who is asking."""
    with Imds() as service:
        yield service
