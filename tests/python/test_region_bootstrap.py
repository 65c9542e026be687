"""`rehome bootstrap` against the emulated region on its port: what moto cannot
do, because there a hook really waits and every state takes its time."""

import pytest
from support.aws import environment, tags, until
from support.group import Group
from support.process import LONG, REHOME, run
from support.world import allocate_address

CONFIG = """
[[group]]
name = "orders-db"

[[group.address]]
tag = { key = "service", value = "orders" }

[[group.volume]]
name       = "data"
device     = "/dev/sdf"
size_gib   = 20
type       = "gp3"
iops       = 4000
throughput = 250
"""


@pytest.fixture
def bootstrap(region, imds, tmp_path):
    """Runs it as this member, where the region is the only AWS there is."""
    file = tmp_path / "rehome.toml"
    file.write_text(CONFIG)

    def boot(instance, zone):
        imds.become(instance, zone)
        here = {"AWS_EC2_METADATA_SERVICE_ENDPOINT": imds.url, "AWS_EC2_METADATA_DISABLED": None}
        command = [REHOME, "bootstrap", "--config", str(file), "--timeout", LONG]
        ended = run(command, env=environment(region.url, **here))
        assert ended.returncode == 0, ended.stdout + ended.stderr

    return boot


def zone_of(region, instance):
    found = region.ec2.describe_instances(InstanceIds=[instance])
    return found["Reservations"][0]["Instances"][0]["Placement"]["AvailabilityZone"]


def volumes(region):
    """The group's volumes, the oldest epoch first."""
    filters = [{"Name": "tag:rehome:group", "Values": ["orders-db"]}]
    found = region.ec2.describe_volumes(Filters=filters)["Volumes"]
    return sorted(found, key=lambda volume: int(tags(volume)["rehome:epoch"]))


def holder(volume):
    return [(a["InstanceId"], a["State"]) for a in volume["Attachments"]]


def test_a_killed_instance_is_followed_into_another_zone(region, bootstrap):
    allocation = allocate_address(region, service="orders")
    group = Group(region)
    first = group.in_state("Pending:Wait")
    bootstrap(first, zone_of(region, first))
    assert group.in_state("InService") == first
    [made] = volumes(region)
    assert holder(made) == [(first, "attached")]

    region.ec2.terminate_instances(InstanceIds=[first])
    heir = group.in_state("Pending:Wait", but=[first])
    region.wait("volume_available", VolumeIds=[made["VolumeId"]])
    assert zone_of(region, heir) != made["AvailabilityZone"]
    bootstrap(heir, zone_of(region, heir))
    assert group.in_state("InService") == heir

    old, new = until(lambda: len(volumes(region)) == 2 and volumes(region), "both volumes in the index")
    assert old["VolumeId"] == made["VolumeId"] and holder(old) == []
    assert holder(new) == [(heir, "attached")] and tags(new)["rehome:epoch"] == "2"
    assert (new["Size"], new["Iops"], new["Throughput"]) == (20, 4000, 250)
    [address] = region.ec2.describe_addresses(AllocationIds=[allocation])["Addresses"]
    assert address["InstanceId"] == heir
