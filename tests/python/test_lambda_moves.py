"""Moves that are carried by a Lambda function alone: the region's events and
the function's own follow-ups come from a queue, one batch after the other."""

import json
import subprocess

import pytest
from support.aws import Session, environment, tags, until
from support.group import Group
from support.process import PROJECT, REHOME, Server
from support.runtime_api import Function, Mapping
from support.world import allocate_address, launch

CONFIG = """
[[group]]
name  = "orders-db"
agent = false

[[group.address]]
tag = { key = "service", value = "orders" }

[[group.volume]]
name     = "data"
device   = "/dev/sdf"
size_gib = 20
type     = "gp3"
"""


def volumes(region):
    """The group's volumes, the oldest epoch first."""
    filters = [{"Name": "tag:rehome:group", "Values": ["orders-db"]}]
    found = region.ec2.describe_volumes(Filters=filters)["Volumes"]
    return sorted(found, key=lambda volume: int(tags(volume)["rehome:epoch"]))


def active(region):
    """Which volumes are said to be the data, and who has them."""
    found = [v for v in volumes(region) if tags(v).get("rehome:state") == "active"]
    return [(v["VolumeId"], [a["InstanceId"] for a in v["Attachments"]]) for v in found]


def captures(region):
    filters = [
        {"Name": "tag:rehome:group", "Values": ["orders-db"]},
        {"Name": "tag:rehome:consistency", "Values": ["clean"]},
    ]
    return region.ec2.describe_snapshots(Filters=filters, OwnerIds=["self"])["Snapshots"]


def address_at(region, allocation):
    [address] = region.ec2.describe_addresses(AllocationIds=[allocation])["Addresses"]
    return address.get("InstanceId")


def serves(region, group, allocation, but=()):
    """The member that is in service with everything, if there is one."""
    ready = [i for i, state in group.members().items() if state == "InService" and i not in but]
    if len(ready) != 1 or address_at(region, allocation) != ready[0]:
        return None
    return ready[0] if [holders for _, holders in active(region)] == [ready] else None


@pytest.fixture
def function(region, tmp_path):
    with Function(tmp_path, CONFIG, region.url) as function:
        yield function


def test_a_function_alone_carries_a_whole_move(region, function):
    allocation = allocate_address(region, service="orders")
    group = Group(region)
    mapping = Mapping(region, function)
    first = mapping.feed(lambda: serves(region, group, allocation), "the first member to serve")

    region.autoscaling.set_instance_health(InstanceId=first, HealthStatus="Unhealthy", ShouldRespectGracePeriod=False)
    heir = mapping.feed(lambda: serves(region, group, allocation, but=[first]), "the heir to serve")
    mapping.feed(lambda: first not in group.members(), "the predecessor to be gone")
    mapping.feed(mapping.is_quiet, "the queue to be quiet")

    assert group.members() == {heir: "InService"}
    old, new = volumes(region)
    assert tags(new)["rehome:epoch"] == "2" and tags(old)["rehome:state"] != "active"
    assert [c["VolumeId"] for c in captures(region)] == [old["VolumeId"]]
    # Nothing came twice: no wait was paid with a receive count.
    assert set(mapping.receives.values()) == {1}
    assert function.summaries()[-1]["failed"] == 0


def test_an_upload_outlives_the_invocations(tmp_path):
    """The upload takes longer than a function may run here: it is waited for by
    messages that the function leaves to itself, each handed over once."""
    command = [REHOME, "region", "--listen", "127.0.0.1:0", "--seed", "1", "--latency-scale", "0.1"]
    with Server(command, env=environment()) as server, Function(tmp_path, CONFIG, server.url) as function:
        region = Session(server.url)
        allocation = allocate_address(region, service="orders")
        group = Group(region)
        mapping = Mapping(region, function, seconds=6)
        first = mapping.feed(lambda: serves(region, group, allocation), "the first member to serve")
        region.autoscaling.set_instance_health(
            InstanceId=first, HealthStatus="Unhealthy", ShouldRespectGracePeriod=False
        )
        heir = mapping.feed(lambda: serves(region, group, allocation, but=[first]), "the heir to serve", 120)
        mapping.feed(lambda: mapping.is_quiet() and len(group.members()) == 1, "the queue to be quiet")

        [capture] = captures(region)
        assert (capture["CompletionTime"] - capture["StartTime"]).total_seconds() > 6
        assert [holders for _, holders in active(region)] == [[heir]]
    assert mapping.follow_ups > 0
    assert set(mapping.receives.values()) == {1}


def test_a_daemon_and_a_function_end_as_one_would(region, tmp_path):
    allocation = allocate_address(region, service="orders")
    group = Group(region)
    file = tmp_path / "rehome.toml"
    file.write_text(CONFIG + '\n[wake]\npoll_every = "1s"\n')
    daemon = subprocess.Popen(
        [REHOME, "daemon", "--config", str(file)],
        env=environment(region.url),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        with Function(tmp_path, CONFIG, region.url) as function:
            mapping = Mapping(region, function)
            first = mapping.feed(lambda: serves(region, group, allocation), "the first member to serve")
            region.autoscaling.set_instance_health(
                InstanceId=first, HealthStatus="Unhealthy", ShouldRespectGracePeriod=False
            )
            heir = mapping.feed(lambda: serves(region, group, allocation, but=[first]), "the heir to serve")
            mapping.feed(lambda: len(group.members()) == 1 and mapping.is_quiet(), "everything to be quiet")
    finally:
        daemon.terminate()
        daemon.wait(60)
    assert daemon.returncode == 0
    assert group.members() == {heir: "InService"} and address_at(region, allocation) == heir
    # Of two volumes made at the same time one was used, and none has two holders.
    [(_, holders)] = active(region)
    assert holders == [heir]
    made = volumes(region)
    assert all(len(volume["Attachments"]) <= 1 for volume in made)
    assert {capture["VolumeId"] for capture in captures(region)} == {made[0]["VolumeId"]}


def test_a_function_that_is_killed_is_followed_by_another(region, tmp_path):
    """As Lambda does at the deadline: in the middle, with nothing left behind."""
    allocation = allocate_address(region, service="orders")
    group = Group(region)
    with Function(tmp_path, CONFIG, region.url) as function:
        mapping = Mapping(region, function)
        first = mapping.feed(lambda: serves(region, group, allocation), "the first member to serve")
        mapping.feed(mapping.is_quiet, "the queue to be quiet")
        # What is not deleted comes again soon.
        region.sqs.set_queue_attributes(QueueUrl=mapping.url, Attributes={"VisibilityTimeout": "2"})
        region.autoscaling.set_instance_health(
            InstanceId=first, HealthStatus="Unhealthy", ShouldRespectGracePeriod=False
        )

        def captured():
            messages, event = mapping.receive()
            if messages:
                function.send(event)
            return captures(region)

        until(captured, "the capture")
        function.process.kill()
    with Function(tmp_path, CONFIG, region.url) as function:
        mapping = Mapping(region, function)
        mapping.feed(lambda: serves(region, group, allocation, but=[first]), "the heir to serve")
    assert max(mapping.receives.values()) > 1
    old, new = volumes(region)
    assert {capture["VolumeId"] for capture in captures(region)} == {old["VolumeId"]}
    assert tags(new)["rehome:epoch"] == "2"


# On a metric of one's own: nothing but `ring` changes its state.
ALARM = {
    "AlarmName": "orders-db-status",
    "Namespace": "Orders",
    "MetricName": "Unanswered",
    "Statistic": "Maximum",
    "Period": 60,
    "EvaluationPeriods": 2,
    "Threshold": 1.0,
    "ComparisonOperator": "GreaterThanOrEqualToThreshold",
}
# As soon as it rings.
AT_ONCE = """
[[group.alarm]]
name = "orders-db-status"

[group.policy]
confirm_for = "1s"
cooldown    = "1s"
"""


def ring(region, *dimensions):
    region.cloudwatch.put_metric_alarm(**ALARM, Dimensions=list(dimensions))
    region.cloudwatch.set_alarm_state(AlarmName=ALARM["AlarmName"], StateValue="ALARM", StateReason="a test")


def test_an_alarm_in_the_queue_replaces_the_member(region, tmp_path):
    allocation = allocate_address(region, service="orders")
    group = Group(region)
    with Function(tmp_path, CONFIG + AT_ONCE, region.url) as function:
        mapping = Mapping(region, function)
        first = mapping.feed(lambda: serves(region, group, allocation), "the first member to serve")
        ring(region, {"Name": "AutoScalingGroupName", "Value": "orders-db"})
        mapping.feed(lambda: serves(region, group, allocation, but=[first]), "the heir to serve")
    assert len(captures(region)) == 1


def test_an_alarm_that_calls_the_function_calls_in_the_standby(region, tmp_path):
    """No queue, no group: CloudWatch invokes the function, and that is all."""
    allocation = allocate_address(region, service="orders")
    zone = "us-east-1a"
    primary, standby = launch(region, zone), launch(region, zone)
    region.ec2.stop_instances(InstanceIds=[standby])
    region.wait("instance_stopped", InstanceIds=[standby])
    pair = f'kind  = "pair"\nmembers = ["{primary}", "{standby}"]\nagent = false'
    event = json.loads((PROJECT / "tests/events/alarm-to-lambda-metric.json").read_text())
    event["alarmData"]["alarmName"] = ALARM["AlarmName"]
    with Function(tmp_path, CONFIG.replace("agent = false", pair) + AT_ONCE, region.url) as function:
        assert function.invoke(event).answer["settled"] == 1
        assert address_at(region, allocation) == primary
        ring(region, {"Name": "InstanceId", "Value": primary})
        assert function.invoke(event).answer["settled"] == 1
    states = region.ec2.describe_instances(InstanceIds=[primary, standby])["Reservations"]
    states = {i["InstanceId"]: i["State"]["Name"] for r in states for i in r["Instances"]}
    assert states == {primary: "stopped", standby: "running"}
    assert address_at(region, allocation) == standby
    assert [holders for _, holders in active(region)] == [[standby]]
