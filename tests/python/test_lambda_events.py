"""Every event that a function may get, in every envelope in which it may come,
and what nobody should send: each is answered, and the function lives on."""

import json

import pytest
from support import aws
from support.group import Group
from support.process import PROJECT, REHOME, Server
from support.runtime_api import Function, Mapping, batch, notification

CONFIG = """
[[group]]
name  = "orders-db"
agent = false

[[group.address]]
tag = { key = "service", value = "orders" }

[[group.alarm]]
name = "orders-db-status"
"""

EVENTS = sorted((PROJECT / "tests/events").glob("*.json"))


@pytest.fixture(scope="module")
def settled(tmp_path_factory):
    """A function in front of a group that has all it needs."""
    command = [REHOME, "region", "--listen", "127.0.0.1:0", "--seed", "1", "--latency-scale", "0.02"]
    with Server(command, env=aws.environment()) as server:
        region = aws.Session(server.url)
        allocation = region.ec2.allocate_address(
            Domain="vpc", TagSpecifications=aws.tagged("elastic-ip", service="orders")
        )["AllocationId"]
        group = Group(region)
        with Function(tmp_path_factory.mktemp("function"), CONFIG, region.url) as function:
            function.mapping = Mapping(region, function)

            def serves():
                [address] = region.ec2.describe_addresses(AllocationIds=[allocation])["Addresses"]
                return group.members() == {address.get("InstanceId"): "InService"}

            function.mapping.feed(serves, "the first member to serve")
            yield function


def test_there_are_events():
    assert len(EVENTS) > 30


@pytest.mark.parametrize("file", EVENTS, ids=lambda file: file.stem)
def test_an_event_is_answered_in_every_envelope(settled, file):
    event = json.loads(file.read_text())
    raw = settled.invoke(event).answer
    nothing_failed = {"batchItemFailures": []}
    assert raw == nothing_failed or raw["failed"] == 0
    assert settled.invoke(batch([event, event], settled.mapping.arn)).answer == nothing_failed
    notified = settled.invoke(notification(event)).answer
    # The envelope changes nothing about whom it means.
    if raw != nothing_failed:
        assert (notified["groups"], notified["unheard"]) == (raw["groups"], raw["unheard"])


def test_a_schedule_looks_at_every_group(settled):
    schedule = json.loads((PROJECT / "tests/events/schedule.json").read_text())
    answer = settled.invoke(schedule).answer
    assert (answer["groups"], answer["settled"]) == (1, 1)


def test_one_group_is_looked_at_once_for_a_whole_batch(settled):
    event = {"rehome": {"group": "orders-db"}}
    stranger = {"rehome": {"group": "another"}}
    invocation = settled.invoke(batch([event] * 8 + [stranger, "not json"], settled.mapping.arn))
    summary = settled.summary_of(invocation)
    assert (summary["events"], summary["groups"], summary["settled"], summary["unheard"]) == (9, 1, 1, 1)


HOSTILE = {
    "empty": b"",
    "null": b"null",
    "a number": b"1e999",
    "no JSON": b"{",
    "no text": b"\xff\xfe\x00\x01",
    "a mebibyte": json.dumps({"detail-type": "x", "source": "y", "detail": "z" * (1 << 20)}).encode(),
    "six mebibytes": json.dumps("z" * (6 << 20)).encode(),
    "deep": b"[" * 200_000 + b"]" * 200_000,
    "deep in a record": b'{"Records":' + b"[" * 200_000 + b"]" * 200_000 + b"}",
    "wrong types": b'{"detail-type":[],"source":{},"detail":7,"region":null}',
    "wrong records": b'{"Records":[{"eventSource":"aws:sqs","messageId":7}]}',
    "records of nobody": b'{"Records":[null,[],{}]}',
    "another region": b'{"detail-type":"EC2 Instance State-change Notification","source":"aws.ec2",'
    b'"region":"mars-north-1","detail":{"instance-id":"i-0123456789abcdef0","state":"running"}}',
    "an odd name": b'{"rehome":{"group":"\\u0000\\n../../etc"}}',
}


@pytest.mark.parametrize("payload", HOSTILE.values(), ids=HOSTILE.keys())
def test_what_nobody_should_send_is_dropped(settled, payload):
    seen = settled.invoke(payload)
    assert seen.error is None and seen.answer["groups"] == 0
    if len(payload) < 4 << 20:
        text = payload.decode("utf-8", "replace")
        assert settled.invoke(batch([text], settled.mapping.arn)).answer == {"batchItemFailures": []}
    assert settled.process.poll() is None
