"""How old is the newest snapshot? The function in the templates says it, and the
alarm beside it hears it."""

import json
import os
import subprocess
import sys

import pytest
from support.aws import environment, tagged, until
from support.process import LONG, PATIENCE
from support.stack import GROUP, an_instance, configuration, member, rehome, without_mount
from support.template import Stack, Template


class Watch:
    """The function that publishes it, as the template has it."""

    def __init__(self, moto, folder):
        stack = Stack(Template("stateful-instance"), {"Name": GROUP, "VpcId": "", "SubnetA": "", "SubnetB": ""})
        of = stack.properties("SnapshotAgeFunction")
        self.alarm = stack.properties("SnapshotAge")
        (folder / "index.py").write_text(of["Code"]["ZipFile"])
        # Its runtime has them in its own place.
        paths = {"PYTHONPATH": os.pathsep.join([str(folder), *sys.path])}
        self.env = environment(moto.url, **of["Environment"]["Variables"], **paths)
        self.moto, self.folder = moto, folder

    def call(self, program):
        """What the last line that it prints says."""
        command = [sys.executable, "-c", program]
        ended = subprocess.run(command, env=self.env, cwd=self.folder, capture_output=True, text=True, timeout=PATIENCE)
        assert ended.returncode == 0, ended.stderr
        return ended.stdout.splitlines()[-1]

    def age(self):
        return json.loads(self.call("import index, json; print(json.dumps(index.handler({}, None)))"))["age"]

    def unsaved_since(self):
        arguments = f"boto3.client('ec2'), '{GROUP}', 'data'"
        return self.call(f"import boto3, index; print(index.unsaved_since({arguments}).isoformat())")


@pytest.fixture
def watch(moto, tmp_path):
    return Watch(moto, tmp_path)


def mark(epoch=None):
    more = {} if epoch is None else {"rehome:epoch": str(epoch)}
    return {"rehome:group": GROUP, "rehome:volume": "data"} | more


def test_the_alarm_looks_at_the_very_metric_that_is_written(watch):
    assert watch.age() == 0, "there is nothing that could be lost"
    found = watch.moto.cloudwatch.list_metrics(Namespace=watch.alarm["Namespace"])["Metrics"]
    assert [(of["MetricName"], of["Dimensions"]) for of in found] == [
        (watch.alarm["MetricName"], watch.alarm["Dimensions"])
    ]
    assert watch.alarm["Threshold"] == 2700


def test_the_age_is_of_the_newest_copy_of_the_newest_data(watch):
    ec2 = watch.moto.ec2
    made = ec2.create_volume(AvailabilityZone="us-east-1a", Size=1, TagSpecifications=tagged("volume", **mark(2)))
    before = watch.age()
    assert before > 0, "without a snapshot, all since the volume was made"
    volume = made["VolumeId"]

    def snapshot(epoch, **more):
        labels = tagged("snapshot", **(mark(epoch) | more))
        return ec2.create_snapshot(VolumeId=volume, TagSpecifications=labels)["StartTime"]

    newest = snapshot(2)
    # A later one of data that was left behind, and one of another group.
    until(lambda: ec2.create_volume(AvailabilityZone="us-east-1a", Size=1)["CreateTime"] > newest, "a later moment")
    left_behind = snapshot(1)
    snapshot(3, **{"rehome:group": "another"})
    assert left_behind > newest
    assert watch.unsaved_since() == newest.isoformat()


def test_the_age_is_of_what_rehome_takes(watch, imds, tmp_path):
    """The tags that the function looks for are those that rehome writes."""
    moto = watch.moto
    stack = an_instance(moto, tmp_path)
    file = without_mount(configuration(moto, stack.outputs()["ConfigurationParameter"], tmp_path))
    first = member(moto)
    imds.become(first["InstanceId"], first["AvailabilityZone"])
    for words in (["bootstrap", "--timeout", LONG], ["snapshot", GROUP, "--wait"]):
        ended = rehome(moto.url, file, *words, imds=imds)
        assert ended.returncode == 0, ended.stdout + ended.stderr
    filters = [{"Name": "tag:rehome:group", "Values": [GROUP]}]
    [taken] = moto.ec2.describe_snapshots(OwnerIds=["self"], Filters=filters)["Snapshots"]
    assert watch.unsaved_since() == taken["StartTime"].isoformat()
    assert 0 < watch.age() < watch.alarm["Threshold"]
