"""What strangers put into the queue of `rehome daemon`: it is counted, said
once, and done with."""

import json

import pytest
from support.aws import until
from support.daemon import Daemon
from support.proxy import Proxy

CONFIG = """
[[group]]
name  = "orders-db"
agent = false

[[group.volume]]
name     = "data"
device   = "/dev/sdf"
size_gib = 1

[wake]
poll_every    = "1h"
sqs_queue_url = "{}"
"""
NOBODY = "a message of the queue concerns nobody"


@pytest.fixture
def mine(region):
    return region.sqs.create_queue(QueueName="mine")["QueueUrl"]


def send(region, url, body):
    region.sqs.send_message(QueueUrl=url, MessageBody=body if isinstance(body, str) else json.dumps(body))


def is_empty(region, url):
    """Nothing waits in it, and nothing that was handed over will come again."""
    found = region.sqs.get_queue_attributes(QueueUrl=url, AttributeNames=["All"])["Attributes"]
    left = ("ApproximateNumberOfMessages", "ApproximateNumberOfMessagesNotVisible")
    return [found[name] for name in left] == ["0", "0"]


def follow_up(group):
    return {"rehome": {"group": group}}


def event(kind, **detail):
    return {"detail-type": kind, "source": "a test", "detail": detail}


HOSTILE = {
    "not JSON": "it is not JSON",
    "{" * 200_000: "nested deeper",
    "[" * 60 + '"' + "a" * (256 * 1024 - 200): "breaks off",
    '{"detail-type":"' + "\\n\\u001b[31m" * 20_000 + '"}': "it is an event",
    json.dumps(event("AWS Health Event", affectedEntities=[{"entityValue": 7}])): "names nobody",
    json.dumps({"Type": "SubscriptionConfirmation", "TopicArn": "t", "Token": "x" * 250_000}): "SubscriptionConf",
    json.dumps({"Records": [{"EventSource": "aws:sns", "Sns": []}]}): "an empty envelope",
}


def test_hostile_messages_are_said_once_and_done_with(region, tmp_path, mine):
    with Daemon(tmp_path, region.url, CONFIG.format(mine)) as daemon:
        for body in [*HOSTILE, *HOSTILE]:
            send(region, mine, body)
        send(region, mine, follow_up("orders-db"))
        daemon.says("an event")
        until(lambda: is_empty(region, mine), "everything to be done with")
        reasons = [line["why"] for line in daemon.says(NOBODY)]
        assert len(reasons) == len(HOSTILE)
        for part in HOSTILE.values():
            assert [why for why in reasons if part in why], part
        assert all(len(why) < 1000 and why.isprintable() for why in reasons)
        assert daemon.stop() == 0


def test_a_flood_of_new_reasons_ends(region, tmp_path, mine):
    with Daemon(tmp_path, region.url, CONFIG.format(mine)) as daemon:
        for number in range(150):
            send(region, mine, event(f"kind {number}"))
        until(lambda: is_empty(region, mine), "everything to be done with")
        send(region, mine, follow_up("orders-db"))
        daemon.says("an event")
        assert len(daemon.says(NOBODY)) == 100
        assert daemon.stop() == 0


def test_foreign_instances_are_not_asked_about_again(region, tmp_path, mine):
    """Every other event of a busy account must not cost a call."""
    with Proxy(region.url) as proxy, Daemon(tmp_path, proxy.url, CONFIG.format(mine)) as daemon:
        for _ in range(5):
            send(region, mine, event("EC2 Instance State-change Notification", **{"instance-id": "i-0123"}))
            send(region, mine, event("EBS Volume Notification") | {"resources": ["arn:aws:ec2:::volume/vol-0123"]})
            send(region, mine, follow_up("another-group"))
        send(region, mine, follow_up("orders-db"))
        until(lambda: is_empty(region, mine), "everything to be done with")
        until(lambda: len(daemon.says("an event")) == 16, "all of them to be heard")
        meant = [line["whom"] for line in daemon.says("an event")]
        assert sorted(meant) == ['["orders-db"]'] + ["[]"] * 15
        assert proxy.asked.count("DescribeAutoScalingInstances") == 1
        assert daemon.stop() == 0


def test_what_cannot_be_acknowledged_is_heard_once(region, tmp_path, mine):
    deny = {"Statement": [{"Effect": "Deny", "Principal": "*", "Action": ["sqs:DeleteMessageBatch"]}]}
    region.sqs.set_queue_attributes(
        QueueUrl=mine, Attributes={"Policy": json.dumps(deny), "VisibilityTimeout": "1"}
    )
    send(region, mine, follow_up("orders-db"))
    with Proxy(region.url) as proxy, Daemon(tmp_path, proxy.url, CONFIG.format(mine)) as daemon:
        [line, *_] = daemon.says("messages were heard, and come again")
        assert "sqs:DeleteMessage" in line["error"]
        until(lambda: proxy.asked.count("DeleteMessageBatch") >= 3, "the message to come again")
        assert len(daemon.says("an event")) == 1
        region.sqs.set_queue_attributes(QueueUrl=mine, Attributes={"Policy": ""})
        until(lambda: is_empty(region, mine), "the message to be done with")
        assert daemon.stop() == 0
