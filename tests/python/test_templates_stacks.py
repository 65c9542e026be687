"""Stacks on a moto server: what they make is what rehome works on, and when
they go, the data stays."""

import json
import re

import pytest
from support.aws import environment, tagged, tags
from support.process import LONG, PROJECT, REHOME, run
from support.stack import (
    GROUP,
    MotoStack,
    a_pair,
    an_instance,
    configuration,
    member,
    parameters,
    rehome,
    without_mount,
)
from support.template import Template, for_moto

EVENTS = PROJECT / "tests/events"
# The controller's rules let them through.
HEARD = [
    "launch-lifecycle-action",
    "terminate-lifecycle-action",
    "launch-successful",
    "launch-unsuccessful",
    "terminate-successful",
    "terminate-unsuccessful",
    "instance-state-change",
    "spot-interruption",
    "rebalance-recommendation",
    "alarm-metric",
    "alarm-composite",
    "snapshot-succeeded",
    "snapshot-failed",
    "snapshot-set",
    "volume-created",
    "volume-create-failed",
    "volume-attach-failed",
    "health-event",
]
FOREIGN = ["foreign-event", "foreign-cloudtrail"]


@pytest.fixture
def instance_stack(moto, tmp_path):
    return an_instance(moto, tmp_path)


def alarms_named_in(file):
    return set(re.findall(r'\[\[group\.alarm\]\]\nname = "(.+)"', file.read_text()))


def alarms(moto):
    """By boto3: moto does not speak CBOR, which is what rehome asks CloudWatch in."""
    return {alarm["AlarmName"] for alarm in moto.cloudwatch.describe_alarms()["MetricAlarms"]}


def volumes(moto):
    filters = [{"Name": "tag:rehome:group", "Values": [GROUP]}]
    return moto.ec2.describe_volumes(Filters=filters)["Volumes"]


def snapshots(moto):
    filters = [{"Name": "tag:rehome:group", "Values": [GROUP]}]
    return {of["SnapshotId"] for of in moto.ec2.describe_snapshots(OwnerIds=["self"], Filters=filters)["Snapshots"]}


def test_what_the_stack_made_is_what_rehome_works_on(instance_stack, imds, tmp_path):
    moto, outputs = instance_stack.moto, instance_stack.outputs()
    file = configuration(moto, outputs["ConfigurationParameter"], tmp_path)
    assert file.read_text() == instance_stack.resolved().properties("Configuration")["Value"]
    without_mount(file)

    first = member(moto)
    imds.become(first["InstanceId"], first["AvailabilityZone"])
    ended = rehome(moto.url, file, "bootstrap", "--timeout", LONG, imds=imds)
    assert ended.returncode == 0, ended.stdout + ended.stderr
    [volume] = volumes(moto)
    assert [held["InstanceId"] for held in volume["Attachments"]] == [first["InstanceId"]]
    assert (volume["Size"], volume["VolumeType"], volume["Encrypted"]) == (8, "gp3", True)
    [address] = moto.ec2.describe_addresses(AllocationIds=[outputs["AllocationId"]])["Addresses"]
    assert address["InstanceId"] == first["InstanceId"] and address["PublicIp"] == outputs["PublicIp"]

    status = json.loads(rehome(moto.url, file, "status", "--json", imds=imds).stdout)["groups"][0]
    assert status["settled"], status
    assert alarms_named_in(file) <= alarms(moto) and len(alarms_named_in(file)) == 3

    # The stack goes, and the same one comes again: with the data, not a blank one.
    taken = moto.ec2.create_snapshot(
        VolumeId=volume["VolumeId"],
        TagSpecifications=tagged("snapshot", **{key: tags(volume)[key] for key in tags(volume)}),
    )
    instance_stack.delete()
    [left] = volumes(moto)
    assert (left["VolumeId"], left["State"]) == (volume["VolumeId"], "available")
    assert moto.ec2.describe_snapshots(SnapshotIds=[taken["SnapshotId"]])["Snapshots"]
    instance_stack.create()
    again = member(moto)
    assert again["InstanceId"] != first["InstanceId"]
    imds.become(again["InstanceId"], again["AvailabilityZone"])
    without_mount(configuration(moto, outputs["ConfigurationParameter"], tmp_path))
    ended = rehome(moto.url, file, "bootstrap", "--timeout", LONG, imds=imds)
    assert ended.returncode == 0, ended.stdout + ended.stderr
    blank = [of for of in volumes(moto) if of["VolumeId"] != volume["VolumeId"] and not of.get("SnapshotId")]
    assert blank == []
    holding = [held["InstanceId"] for of in volumes(moto) for held in of["Attachments"]]
    assert holding == [again["InstanceId"]]


def test_a_creation_that_fails_half_way_touches_no_volume_and_no_snapshot(moto, imds, tmp_path):
    """When the instance is there and has begun, the next resource fails."""
    whole = for_moto(Template("stateful-instance"))
    broken = {"VpcId": "vpc-00000000", "CidrBlock": "10.9.0.0/24"}
    failing = {"Type": "AWS::EC2::Subnet", "DependsOn": "Group", "Properties": broken}
    file = tmp_path / "broken.json"
    file.write_text(json.dumps(whole | {"Resources": whole["Resources"] | {"Broken": failing}}))
    given = [{"ParameterKey": key, "ParameterValue": value} for key, value in parameters(moto).items()]
    words = ["--stack-name", "broken", "--template-body", f"file://{file}", "--parameters", json.dumps(given)]
    ended = moto.cli("cloudformation", "create-stack", *words, "--capabilities", "CAPABILITY_IAM")
    assert ended.returncode != 0 and "vpc-00000000 does not exist" in ended.stderr

    file = without_mount(configuration(moto, f"/rehome/{GROUP}", tmp_path))
    first = member(moto)
    imds.become(first["InstanceId"], first["AvailabilityZone"])
    for words in (["bootstrap", "--timeout", LONG], ["snapshot", GROUP, "--wait"]):
        ended = rehome(moto.url, file, *words, imds=imds)
        assert ended.returncode == 0, ended.stdout + ended.stderr
    [made] = volumes(moto)
    taken = snapshots(moto)
    assert len(taken) == 1

    # What CloudFormation does then of itself, moto does not: it takes away what it made.
    moto.client("cloudformation").delete_stack(StackName="broken")
    assert moto.autoscaling.describe_auto_scaling_groups()["AutoScalingGroups"] == []
    [left] = volumes(moto)
    assert (left["VolumeId"], left["State"]) == (made["VolumeId"], "available")
    assert snapshots(moto) == taken

    # And the next try goes on with them.
    an_instance(moto, tmp_path)
    again = member(moto)
    imds.become(again["InstanceId"], again["AvailabilityZone"])
    file = without_mount(configuration(moto, f"/rehome/{GROUP}", tmp_path))
    ended = rehome(moto.url, file, "bootstrap", "--timeout", LONG, imds=imds)
    assert ended.returncode == 0, ended.stdout + ended.stderr
    of = {of["VolumeId"]: of for of in volumes(moto)}
    assert made["VolumeId"] in of
    assert all(one.get("SnapshotId") for volume, one in of.items() if volume != made["VolumeId"])


def test_a_pair_is_made_with_a_configuration_that_names_both(moto, imds, tmp_path):
    outputs = a_pair(moto, tmp_path).outputs()
    file = configuration(moto, outputs["ConfigurationParameter"], tmp_path)
    assert f'members = ["{outputs["Primary"]}", "{outputs["Standby"]}"]' in file.read_text()
    moto.ec2.stop_instances(InstanceIds=[outputs["Standby"]])
    without_mount(file)
    [zone] = {
        one["Placement"]["AvailabilityZone"]
        for reservation in moto.ec2.describe_instances(InstanceIds=[outputs["Primary"]])["Reservations"]
        for one in reservation["Instances"]
    }
    imds.become(outputs["Primary"], zone)
    ended = rehome(moto.url, file, "bootstrap", "--timeout", LONG, imds=imds)
    assert ended.returncode == 0, ended.stdout + ended.stderr
    [address] = moto.ec2.describe_addresses(AllocationIds=[outputs["AllocationId"]])["Addresses"]
    assert address["InstanceId"] == outputs["Primary"]
    status = json.loads(rehome(moto.url, file, "status", "--json", imds=imds).stdout)["groups"][0]
    assert status["settled"], status
    assert alarms_named_in(file) <= alarms(moto) and len(alarms_named_in(file)) == 6


@pytest.fixture
def controller(instance_stack, tmp_path):
    moto = instance_stack.moto
    s3 = moto.client("s3")
    s3.create_bucket(Bucket="artifacts")
    # An empty ZIP file.
    s3.put_object(Bucket="artifacts", Key="rehome.zip", Body=b"PK\x05\x06" + bytes(18))
    words = dict(word.split("=", 1) for word in instance_stack.outputs()["ControllerParameters"].split())
    given = {key: value for key, value in words.items() if value}
    given |= {"CodeBucket": "artifacts", "CodeKey": "rehome.zip"}
    return MotoStack(moto, tmp_path, "controller", "orders-controller", given)


def test_every_event_that_rehome_understands_arrives_in_the_queue_and_no_other(controller):
    moto, queue = controller.moto, controller.outputs()["QueueUrl"]
    events = moto.client("events")
    # moto takes a schedule for a rule that lets everything through.
    for rule in events.list_rules()["Rules"]:
        if "ScheduleExpression" in rule:
            targets = [target["Id"] for target in events.list_targets_by_rule(Rule=rule["Name"])["Targets"]]
            events.remove_targets(Rule=rule["Name"], Ids=targets)
    for name in [*HEARD, *FOREIGN]:
        event = json.loads((EVENTS / f"{name}.json").read_text())
        entry = {
            "Source": event["source"],
            "DetailType": event["detail-type"],
            "Detail": json.dumps(event["detail"]),
            "Resources": event["resources"],
        }
        assert events.put_events(Entries=[entry])["FailedEntryCount"] == 0
        received = moto.sqs.receive_message(QueueUrl=queue, MaxNumberOfMessages=10, WaitTimeSeconds=0)
        messages = received.get("Messages", [])
        assert len(messages) == (name in HEARD), f"{name}: {messages}"
        for message in messages:
            heard = json.loads(message["Body"])
            assert (heard["detail-type"], heard["detail"]) == (event["detail-type"], event["detail"])
            moto.sqs.delete_message(QueueUrl=queue, ReceiptHandle=message["ReceiptHandle"])


def test_the_function_gets_the_configuration_of_the_group(controller):
    moto, outputs = controller.moto, controller.outputs()
    functions = moto.client("lambda")
    function = functions.get_function(FunctionName=outputs["FunctionName"])["Configuration"]
    assert (function["Runtime"], function["Architectures"]) == ("provided.al2023", ["x86_64"])
    text = function["Environment"]["Variables"]["REHOME_CONFIG"]
    looked = run([REHOME, "plan", "--json"], env=environment(moto.url, REHOME_CONFIG=text))
    [group] = json.loads(looked.stdout)["groups"]
    assert group["group"] == GROUP and group["plan"]["holder"] == member(moto)["InstanceId"]
    [mapping] = functions.list_event_source_mappings()["EventSourceMappings"]
    assert mapping["EventSourceArn"] == outputs["QueueArn"] and mapping["BatchSize"] == 10
    attributes = moto.sqs.get_queue_attributes(QueueUrl=outputs["QueueUrl"], AttributeNames=["All"])["Attributes"]
    assert attributes["VisibilityTimeout"] == "1800" and attributes["KmsMasterKeyId"]
    assert json.loads(attributes["RedrivePolicy"])["maxReceiveCount"] == 5
