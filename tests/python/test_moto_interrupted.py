"""`rehome bootstrap`, struck at each single change it makes: killed before it
or after it, or its answer lost. Run again, it always ends in the same place."""

import collections
import subprocess
import urllib.request

import pytest
from support.aws import environment, tags
from support.moto_world import GROUP, OTHER_ZONE, VOLUME, ZONE, World, config, held_by
from support.process import LONG, PATIENCE, REHOME
from support.proxy import Proxy
from support.world import allocate_address


@pytest.fixture
def failover(moto, imds, tmp_path):
    """Makes a world anew in which the holder has just gone, each time."""

    def begin(heir_in):
        reset = urllib.request.Request(f"{moto.url}/moto-api/reset", method="POST")
        urllib.request.urlopen(reset, timeout=PATIENCE).close()
        world = World(moto, imds, tmp_path)
        world.allocation = allocate_address(world, service="orders")
        world.text = config('[[group.address]]\ntag = { key = "service", value = "orders" }\n', VOLUME)
        world.settles(world.text)
        world.terminate(heir_in)
        member = world.members()[0]
        imds.become(member["InstanceId"], member["AvailabilityZone"])
        return world

    return begin


def bootstrap(world, strike=None, **which):
    """Runs bootstrap once, with one strike; the proxy knows what became of it."""
    with Proxy(world.url, strike=lambda *call: strike(process, *call), **which) as proxy:
        here = {"AWS_EC2_METADATA_SERVICE_ENDPOINT": world.imds.url, "AWS_EC2_METADATA_DISABLED": None}
        process = subprocess.Popen(
            [REHOME, "bootstrap", "--config", str(world.file), "--timeout", LONG],
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
    return proxy


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
    changes = collections.Counter(bootstrap(failover(heir_in)).changes)
    assert {"AttachVolume", "AssociateAddress", "CreateSnapshot"} <= set(changes), changes
    assert ("CreateVolume" in changes) == (heir_in == OTHER_ZONE), changes
    # By name: in which order it makes changes that do not wait for each other,
    # no two runs agree.
    for action, nth in [(action, nth) for action, times in changes.items() for nth in range(times)]:
        how = f"{strike.__name__} {action} {nth}"
        world = failover(heir_in)
        struck = bootstrap(world, strike, only=action, nth=nth)
        # What it sees sooner it may write at once.
        assert struck.has_struck or nth > 0, f"{how}: {struck.changes}"
        world.settles(world.text)
        judge(world, heir_in, how)


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
