"""`rehome daemon` on an instance of the group: what the machine itself tells."""

import json

import pytest
from support.aws import until
from support.daemon import Daemon
from support.group import Group

CONFIG = """
[[group]]
name = "orders-db"

[[group.volume]]
name     = "data"
device   = "/dev/sdf"
size_gib = 1

[wake]
poll_every = "1h"
"""
HEALTH = """
[group.workload]
health = ["sh", "-c", "echo healthy >> {}"]
"""
TARGET = "/latest/meta-data/autoscaling/target-lifecycle-state"
MAINTENANCE = "/latest/meta-data/events/maintenance/scheduled"


def zone_of(region, member):
    found = region.ec2.describe_instances(InstanceIds=[member])["Reservations"][0]["Instances"][0]
    return found["Placement"]["AvailabilityZone"]


def test_a_machine_that_learns_late_who_it_is_serves_its_group_all_the_same(region, imds, tmp_path):
    group = Group(region)
    member = group.in_state("Pending:Wait")
    metadata = {"AWS_EC2_METADATA_SERVICE_ENDPOINT": imds.url, "AWS_EC2_METADATA_DISABLED": None}
    with Daemon(tmp_path, region.url, CONFIG, **metadata) as daemon:
        # Under load a boot takes its time; so far nobody knows it for an instance.
        daemon.says("serves the group from elsewhere")
        imds.become(member, zone_of(region, member))
        daemon.says("the metadata service answers now")
        daemon.says("serves the group from its instance")
        group.in_state("InService")
        daemon.status("1 group(s) settled")
        assert daemon.stop() == 0


@pytest.fixture
def here(request, region, imds, tmp_path):
    """A daemon on the only member, settled; the group, and the member."""
    group = Group(region)
    member = group.in_state("Pending:Wait")
    imds.become(member, zone_of(region, member))
    more = getattr(request, "param", "").format(tmp_path / "healthy")
    text = CONFIG.replace("[wake]", more + "\n[wake]")
    metadata = {"AWS_EC2_METADATA_SERVICE_ENDPOINT": imds.url, "AWS_EC2_METADATA_DISABLED": None}
    with Daemon(tmp_path, region.url, text, **metadata) as daemon:
        daemon.says("serves the group from its instance")
        group.in_state("InService")
        daemon.status("1 group(s) settled")
        yield daemon, group, member
        assert daemon.stop() == 0


@pytest.mark.parametrize("here", ["", HEALTH], ids=["bare", "healthy"], indirect=True)
def test_it_lets_go_as_soon_as_its_target_is_its_end(region, imds, here):
    daemon, group, member = here
    volumes = [{"Name": "tag:rehome:group", "Values": ["orders-db"]}]
    region.autoscaling.set_instance_health(
        InstanceId=member, HealthStatus="Unhealthy", ShouldRespectGracePeriod=False
    )
    group.in_state("Terminating:Wait")
    imds.paths["autoscaling/target-lifecycle-state"] = "Terminated"

    def captured():
        return region.ec2.describe_snapshots(OwnerIds=["self"], Filters=volumes)["Snapshots"]

    until(captured, "the capture of a volume that was let go")
    until(lambda: group.members().get(member) != "Terminating:Wait", "the terminate action to be completed")


def test_what_ec2_announces_is_said_once_and_moves_nothing(imds, here):
    daemon, group, member = here
    event = {"Code": "instance-retirement", "State": "active", "NotBefore": "21 Jan 2027 09:00:43 GMT"}
    imds.paths["events/maintenance/scheduled"] = json.dumps([event])
    imds.paths["events/recommendations/rebalance"] = '{"noticeTime": "2026-11-20T10:00:00Z"}'
    announced = "EC2 announces something for this instance"
    until(lambda: len(daemon.says(announced)) == 2, "both to be said")
    assert "instance-retirement, not before 21 Jan" in daemon.says(announced)[0]["what"]
    asked = imds.asked.count(MAINTENANCE)
    until(lambda: imds.asked.count(MAINTENANCE) > asked, "it to ask again")
    assert len(daemon.says(announced)) == 2
    assert group.members() == {member: "InService"}


@pytest.mark.parametrize("here", [HEALTH], ids=["healthy"], indirect=True)
def test_a_quiet_instance_runs_its_health_command_seldom(imds, here, tmp_path):
    """Metadata is asked each second; a process need not be started each time."""

    def counts():
        return imds.asked.count(TARGET), (tmp_path / "healthy").read_text().count("healthy")

    asked, healthy = counts()
    until(lambda: counts()[0] >= asked + 24, "it to ask its metadata often")
    assert counts()[1] - healthy <= 6
