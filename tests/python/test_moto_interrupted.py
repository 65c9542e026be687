"""`rehome bootstrap`, struck at each single change it makes: killed before it
or after it, or its answer lost. Run again, it always ends in the same place."""

import itertools
import subprocess
import urllib.request

import pytest
from support.aws import environment, tags
from support.moto_world import GROUP, OTHER_ZONE, VOLUME, ZONE, World, config, held_by
from support.process import PATIENCE, REHOME
from support.proxy import Proxy
from support.world import allocate_address

MOST_CHANGES = 40


@pytest.fixture
def failover(moto, imds, tmp_path):
    """Makes a world anew in which the holder has just gone, each time."""

    def begin(heir_in):
        reset = urllib.request.Request(f"{moto.url}/moto-api/reset", method="POST")
        urllib.request.urlopen(reset, timeout=30).close()
        world = World(moto, imds, tmp_path)
        world.allocation = allocate_address(world, service="orders")
        world.text = config('[[group.address]]\ntag = { key = "service", value = "orders" }\n', VOLUME)
        world.settles(world.text)
        world.terminate(heir_in)
        member = world.members()[0]
        imds.become(member["InstanceId"], member["AvailabilityZone"])
        return world

    return begin


def strike_at(world, change, strike):
    """Runs bootstrap once, with one strike; the action that was struck, if any."""
    with Proxy(world.url, at=change, strike=lambda *call: strike(process, *call)) as proxy:
        here = {"AWS_EC2_METADATA_SERVICE_ENDPOINT": world.imds.url, "AWS_EC2_METADATA_DISABLED": None}
        process = subprocess.Popen(
            [REHOME, "bootstrap", "--config", str(world.file), "--timeout", "45s"],
            env=environment(proxy.url, **here),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        try:
            process.wait(PATIENCE)
        finally:
            process.kill()
            process.wait()
    return proxy.struck


def killed_before(process, handler, _forward):
    process.kill()
    handler.hang_up()


def killed_after(process, handler, forward):
    forward()
    process.kill()
    handler.hang_up()


def answer_lost(_process, handler, forward):
    forward()
    handler.hang_up()


def refused_once(_process, handler, _forward):
    error = b"<Response><Errors><Error><Code>InternalError</Code><Message>An internal error has occurred</Message>"
    handler.answer(500, "text/xml", error + b"</Error></Errors><RequestID>r</RequestID></Response>")


@pytest.mark.parametrize("heir_in", [OTHER_ZONE, ZONE], ids=["cross-zone", "same-zone"])
@pytest.mark.parametrize("strike", [killed_before, killed_after, answer_lost, refused_once])
def test_it_ends_in_the_same_place(failover, strike, heir_in):
    struck = []
    for change in itertools.count():
        assert change < MOST_CHANGES, f"it never ends: {struck}"
        world = failover(heir_in)
        action = strike_at(world, change, strike)
        world.settles(world.text)
        if action is None:
            break
        struck.append(action)
        judge(world, heir_in, f"{strike.__name__} {action}, change {change}")
    assert "AttachVolume" in struck and "AssociateAddress" in struck and "CreateSnapshot" in struck, struck
    assert ("CreateVolume" in struck) == (heir_in == OTHER_ZONE), struck


def judge(world, heir_in, how):
    volumes, member = world.volumes(), world.member()
    spare = [v for v in volumes if tags(v)["rehome:state"] == "new"]
    served = [v for v in volumes if tags(v)["rehome:state"] != "new"]
    epochs = ["1", "2"] if heir_in == OTHER_ZONE else ["1"]
    assert [tags(v)["rehome:epoch"] for v in served] == epochs, how
    current = served[-1]
    assert tags(current)["rehome:state"] == "active", how
    assert held_by(current) == [(member, "/dev/sdf")] and current["AvailabilityZone"] == heir_in, how
    assert all(held_by(v) == [] for v in volumes if v != current), how
    assert world.markers()["rehome:epoch:data"] == epochs[-1], how
    assert world.address(world.allocation)["InstanceId"] == member, how
    # AWS knows a repeated CreateVolume by its client token; moto makes another.
    assert len(spare) <= (1 if "answer_lost CreateVolume" in how else 0), how
    for snapshot in world.snapshots():
        assert tags(snapshot)["rehome:group"] == GROUP and tags(snapshot)["rehome:consistency"] == "clean", how
