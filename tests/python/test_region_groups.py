"""Auto Scaling groups of the emulated region, as stock boto3 sees them: hooks
that wait, replacements, and the events that tell of them."""

import json
import re

import pytest
from support.aws import tags, until
from support.group import HOOKS, ZONES, Group
from support.world import refused


def events(region, wanted, at_least=1):
    """The events of one kind in the queue, once there are so many."""
    queue = region.sqs.get_queue_url(QueueName="events")["QueueUrl"]
    found = []

    def receive():
        answer = region.sqs.receive_message(QueueUrl=queue, MaxNumberOfMessages=10, WaitTimeSeconds=1)
        for message in answer.get("Messages", []):
            region.sqs.delete_message(QueueUrl=queue, ReceiptHandle=message["ReceiptHandle"])
            event = json.loads(message["Body"])
            if event["detail-type"] == wanted:
                found.append(event)
        return len(found) >= at_least

    until(receive, f"{wanted} in the queue")
    return found


def test_a_group_is_described_as_it_was_made(region):
    tag = {
        "ResourceId": "orders-db",
        "ResourceType": "auto-scaling-group",
        "Key": "team",
        "Value": "orders",
        "PropagateAtLaunch": True,
    }
    group = Group(region, Tags=[tag], HealthCheckGracePeriod=30)
    seen = group.describe()
    assert (seen["MinSize"], seen["MaxSize"], seen["DesiredCapacity"]) == (1, 1, 1)
    assert seen["HealthCheckGracePeriod"] == 30
    assert sorted(seen["AvailabilityZones"]) == ZONES
    assert seen["Tags"] == [tag]
    hooks = region.autoscaling.describe_lifecycle_hooks(AutoScalingGroupName="orders-db")["LifecycleHooks"]
    seen = {hook["LifecycleHookName"]: hook for hook in hooks}
    for wanted in HOOKS:
        for key, value in wanted.items():
            assert seen[wanted["LifecycleHookName"]][key] == value
    assert seen["arrive"]["GlobalTimeout"] == 60_000


def test_a_launch_waits_at_its_hook_and_goes_on_when_told(region):
    group = Group(region)
    instance = group.in_state("Pending:Wait")
    [event] = events(region, "EC2 Instance-launch Lifecycle Action")
    assert event["source"] == "aws.autoscaling"
    detail = event["detail"]
    assert detail["AutoScalingGroupName"] == "orders-db" and detail["LifecycleHookName"] == "arrive"
    assert detail["EC2InstanceId"] == instance
    assert detail["LifecycleTransition"] == "autoscaling:EC2_INSTANCE_LAUNCHING"

    region.autoscaling.record_lifecycle_action_heartbeat(
        AutoScalingGroupName="orders-db", LifecycleHookName="arrive", InstanceId=instance
    )
    region.autoscaling.complete_lifecycle_action(
        AutoScalingGroupName="orders-db",
        LifecycleHookName="arrive",
        LifecycleActionToken=detail["LifecycleActionToken"],
        LifecycleActionResult="CONTINUE",
    )
    assert group.in_state("InService") == instance


def test_an_action_that_is_not_open_cannot_be_completed(region):
    group = Group(region)
    instance = group.in_service()
    message = refused("ValidationError", group.complete, "arrive", instance)
    assert message == f"No active Lifecycle Action found with instance ID {instance}"
    message = refused(
        "ValidationError",
        region.autoscaling.record_lifecycle_action_heartbeat,
        AutoScalingGroupName="orders-db",
        LifecycleHookName="leave",
        InstanceId=instance,
    )
    assert "No active Lifecycle Action" in message


def test_an_unhealthy_member_is_replaced_while_it_still_waits(region):
    group = Group(region)
    old = group.in_service()
    region.autoscaling.set_instance_health(InstanceId=old, HealthStatus="Unhealthy", ShouldRespectGracePeriod=False)
    assert group.in_state("Terminating:Wait") == old
    heir = group.in_state("Pending:Wait", but=[old])
    assert group.members()[old] == "Terminating:Wait"
    [event] = events(region, "EC2 Instance-terminate Lifecycle Action")
    assert event["detail"]["EC2InstanceId"] == old
    # The hook holds it: nothing has happened to the instance itself.
    seen = region.ec2.describe_instances(InstanceIds=[old])["Reservations"][0]["Instances"][0]
    assert seen["State"]["Name"] == "running"

    group.complete("leave", old)
    region.wait("instance_terminated", InstanceIds=[old])
    until(lambda: old not in group.members(), "the old member to be forgotten")
    group.complete("arrive", heir)
    assert group.in_state("InService") == heir


def test_the_grace_period_is_respected_unless_told_otherwise(region):
    group = Group(region, HealthCheckGracePeriod=3600)
    instance = group.in_service()
    region.autoscaling.set_instance_health(InstanceId=instance, HealthStatus="Unhealthy")
    assert group.members() == {instance: "InService"}
    region.autoscaling.set_instance_health(
        InstanceId=instance, HealthStatus="Unhealthy", ShouldRespectGracePeriod=False
    )
    assert group.in_state("Terminating:Wait") == instance


def test_an_abandoned_launch_is_replaced(region):
    group = Group(region)
    first = group.in_state("Pending:Wait")
    group.complete("arrive", first, result="ABANDON")
    second = group.in_state("Pending:Wait", but=[first])
    assert second != first


def test_members_are_found_by_instance(region):
    group = Group(region)
    instance = group.in_service()
    asked = [instance, "i-0123456789abcdef0"]
    found = region.autoscaling.describe_auto_scaling_instances(InstanceIds=asked)["AutoScalingInstances"]
    assert [(m["InstanceId"], m["AutoScalingGroupName"], m["LifecycleState"]) for m in found] == [
        (instance, "orders-db", "InService")
    ]


def test_instances_carry_the_name_of_their_group(region):
    group = Group(region)
    instance = group.in_state("Pending:Wait")
    seen = region.ec2.describe_instances(InstanceIds=[instance])["Reservations"][0]["Instances"][0]
    assert tags(seen)["aws:autoscaling:groupName"] == "orders-db"


def test_tags_of_a_group_are_written_described_and_removed(region):
    Group(region)
    tag = {
        "ResourceId": "orders-db",
        "ResourceType": "auto-scaling-group",
        "Key": "epoch",
        "Value": "1",
        "PropagateAtLaunch": False,
    }
    region.autoscaling.create_or_update_tags(Tags=[tag])
    region.autoscaling.create_or_update_tags(Tags=[tag | {"Value": "2"}])
    mine = [{"Name": "auto-scaling-group", "Values": ["orders-db"]}]
    [seen] = region.autoscaling.describe_tags(Filters=mine)["Tags"]
    assert seen == tag | {"Value": "2"}
    region.autoscaling.delete_tags(Tags=[{key: tag[key] for key in ("ResourceId", "ResourceType", "Key")}])
    assert region.autoscaling.describe_tags(Filters=mine)["Tags"] == []


def test_groups_come_in_pages(region):
    names = [f"group-{number:02}" for number in range(7)]
    for name in names:
        Group(region, name=name, DesiredCapacity=0, MinSize=0)
    pages = region.autoscaling.get_paginator("describe_auto_scaling_groups")
    found = [page["AutoScalingGroups"] for page in pages.paginate(PaginationConfig={"PageSize": 3})]
    assert [len(page) for page in found] == [3, 3, 1]
    assert [group["AutoScalingGroupName"] for page in found for group in page] == names


def test_activities_tell_what_was_done(region):
    group = Group(region)
    instance = group.in_service()

    def launched():
        found = region.autoscaling.describe_scaling_activities(AutoScalingGroupName="orders-db")["Activities"]
        return [a for a in found if instance in a["Description"] and a["StatusCode"] == "Successful"]

    [activity] = until(launched, "the activity of the launch")
    assert activity["AutoScalingGroupName"] == "orders-db"


@pytest.mark.parametrize(
    "call, arguments",
    [
        ("update_auto_scaling_group", {"AutoScalingGroupName": "none", "MinSize": 0}),
        ("describe_lifecycle_hooks", {"AutoScalingGroupName": "none"}),
        ("set_instance_health", {"InstanceId": "i-0123456789abcdef0", "HealthStatus": "Unhealthy"}),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_what_does_not_exist_is_a_validation_error(region, call, arguments):
    message = refused("ValidationError", getattr(region.autoscaling, call), **arguments)
    assert re.search("not found|^No managed instance found", message)


def test_a_group_is_deleted_with_its_members(region):
    group = Group(region, hooks=[])
    instance = group.in_state("InService")
    refused("ResourceInUse", region.autoscaling.delete_auto_scaling_group, AutoScalingGroupName="orders-db")
    region.autoscaling.delete_auto_scaling_group(AutoScalingGroupName="orders-db", ForceDelete=True)
    region.wait("instance_terminated", InstanceIds=[instance])

    def gone():
        return not region.autoscaling.describe_auto_scaling_groups()["AutoScalingGroups"]

    until(gone, "the group to be gone")
