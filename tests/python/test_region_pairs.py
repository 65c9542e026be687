"""A primary and a standby, moved by a controller's process and by a person, on
the emulated region's port."""

import json

import pytest
from support.aws import environment, tags, until
from support.process import REHOME, Server, run
from support.world import allocate_address, launch

ZONES = ("us-east-1a", "us-east-1b")
ALARM = "gateway-sick"

CONFIG = """
[[group]]
name    = "gateway"
kind    = "pair"
members = ["{primary}", "{standby}"]
agent   = false

[[group.address]]
tag = {{ key = "service", value = "gateway" }}

[[group.volume]]
name     = "data"
device   = "/dev/sdf"
size_gib = 8

[[group.alarm]]
name = "gateway-sick"

[group.policy]
quiesce_timeout = "1s"
confirm_for = "1s"
cooldown    = "1s"

[wake]
poll_every = "1s"
"""


class Pair:
    def __init__(self, region, file):
        self.region = region
        self.file = file
        self.primary, self.standby = (launch(region, zone) for zone in ZONES)
        region.ec2.stop_instances(InstanceIds=[self.standby])
        region.wait("instance_stopped", InstanceIds=[self.standby])
        self.allocation = allocate_address(region, service="gateway")
        region.cloudwatch.put_metric_alarm(
            AlarmName=ALARM,
            Namespace="Gateway",
            MetricName="Errors",
            Statistic="Maximum",
            Period=60,
            EvaluationPeriods=1,
            Threshold=0.0,
            ComparisonOperator="GreaterThanThreshold",
        )
        file.write_text(CONFIG.format(primary=self.primary, standby=self.standby))

    def ring(self, state="ALARM"):
        self.region.cloudwatch.set_alarm_state(AlarmName=ALARM, StateValue=state, StateReason="a test")

    def address_on(self):
        [address] = self.region.ec2.describe_addresses(AllocationIds=[self.allocation])["Addresses"]
        return address.get("InstanceId")

    def volume_on(self):
        """Where the one active volume is attached, and its epoch."""
        filters = [
            {"Name": "tag:rehome:group", "Values": ["gateway"]},
            {"Name": "tag:rehome:state", "Values": ["active"]},
        ]
        volumes = self.region.ec2.describe_volumes(Filters=filters)["Volumes"]
        return [
            (a["InstanceId"], tags(volume)["rehome:epoch"])
            for volume in volumes
            for a in volume["Attachments"]
            if a["State"] == "attached"
        ]

    def state(self, instance):
        found = self.region.ec2.describe_instances(InstanceIds=[instance])
        return found["Reservations"][0]["Instances"][0]["State"]["Name"]

    def held_by(self, instance, epoch):
        return self.address_on() == instance and (instance, epoch) in self.volume_on()

    def rehome(self, *words):
        command = [REHOME, *words, "--config", str(self.file)]
        return run(command, env=environment(self.region.url))


@pytest.fixture
def pair(region, tmp_path):
    return Pair(region, tmp_path / "rehome.toml")


@pytest.fixture
def controller(pair):
    """The daemon, on no instance; it says where the region is once it looks."""
    command = [REHOME, "daemon", "--config", str(pair.file)]
    # It listens nowhere; the address it names is the region's.
    env = environment(pair.region.url, RUST_LOG="info,aws_smithy_runtime=off")
    with Server(["sh", "-c", 'echo "asks $AWS_ENDPOINT_URL"; exec "$@"', "sh", *command], env=env) as daemon:
        yield daemon


def test_an_alarm_starts_the_standby_and_moves_everything(pair, controller):
    until(lambda: pair.held_by(pair.primary, "1"), "the first boot")
    pair.ring("INSUFFICIENT_DATA")
    pair.ring()
    until(lambda: pair.held_by(pair.standby, "2"), "the standby to take over")
    until(lambda: pair.state(pair.primary) == "stopped", "the primary to be fenced")
    for member in (pair.primary, pair.standby):
        found = pair.region.ec2.describe_instances(InstanceIds=[member])
        [instance] = found["Reservations"][0]["Instances"]
        assert tags(instance)["rehome:holder"] == pair.standby
        assert tags(instance)["rehome:epoch:data"] == "2"


def test_a_person_switches_over_and_back(pair):
    assert pair.rehome("switchover", "gateway", "--yes").returncode == 0
    assert pair.held_by(pair.standby, "1")
    ended = pair.rehome("switchover", "gateway", "--to", pair.primary, "--yes", "--json")
    assert ended.returncode == 0, ended
    report = json.loads(ended.stdout)
    assert (report["from"], report["to"], report["settled"]) == (pair.standby, pair.primary, True)
    assert pair.held_by(pair.primary, "2")


def test_what_cannot_be_asked_for_is_said(pair):
    ended = pair.rehome("switchover", "gateway", "--to", pair.primary, "--yes")
    assert ended.returncode == 1 and "is the holder already" in ended.stderr, ended
    ended = pair.rehome("switchover", "gateway", "--to", "i-0stranger", "--yes")
    assert ended.returncode == 1 and "no member of the pair" in ended.stderr, ended
    ended = pair.rehome("switchover", "nobody", "--yes")
    assert ended.returncode == 2 and 'no group "nobody"' in ended.stderr, ended
    # Nobody is at the terminal to say yes.
    ended = pair.rehome("switchover", "gateway")
    assert ended.returncode == 2 and "--yes" in ended.stderr, ended
    assert pair.state(pair.standby) == "stopped" and pair.address_on() is None
