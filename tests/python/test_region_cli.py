"""The emulated region, as the stock AWS command line sees it."""

from support.aws import until
from support.world import IMAGE

ZONE, OTHER_ZONE = "us-east-1a", "us-east-1b"
# What the command line's first version, the one on PyPI, ends with; the second
# has 254.
CLIENT_ERROR = 255


def answer(region, *words):
    ended = region.cli(*words)
    assert ended.returncode == 0, ended.stderr
    return ended.answer


def error(region, *words):
    """What it says when AWS refuses."""
    ended = region.cli(*words)
    assert ended.returncode == CLIENT_ERROR, ended
    return ended.stderr


def volume(region, zone):
    made = answer(
        region,
        *("ec2", "create-volume", "--availability-zone", zone, "--size", "8", "--volume-type", "gp3"),
        *("--tag-specifications", "ResourceType=volume,Tags=[{Key=team,Value=orders}]"),
    )
    until(
        lambda: answer_or_none(region, "ec2", "describe-volumes", "--volume-ids", made["VolumeId"], "--filters",
                               "Name=status,Values=available"),
        "the volume to be available",
    )  # fmt: skip
    answer(region, "ec2", "wait", "volume-available", "--volume-ids", made["VolumeId"])
    return made["VolumeId"]


def answer_or_none(region, *words):
    """None where a new resource cannot be described yet."""
    ended = region.cli(*words)
    found = ended.answer or {}
    return next(iter(found.values()), None) if ended.returncode == 0 else None


def instance(region, zone):
    made = answer(
        region,
        *("ec2", "run-instances", "--image-id", IMAGE, "--instance-type", "t3.micro"),
        *("--placement", f"AvailabilityZone={zone}"),
    )
    instance = made["Instances"][0]["InstanceId"]
    region.wait("instance_running", InstanceIds=[instance])
    answer(region, "ec2", "wait", "instance-running", "--instance-ids", instance)
    return instance


def test_a_volume_is_made_attached_and_waited_for(region):
    at, which = instance(region, ZONE), volume(region, ZONE)
    attach = ("ec2", "attach-volume", "--volume-id", which, "--instance-id", at, "--device", "/dev/sdf")
    assert answer(region, *attach)["State"] == "attaching"
    answer(region, "ec2", "wait", "volume-in-use", "--volume-ids", which)
    [seen] = answer(region, "ec2", "describe-volumes", "--filters", f"Name=attachment.instance-id,Values={at}",
                    "Name=tag:team,Values=orders")["Volumes"]  # fmt: skip
    assert seen["VolumeId"] == which
    said = error(region, *attach)
    assert "(VolumeInUse)" in said and "AttachVolume" in said


def test_errors_are_told_as_aws_tells_them(region):
    at, elsewhere = instance(region, ZONE), volume(region, OTHER_ZONE)
    said = error(
        region,
        *("ec2", "attach-volume", "--volume-id", elsewhere, "--instance-id", at, "--device", "/dev/sdf"),
    )
    assert "(InvalidVolume.ZoneMismatch)" in said
    said = error(region, "ec2", "describe-volumes", "--volume-ids", "vol-0123456789abcdef0")
    assert "(InvalidVolume.NotFound)" in said and "vol-0123456789abcdef0" in said
    said = error(
        region,
        *("autoscaling", "complete-lifecycle-action", "--auto-scaling-group-name", "none"),
        *("--lifecycle-hook-name", "arrive", "--lifecycle-action-result", "CONTINUE", "--instance-id", at),
    )
    assert "(ValidationError)" in said


def test_a_group_an_alarm_and_a_queue(region):
    answer(
        region,
        *("autoscaling", "create-auto-scaling-group", "--auto-scaling-group-name", "orders-db"),
        *("--min-size", "1", "--max-size", "1", "--availability-zones", ZONE, OTHER_ZONE),
        *("--launch-template", "LaunchTemplateName=orders"),
    )
    until(
        lambda: answer(region, "autoscaling", "describe-auto-scaling-instances", "--query",
                       "AutoScalingInstances[?LifecycleState=='InService']"),
        "a member in service",
    )  # fmt: skip
    answer(
        region,
        *("cloudwatch", "put-metric-alarm", "--alarm-name", "status", "--namespace", "AWS/EC2"),
        *("--metric-name", "StatusCheckFailed", "--statistic", "Maximum", "--period", "60"),
        *("--evaluation-periods", "1", "--threshold", "1"),
        *("--comparison-operator", "GreaterThanOrEqualToThreshold"),
    )
    answer(
        region,
        *("cloudwatch", "set-alarm-state", "--alarm-name", "status", "--state-value", "ALARM"),
        *("--state-reason", "a test"),
    )
    alarms = answer(region, "cloudwatch", "describe-alarms", "--state-value", "ALARM")["MetricAlarms"]
    assert [alarm["AlarmName"] for alarm in alarms] == ["status"]
    url = answer(region, "sqs", "get-queue-url", "--queue-name", "events")["QueueUrl"]
    assert answer(region, "sqs", "receive-message", "--queue-url", url, "--wait-time-seconds", "5")["Messages"]
