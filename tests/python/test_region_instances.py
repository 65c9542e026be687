"""Instances and Elastic IPs of the emulated region, as stock boto3 sees them."""

from support.aws import tagged, tags, until
from support.world import allocate_address, create_volume, launch, refused, visible

ZONE = "us-east-1a"


def describe(region, instance):
    found = visible(region.ec2.describe_instances, InstanceIds=[instance])
    return found["Reservations"][0]["Instances"][0]


def address(region, allocation):
    [found] = visible(region.ec2.describe_addresses, AllocationIds=[allocation])["Addresses"]
    return found


def test_an_instance_runs_stops_starts_and_ends(region):
    instance = launch(region, ZONE, TagSpecifications=tagged("instance", Name="db"))
    seen = describe(region, instance)
    assert seen["State"] == {"Code": 16, "Name": "running"}
    assert seen["Placement"]["AvailabilityZone"] == ZONE and tags(seen) == {"Name": "db"}
    assert seen["NetworkInterfaces"][0]["PrivateIpAddresses"][0]["Primary"] is True

    [change] = region.ec2.stop_instances(InstanceIds=[instance])["StoppingInstances"]
    assert change["CurrentState"]["Name"] == "stopping"
    assert change["PreviousState"]["Name"] == "running"
    region.wait("instance_stopped", InstanceIds=[instance])

    region.ec2.start_instances(InstanceIds=[instance])
    region.wait("instance_running", InstanceIds=[instance])
    assert describe(region, instance)["LaunchTime"] > seen["LaunchTime"]

    region.ec2.terminate_instances(InstanceIds=[instance])
    region.wait("instance_terminated", InstanceIds=[instance])


def test_an_instance_says_what_is_attached_to_it(region):
    instance, volume = launch(region, ZONE), create_volume(region, ZONE)
    region.ec2.attach_volume(VolumeId=volume, InstanceId=instance, Device="/dev/sdf")
    region.wait("volume_in_use", VolumeIds=[volume])

    def mapped():
        mappings = describe(region, instance)["BlockDeviceMappings"]
        return [m for m in mappings if m["DeviceName"] == "/dev/sdf" and m["Ebs"]["Status"] == "attached"]

    [mapping] = until(mapped, "the mapping")
    assert mapping["Ebs"]["VolumeId"] == volume
    assert mapping["Ebs"]["DeleteOnTermination"] is False


def test_termination_lets_go_of_volume_and_address(region):
    instance, volume, allocation = launch(region, ZONE), create_volume(region, ZONE), allocate_address(region)
    region.ec2.attach_volume(VolumeId=volume, InstanceId=instance, Device="/dev/sdf")
    region.wait("volume_in_use", VolumeIds=[volume])
    visible(region.ec2.associate_address, AllocationId=allocation, InstanceId=instance)
    region.ec2.terminate_instances(InstanceIds=[instance])
    region.wait("instance_terminated", InstanceIds=[instance])
    region.wait("volume_available", VolumeIds=[volume])
    assert "AssociationId" not in address(region, allocation)


def test_a_volume_is_kept_by_a_stopped_instance(region):
    instance, volume = launch(region, ZONE), create_volume(region, ZONE)
    region.ec2.attach_volume(VolumeId=volume, InstanceId=instance, Device="/dev/sdf")
    region.wait("volume_in_use", VolumeIds=[volume])
    region.ec2.stop_instances(InstanceIds=[instance])
    region.wait("instance_stopped", InstanceIds=[instance])
    [seen] = region.ec2.describe_volumes(VolumeIds=[volume])["Volumes"]
    assert seen["State"] == "in-use" and seen["Attachments"][0]["InstanceId"] == instance


def test_an_address_moves_in_one_call(region):
    first, second, allocation = launch(region, ZONE), launch(region, ZONE), allocate_address(region, service="orders")
    free = address(region, allocation)
    assert tags(free) == {"service": "orders"} and "InstanceId" not in free
    visible(region.ec2.associate_address, AllocationId=allocation, InstanceId=first)
    held = address(region, allocation)
    assert held["InstanceId"] == first
    interface = describe(region, first)["NetworkInterfaces"][0]
    assert held["NetworkInterfaceId"] == interface["NetworkInterfaceId"]
    assert held["PrivateIpAddress"] == interface["PrivateIpAddress"]

    message = refused(
        "Resource.AlreadyAssociated",
        region.ec2.associate_address,
        AllocationId=allocation,
        InstanceId=second,
        AllowReassociation=False,
    )
    assert allocation in message
    moved = region.ec2.associate_address(AllocationId=allocation, InstanceId=second, AllowReassociation=True)
    held = address(region, allocation)
    assert (held["InstanceId"], held["AssociationId"]) == (second, moved["AssociationId"])


def test_an_address_is_found_by_its_tag(region):
    allocation = allocate_address(region, service="orders")
    allocate_address(region, service="other")
    filters = [{"Name": "tag:service", "Values": ["orders"]}]
    found = until(lambda: region.ec2.describe_addresses(Filters=filters)["Addresses"], "the address in the index")
    assert [a["AllocationId"] for a in found] == [allocation]


def test_an_address_that_does_not_exist_is_refused(region):
    instance = launch(region, ZONE)
    refused(
        "InvalidAllocationID.NotFound",
        region.ec2.associate_address,
        AllocationId="eipalloc-0123456789abcdef0",
        InstanceId=instance,
    )
    refused(
        "InvalidAllocationID.NotFound",
        region.ec2.describe_addresses,
        AllocationIds=["eipalloc-0123456789abcdef0"],
    )


def test_an_address_cannot_go_to_an_instance_that_is_gone(region):
    instance, allocation = launch(region, ZONE), allocate_address(region)
    address(region, allocation)
    region.ec2.terminate_instances(InstanceIds=[instance])
    region.wait("instance_terminated", InstanceIds=[instance])
    refused("InvalidInstanceID", region.ec2.associate_address, AllocationId=allocation, InstanceId=instance)


def test_instances_come_in_pages(region):
    made = {launch(region, ZONE) for _ in range(7)}
    pages = region.ec2.get_paginator("describe_instances")

    def paged():
        found = [page["Reservations"] for page in pages.paginate(PaginationConfig={"PageSize": 5})]
        ids = [i["InstanceId"] for reservations in found for r in reservations for i in r["Instances"]]
        return len(ids) == 7 and (len(found), ids)

    count, ids = until(paged, "every instance in the listing")
    assert count == 2 and set(ids) == made


def test_an_unknown_action_fails_loudly(region):
    refused("InvalidAction", region.ec2.describe_vpn_gateways)
