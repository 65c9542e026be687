"""The things a test needs to exist before it begins."""

import pytest
from botocore.exceptions import ClientError

from .aws import tagged, until

IMAGE = "ami-0123456789abcdef0"


def refused(code, call, *arguments, **more):
    """Calls, expects AWS to refuse with this code, and returns its message."""
    with pytest.raises(ClientError) as error:
        call(*arguments, **more)
    found = error.value.response["Error"]
    assert found["Code"] == code, found
    return found["Message"]


def visible(call, **arguments):
    """Describes by id, as soon as a new resource can be seen at all."""

    def look():
        try:
            return call(**arguments)
        except ClientError as error:
            if not error.response["Error"]["Code"].endswith("NotFound"):
                raise
            return None

    return until(look, f"{arguments} to be visible")


def create_volume(aws, zone, **more):
    """A volume that is available; 8 GiB if nothing else is said."""
    wanted = {"AvailabilityZone": zone, "Size": 8, "VolumeType": "gp3"} | more
    wanted = {name: value for name, value in wanted.items() if value is not None}
    volume = aws.ec2.create_volume(**wanted)["VolumeId"]
    wait_for_volume(aws, volume)
    return volume


def wait_for_volume(aws, volume):
    """boto3's waiter gives up on a volume that cannot be described yet."""
    visible(aws.ec2.describe_volumes, VolumeIds=[volume])
    aws.wait("volume_available", VolumeIds=[volume])


def launch(aws, zone, **more):
    """An instance that runs."""
    made = aws.ec2.run_instances(
        ImageId=IMAGE,
        InstanceType="t3.micro",
        MinCount=1,
        MaxCount=1,
        Placement={"AvailabilityZone": zone},
        **more,
    )
    instance = made["Instances"][0]["InstanceId"]
    aws.wait("instance_running", InstanceIds=[instance])
    return instance


def pending_snapshot(aws, volume):
    return aws.ec2.create_snapshot(VolumeId=volume)["SnapshotId"]


def allocate_address(aws, **pairs):
    more = {"TagSpecifications": tagged("elastic-ip", **pairs)} if pairs else {}
    return aws.ec2.allocate_address(Domain="vpc", **more)["AllocationId"]
