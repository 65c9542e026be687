"""`rehome daemon` as a service: what its manager hears, and which signals it heeds."""

import json

import pytest
from support.aws import tags, until
from support.daemon import Daemon
from support.group import Group
from support.process import PATIENCE
from support.proxy import Proxy

GROUP = """
[[group]]
name  = "{}"
agent = false

[[group.volume]]
name     = "data"
device   = "/dev/sdf"
size_gib = 1
"""
SELDOM = '\n[wake]\npoll_every = "1h"\n'
OFTEN = '\n[wake]\npoll_every = "1s"\n'
ORDERS = GROUP.format("orders-db")


def queue_url(region, name="events"):
    return region.sqs.get_queue_url(QueueName=name)["QueueUrl"]


def with_queue(url, poll_every="1h"):
    return f'\n[wake]\npoll_every = "{poll_every}"\nsqs_queue_url = "{url}"\n'


def volume_on(region, instance):
    """Waits until the group's volume is attached to this instance."""

    def look():
        filters = [{"Name": "tag:rehome:group", "Values": ["orders-db"]}]
        volumes = region.ec2.describe_volumes(Filters=filters)["Volumes"]
        held = [v for v in volumes if [a["InstanceId"] for a in v["Attachments"]] == [instance]]
        return [v for v in held if tags(v).get("rehome:state") == "active"]

    return until(look, f"a volume on {instance}")[0]


def follows_a_kill(region, group):
    """Kills the member, and waits until its heir has the volume and serves."""
    first = group.in_state("InService")
    volume_on(region, first)
    region.ec2.terminate_instances(InstanceIds=[first])
    heir = group.in_state("InService", but=[first])
    return volume_on(region, heir)


def test_the_manager_hears_of_everything(region, tmp_path):
    group = Group(region)
    with Daemon(tmp_path, region.url, ORDERS + OFTEN, watchdog_usec=300_000) as daemon:
        ready = daemon.hears("READY=1")
        daemon.status("1 group(s) settled")
        group.in_state("InService")
        again = daemon.hears("WATCHDOG=1", after=ready)
        for _ in range(3):
            again = daemon.hears("WATCHDOG=1", after=again)
        assert daemon.stop() == 0
        daemon.hears("STOPPING=1", after=again)


def test_the_watchdog_hears_while_nothing_answers(tmp_path):
    with Daemon(tmp_path, "http://127.0.0.1:9", ORDERS + OFTEN, watchdog_usec=300_000) as daemon:
        at = daemon.hears("READY=1")
        for _ in range(5):
            at = daemon.hears("WATCHDOG=1", after=at)
        assert daemon.stop() == 0


def test_a_good_configuration_replaces_the_old_one(region, tmp_path):
    orders = Group(region)
    with Daemon(tmp_path, region.url, ORDERS + OFTEN) as daemon:
        daemon.status("1 group(s) settled")
        orders.in_state("InService")
        billing = Group(region, "billing")
        daemon.reload(ORDERS + GROUP.format("billing") + OFTEN)
        daemon.hears("READY=1", after=daemon.hears("RELOADING=1"))
        [line] = daemon.says("serves the new configuration")
        assert line["groups"] == 2
        billing.in_state("InService")
        daemon.status("2 group(s) settled")
        assert daemon.stop() == 0


def test_a_broken_configuration_is_refused_and_the_old_one_stays(region, tmp_path):
    group = Group(region)
    with Daemon(tmp_path, region.url, ORDERS + OFTEN) as daemon:
        daemon.status("1 group(s) settled")
        daemon.reload(ORDERS + '\n[wake]\npoll_evry = "1s"\n')
        daemon.hears("READY=1", after=daemon.hears("RELOADING=1"))
        [line] = daemon.says("the new configuration was refused")
        assert "rehome.toml" in line["error"] and "poll_evry" in line["error"]
        daemon.status("the new configuration was refused, the old one stays")
        follows_a_kill(region, group)
        daemon.reload(ORDERS + OFTEN)
        daemon.says("serves the new configuration")
        daemon.status("1 group(s) settled")
        assert "refused" not in [told for told in daemon.told if told.startswith("STATUS=")][-1]
        assert daemon.stop() == 0


def test_an_event_makes_it_look_at_once(region, tmp_path):
    """It polls once an hour: nothing but the queue can have told it."""
    group = Group(region)
    with Daemon(tmp_path, region.url, ORDERS + with_queue(queue_url(region))) as daemon:
        follows_a_kill(region, group)
        heard = {(line["what"], line["whom"]) for line in daemon.says("an event")}
        assert ("terminate lifecycle action", '["orders-db"]') in heard
        assert ("launch lifecycle action", '["orders-db"]') in heard
        assert daemon.stop() == 0


def test_polling_alone_suffices(region, tmp_path):
    group = Group(region)
    with Daemon(tmp_path, region.url, ORDERS + OFTEN) as daemon:
        follows_a_kill(region, group)
        assert daemon.stop() == 0


def test_it_stops_in_the_middle_of_a_long_poll(region, tmp_path):
    asked = []

    def never(handler, _forward):
        asked.append(handler)
        handler.connection.settimeout(PATIENCE)
        handler.connection.recv(1)  # until the daemon hangs up

    with Proxy(region.url, only="ReceiveMessage", strike=never) as proxy:
        with Daemon(tmp_path, proxy.url, ORDERS + with_queue(queue_url(region))) as daemon:
            until(lambda: asked, "a long poll")
            assert daemon.stop() == 0
    # Had it waited for an answer that never comes, it would have asked again.
    assert len(asked) == 1


@pytest.mark.parametrize("trouble", ["missing", "denied"])
def test_a_queue_that_does_not_work_is_named_and_polling_goes_on(region, tmp_path, trouble):
    group = Group(region)
    url = queue_url(region).replace("events", "mine")
    deny = {"Statement": {"Effect": "Deny", "Principal": "*", "Action": "sqs:ReceiveMessage"}}
    if trouble == "denied":
        region.sqs.create_queue(QueueName="mine", Attributes={"Policy": json.dumps(deny)})
    with Daemon(tmp_path, region.url, ORDERS + with_queue(url, "1s")) as daemon:
        [line] = daemon.says("cannot listen to the queue of [wake]; polling goes on")
        assert line["level"] == "WARN" and line["action"] == "sqs:ReceiveMessage"
        assert url in line["error"]
        advice = {"missing": "make the queue", "denied": "allow sqs:ReceiveMessage for the role in use"}
        assert advice[trouble] in line["error"]
        daemon.status("the queue cannot be read")
        follows_a_kill(region, group)

        if trouble == "denied":
            region.sqs.set_queue_attributes(QueueUrl=url, Attributes={"Policy": ""})
        else:
            region.sqs.create_queue(QueueName="mine")
        daemon.says("listens to the queue again")
        # However often it was asked meanwhile, it was said once.
        assert len(daemon.says("cannot listen to the queue")) == 1
        assert daemon.stop() == 0


def test_another_queue_is_listened_to_after_a_reload(region, tmp_path):
    urls = [region.sqs.create_queue(QueueName=name)["QueueUrl"] for name in ("one", "two")]
    follow_up = json.dumps({"rehome": {"group": "orders-db"}})
    with Daemon(tmp_path, region.url, ORDERS + with_queue(urls[0])) as daemon:
        region.sqs.send_message(QueueUrl=urls[0], MessageBody=follow_up)
        daemon.says("an event")
        daemon.reload(ORDERS + with_queue(urls[1]))
        daemon.says("serves the new configuration")
        region.sqs.send_message(QueueUrl=urls[1], MessageBody=follow_up)
        until(lambda: len(daemon.says("an event")) == 2, "an event from the other queue")
        assert daemon.stop() == 0


def test_a_region_that_is_down_is_no_reason_to_end(tmp_path):
    with Daemon(tmp_path, "http://127.0.0.1:9", ORDERS + with_queue("http://127.0.0.1:9/1/mine")) as daemon:
        [line] = daemon.says("cannot listen to the queue of [wake]")
        assert "AWS gave no answer" in line["error"]
        assert daemon.process.poll() is None
        assert daemon.stop() == 0
