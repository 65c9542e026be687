"""Volumes and snapshots of the emulated region, as stock boto3 sees them."""

import pytest
from botocore.exceptions import ClientError
from support.aws import tagged, tags, until
from support.world import create_volume, launch, pending_snapshot, refused, visible, wait_for_volume

ZONE, OTHER_ZONE = "us-east-1a", "us-east-1b"


def test_a_volume_has_the_shape_it_was_asked_for(region):
    made = region.ec2.create_volume(
        AvailabilityZone=ZONE,
        Size=20,
        VolumeType="gp3",
        Iops=4000,
        Throughput=250,
        Encrypted=True,
        TagSpecifications=tagged("volume", team="orders", note="a <b> & 'c'"),
    )
    assert made["State"] == "creating" and made["Size"] == 20
    wait_for_volume(region, made["VolumeId"])
    [volume] = region.ec2.describe_volumes(VolumeIds=[made["VolumeId"]])["Volumes"]
    shape = {key: volume[key] for key in ("Size", "VolumeType", "Iops", "Throughput", "Encrypted", "AvailabilityZone")}
    assert shape == {
        "Size": 20,
        "VolumeType": "gp3",
        "Iops": 4000,
        "Throughput": 250,
        "Encrypted": True,
        "AvailabilityZone": ZONE,
    }
    assert volume["State"] == "available" and volume["Attachments"] == []
    assert tags(volume) == {"team": "orders", "note": "a <b> & 'c'"}
    assert volume["CreateTime"].tzinfo is not None


def test_a_volume_is_attached_used_and_let_go(region):
    instance, volume = launch(region, ZONE), create_volume(region, ZONE)
    attachment = region.ec2.attach_volume(VolumeId=volume, InstanceId=instance, Device="/dev/sdf")
    assert attachment["State"] == "attaching"
    region.wait("volume_in_use", VolumeIds=[volume])

    def attached():
        [seen] = region.ec2.describe_volumes(VolumeIds=[volume])["Volumes"]
        return [a for a in seen["Attachments"] if a["State"] == "attached"]

    [seen] = until(attached, "the attachment")
    assert (seen["InstanceId"], seen["Device"]) == (instance, "/dev/sdf")
    assert seen["DeleteOnTermination"] is False

    assert region.ec2.detach_volume(VolumeId=volume)["State"] == "detaching"
    region.wait("volume_available", VolumeIds=[volume])
    region.ec2.delete_volume(VolumeId=volume)
    region.wait("volume_deleted", VolumeIds=[volume])


def test_a_snapshot_is_completed_and_makes_a_volume_in_another_zone(region):
    volume = create_volume(region, ZONE, Size=12)
    snapshot = region.ec2.create_snapshot(
        VolumeId=volume, Description="before the move", TagSpecifications=tagged("snapshot", team="orders")
    )
    assert snapshot["State"] == "pending" and snapshot["VolumeSize"] == 12
    visible(region.ec2.describe_snapshots, SnapshotIds=[snapshot["SnapshotId"]])
    region.wait("snapshot_completed", SnapshotIds=[snapshot["SnapshotId"]])
    [seen] = region.ec2.describe_snapshots(SnapshotIds=[snapshot["SnapshotId"]])["Snapshots"]
    assert seen["Progress"] == "100%" and tags(seen) == {"team": "orders"}
    assert seen["VolumeId"] == volume and seen["Description"] == "before the move"
    copy = create_volume(region, OTHER_ZONE, SnapshotId=snapshot["SnapshotId"], Size=None)
    [seen] = region.ec2.describe_volumes(VolumeIds=[copy])["Volumes"]
    assert seen["SnapshotId"] == snapshot["SnapshotId"]
    assert (seen["Size"], seen["AvailabilityZone"]) == (12, OTHER_ZONE)


def test_a_client_token_makes_one_volume(region):
    def make(**more):
        return region.ec2.create_volume(AvailabilityZone=ZONE, ClientToken="the-same", **more)["VolumeId"]

    assert make(Size=8) == make(Size=8)
    assert refused("IdempotentParameterMismatch", make, Size=9)


def test_a_volume_of_a_pending_snapshot_is_refused(region):
    snapshot = pending_snapshot(region, create_volume(region, ZONE))
    message = refused("IncorrectState", create_volume, region, OTHER_ZONE, SnapshotId=snapshot, Size=None)
    assert snapshot in message and "completed" in message


def test_a_volume_of_another_zone_is_refused(region):
    instance, volume = launch(region, ZONE), create_volume(region, OTHER_ZONE)
    refused(
        "InvalidVolume.ZoneMismatch",
        region.ec2.attach_volume,
        VolumeId=volume,
        InstanceId=instance,
        Device="/dev/sdf",
    )


def test_a_volume_in_use_is_refused(region):
    first, second, volume = launch(region, ZONE), launch(region, ZONE), create_volume(region, ZONE)
    region.ec2.attach_volume(VolumeId=volume, InstanceId=first, Device="/dev/sdf")
    for instance in (first, second):
        message = refused(
            "VolumeInUse",
            region.ec2.attach_volume,
            VolumeId=volume,
            InstanceId=instance,
            Device="/dev/sdf",
        )
        assert volume in message
    assert refused("VolumeInUse", region.ec2.delete_volume, VolumeId=volume)


def test_a_device_name_is_taken_once(region):
    instance = launch(region, ZONE)
    volumes = [create_volume(region, ZONE) for _ in range(2)]
    region.ec2.attach_volume(VolumeId=volumes[0], InstanceId=instance, Device="/dev/sdf")
    message = refused(
        "InvalidParameterValue",
        region.ec2.attach_volume,
        VolumeId=volumes[1],
        InstanceId=instance,
        Device="/dev/sdf",
    )
    assert "already in use" in message


def test_a_volume_that_is_not_attached_cannot_be_detached(region):
    volume = create_volume(region, ZONE)
    assert volume in refused("IncorrectState", region.ec2.detach_volume, VolumeId=volume)


def test_snapshots_of_one_volume_come_no_faster_than_allowed(region):
    volume = create_volume(region, ZONE)
    region.ec2.create_snapshot(VolumeId=volume)
    refused("SnapshotCreationPerVolumeRateExceeded", region.ec2.create_snapshot, VolumeId=volume)


MISSING = {
    "a volume": ("InvalidVolume.NotFound", "describe_volumes", {"VolumeIds": ["vol-0123456789abcdef0"]}),
    "a volume to snapshot": ("InvalidVolume.NotFound", "create_snapshot", {"VolumeId": "vol-0123456789abcdef0"}),
    "a snapshot": ("InvalidSnapshot.NotFound", "describe_snapshots", {"SnapshotIds": ["snap-0123456789abcdef0"]}),
    "a snapshot to delete": ("InvalidSnapshot.NotFound", "delete_snapshot", {"SnapshotId": "snap-0123456789abcdef0"}),
    "a snapshot to restore": (
        "InvalidSnapshot.NotFound",
        "create_volume",
        {"AvailabilityZone": ZONE, "SnapshotId": "snap-0123456789abcdef0"},
    ),
    "an instance": ("InvalidInstanceID.NotFound", "describe_instances", {"InstanceIds": ["i-0123456789abcdef0"]}),
    "a zone": ("InvalidZone.NotFound", "create_volume", {"AvailabilityZone": "us-east-1x", "Size": 8}),
}


@pytest.mark.parametrize("code, call, arguments", MISSING.values(), ids=MISSING.keys())
def test_what_does_not_exist_is_said_so(region, code, call, arguments):
    with pytest.raises(ClientError) as error:
        getattr(region.ec2, call)(**arguments)
    assert error.value.response["Error"]["Code"] == code
    assert error.value.response["ResponseMetadata"]["HTTPStatusCode"] == 400
    assert error.value.response["ResponseMetadata"]["RequestId"]


def test_one_bad_id_fails_the_whole_batch(region):
    volume = create_volume(region, ZONE)
    message = refused(
        "InvalidVolume.NotFound", region.ec2.describe_volumes, VolumeIds=[volume, "vol-0123456789abcdef0"]
    )
    assert "vol-0123456789abcdef0" in message and volume not in message


def test_pages_hold_everything_once(region):
    made = {create_volume(region, ZONE, TagSpecifications=tagged("volume", series="x")) for _ in range(12)}
    create_volume(region, ZONE)
    pages = region.ec2.get_paginator("describe_volumes")

    def paged():
        found = pages.paginate(Filters=[{"Name": "tag:series", "Values": ["x"]}], PaginationConfig={"PageSize": 5})
        sizes = []
        ids = []
        for page in found:
            sizes.append(len(page["Volumes"]))
            ids += [volume["VolumeId"] for volume in page["Volumes"]]
        # What a filter finds may lag behind.
        return len(ids) == 12 and (sizes, ids)

    sizes, ids = until(paged, "every volume of the series")
    assert sizes == [5, 5, 2]
    assert sorted(ids) == sorted(made)


def test_filters_narrow_what_is_found(region):
    one = create_volume(region, ZONE, TagSpecifications=tagged("volume", role="data"))
    create_volume(region, OTHER_ZONE, TagSpecifications=tagged("volume", role="data"))
    create_volume(region, ZONE, TagSpecifications=tagged("volume", role="log"))
    filters = [
        {"Name": "tag:role", "Values": ["data", "nothing"]},
        {"Name": "availability-zone", "Values": [ZONE]},
        {"Name": "status", "Values": ["available"]},
    ]

    def found():
        return [v["VolumeId"] for v in region.ec2.describe_volumes(Filters=filters)["Volumes"]]

    assert until(found, "the volume in the index") == [one]


def test_tags_are_written_replaced_and_removed(region):
    volume = create_volume(region, ZONE, TagSpecifications=tagged("volume", a="1", b="2"))
    region.ec2.create_tags(Resources=[volume], Tags=[{"Key": "a", "Value": "3"}, {"Key": "c", "Value": ""}])
    region.ec2.delete_tags(Resources=[volume], Tags=[{"Key": "b"}])
    [seen] = region.ec2.describe_volumes(VolumeIds=[volume])["Volumes"]
    assert tags(seen) == {"a": "3", "c": ""}
