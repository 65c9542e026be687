"""`rehome check`, `snapshot` and `history` of a group in the emulated region:
what is set up right is called right, what is not can be mended by the very
command it prints, and looking changes nothing."""

import base64
import json

import pytest
from support.aws import environment, tags, until
from support.checked import check, mend
from support.group import Group
from support.process import LONG, PROJECT, REHOME, run
from support.proxy import Proxy
from support.world import allocate_address

CONFIG = """
[[group]]
name = "orders-db"

[[group.address]]
tag = { key = "service", value = "orders" }

[[group.volume]]
name     = "data"
device   = "/dev/sdf"
size_gib = 8

[[group.alarm]]
name = "orders-db-status"
"""
TEMPLATE = {
    "ImageId": "ami-0123456789abcdef0",
    "InstanceType": "t3.micro",
    "IamInstanceProfile": {"Name": "orders"},
    "UserData": base64.b64encode(b"#!/bin/sh\nrehome bootstrap --config /etc/rehome.toml\n").decode(),
    "MetadataOptions": {"HttpTokens": "required"},
}
ALARM = {
    "AlarmName": "orders-db-status",
    "Namespace": "AWS/EC2",
    "MetricName": "StatusCheckFailed",
    "Statistic": "Maximum",
    "Dimensions": [{"Name": "AutoScalingGroupName", "Value": "orders-db"}],
    "Period": 60,
    "EvaluationPeriods": 2,
    "Threshold": 1,
    "ComparisonOperator": "GreaterThanOrEqualToThreshold",
}
# Stands in for systemd's: everything is as it should be.
SYSTEMCTL = """#!/bin/sh
case $1 in
show) shift 3; for unit; do [ -n "$next" ] && echo; next=1
  echo LoadState=loaded; echo UnitFileState=enabled; echo ActiveState=active; done ;;
cat) echo AssertPathIsMountPoint=/srv ;;
esac
"""


ADDRESS = """
[[group.address]]
tag = { key = "service", value = "orders" }
"""


class Stand:
    """A group whose member has all it should have, and whoever looks at it."""

    def __init__(self, region, imds, folder):
        self.region, self.imds, self.folder = region, imds, folder
        self.file = folder / "rehome.toml"
        self.file.write_text(CONFIG)
        self.allocation = allocate_address(region, service="orders")
        region.cloudwatch.put_metric_alarm(**ALARM)
        region.ec2.create_launch_template(LaunchTemplateName="orders", LaunchTemplateData=TEMPLATE)
        self.group = Group(region, VPCZoneIdentifier=self.subnets(), AvailabilityZones=[])
        self.member = self.group.in_state("Pending:Wait")

    def subnets(self):
        found = self.region.ec2.describe_subnets()["Subnets"]
        return ",".join(sorted(subnet["SubnetId"] for subnet in found)[:2])

    def here(self, instance):
        found = self.region.ec2.describe_instances(InstanceIds=[instance])
        zone = found["Reservations"][0]["Instances"][0]["Placement"]["AvailabilityZone"]
        self.imds.become(instance, zone)
        return {"AWS_EC2_METADATA_SERVICE_ENDPOINT": self.imds.url, "AWS_EC2_METADATA_DISABLED": None}

    def run(self, *words, **environ):
        return run([REHOME, *words, "--config", str(self.file)], env=environment(self.region.url, **environ))

    def arrive(self, instance):
        ended = self.run("bootstrap", "--timeout", LONG, **self.here(instance))
        assert ended.returncode == 0, ended.stdout + ended.stderr
        assert self.group.in_state("InService") == instance

    def serving(self):
        """With its data, and a copy of it."""
        self.arrive(self.member)
        ended = self.run("snapshot", "orders-db", "--wait", "--json")
        assert ended.returncode == 0, ended
        return json.loads(ended.stdout)

    def check(self, *words, url=None, **environ):
        return check(self.file, url or self.region.url, *words, **environ)

    def check_that(self, verdicts):
        """A run of it that has these verdicts, if this one has."""
        checked = self.check()
        return checked if all(checked.verdicts(name) == of for name, of in verdicts.items()) else None

    def volume(self):
        filters = [{"Name": "tag:rehome:group", "Values": ["orders-db"]}]
        [volume] = self.region.ec2.describe_volumes(Filters=filters)["Volumes"]
        return volume

    def everything(self):
        ec2, scaling = self.region.ec2, self.region.autoscaling
        answers = [
            ec2.describe_volumes(),
            ec2.describe_snapshots(OwnerIds=["self"]),
            ec2.describe_addresses(),
            ec2.describe_instances(),
            scaling.describe_auto_scaling_groups(),
            scaling.describe_lifecycle_hooks(AutoScalingGroupName="orders-db"),
        ]
        return [{k: v for k, v in answer.items() if k != "ResponseMetadata"} for answer in answers]


@pytest.fixture
def stand(region, imds, tmp_path):
    return Stand(region, imds, tmp_path)


def test_what_is_set_up_right_is_called_right_and_left_as_it_is(stand):
    stand.serving()
    before = stand.everything()
    checked = stand.check()
    assert checked.works and checked.machine is None
    assert checked.of("wrong") == set()
    # The alarm is a moment old, and two calls cannot be asked about.
    assert {name for name, _ in checked.of("warning")} <= {"alarm-state"}
    assert {name for name, _ in checked.of("unknown")} == {"allowed"}
    for name in ("launch-hook", "terminate-hook", "subnets", "user-data", "delete-on-termination", "snapshot-age"):
        assert checked.verdicts(name) == {"right"}, name
    allowed = next(says for name, says in checked.of("right") if name == "allowed")
    for action in ("CreateSnapshot", "AttachVolume", "DeleteVolume", "StopInstances", "AssociateAddress"):
        assert f"ec2:{action}" in allowed
    for action in ("RecordLifecycleActionHeartbeat", "CompleteLifecycleAction"):
        assert f"autoscaling:{action}" in allowed
    assert stand.everything() == before


def test_what_is_wrong_is_mended_by_the_command_it_prints(stand):
    stand.serving()
    scaling, ec2 = stand.region.autoscaling, stand.region.ec2
    group = {"AutoScalingGroupName": "orders-db"}
    scaling.delete_lifecycle_hook(LifecycleHookName="leave", **group)
    scaling.put_lifecycle_hook(LifecycleHookName="arrive", HeartbeatTimeout=30, DefaultResult="CONTINUE", **group)
    scaling.suspend_processes(ScalingProcesses=["ReplaceUnhealthy"], **group)
    scaling.update_auto_scaling_group(
        MinSize=0,
        MaxSize=2,
        AvailabilityZoneDistribution={"CapacityDistributionStrategy": "balanced-only"},
        **group,
    )
    stand.region.cloudwatch.delete_alarms(AlarmNames=["orders-db-status"])
    goes = [{"DeviceName": "/dev/sdf", "Ebs": {"DeleteOnTermination": True}}]
    ec2.modify_instance_attribute(InstanceId=stand.member, BlockDeviceMappings=goes)

    # What a describe by tag shows is a moment old, also after each command.
    is_seen = {"delete-on-termination": {"wrong"}}
    checked = until(lambda: stand.check_that(is_seen), "the change to be seen")
    names = ("terminate-hook", "processes", "distribution", "alarm", "delete-on-termination")
    found = [checked.wrong(name) for name in names]
    found += [f for f in checked.named("launch-hook") if f["verdict"] == "wrong"][:1]
    found += [f for f in checked.named("size") if f["verdict"] == "warning"]
    assert len(found) == 7
    for one in found:
        mend(stand.region, one)

    is_seen = {"delete-on-termination": {"right"}}
    checked = until(lambda: stand.check_that(is_seen), "the change to be seen")
    assert checked.works, checked.of("wrong")
    for name in (*names, "launch-hook", "size"):
        assert checked.verdicts(name) <= {"right"}, name
    hooks = scaling.describe_lifecycle_hooks(**group)["LifecycleHooks"]
    assert {hook["HeartbeatTimeout"] for hook in hooks} == {300}


def test_a_data_volume_in_the_launch_template_keeps_the_data_away(stand):
    stand.serving()
    mapping = [{"DeviceName": "/dev/sdf", "Ebs": {"VolumeSize": 1}}]
    stand.region.ec2.create_launch_template_version(
        LaunchTemplateName="orders", SourceVersion="1", LaunchTemplateData={"BlockDeviceMappings": mapping}
    )
    found = stand.check().wrong("template-volumes")
    assert "orders version 2 makes a volume at /dev/sdf, where data belongs" in found["says"]
    assert "create-launch-template-version --launch-template-name orders" in found["mend"]


def test_what_ec2_does_not_stop_cannot_be_fenced(stand):
    def next_version(source, **data):
        stand.region.ec2.create_launch_template_version(
            LaunchTemplateName="orders", SourceVersion=source, LaunchTemplateData=data
        )

    next_version("1", DisableApiStop=True)
    found = stand.check().wrong("template-stop")
    assert "orders version 2 protects new instances from being stopped" in found["says"]
    mend(stand.region, found)
    assert stand.check().verdicts("template-stop") == {"right"}
    next_version("1", InstanceMarketOptions={"MarketType": "spot"})
    [found] = stand.check().named("template-stop")
    assert found["verdict"] == "warning" and "orders version 4 asks for Spot" in found["says"]


def test_a_member_of_a_pair_that_must_not_be_stopped_is_told_of(region, tmp_path):
    made = region.ec2.run_instances(ImageId="ami-1", InstanceType="t3.micro", MinCount=2, MaxCount=2)
    members = [one["InstanceId"] for one in made["Instances"]]
    file = tmp_path / "rehome.toml"
    file.write_text(f'[[group]]\nname = "orders-db"\nkind = "pair"\nmembers = {json.dumps(members)}\nagent = false\n{ADDRESS}')
    region.ec2.modify_instance_attribute(InstanceId=members[1], DisableApiStop={"Value": True})
    found = check(file, region.url).wrong("stop")
    assert found["says"] == f"{members[1]} is protected from being stopped"
    mend(region, found)
    assert check(file, region.url).named("stop") == []


def test_a_stranger_that_has_the_address_is_named(stand):
    stand.serving()
    made = stand.region.ec2.run_instances(ImageId="ami-1", InstanceType="t3.micro", MinCount=1, MaxCount=1)
    stranger = made["Instances"][0]["InstanceId"]
    stand.region.wait("instance_running", InstanceIds=[stranger])
    stand.region.ec2.associate_address(
        AllocationId=stand.allocation, InstanceId=stranger, AllowReassociation=True
    )
    found = stand.check().wrong("address")
    assert stranger in found["says"]


def test_on_the_instance_it_asks_the_instance(stand):
    stand.serving()
    tools = stand.folder / "bin"
    tools.mkdir()
    (tools / "systemctl").write_text(SYSTEMCTL)
    (tools / "systemctl").chmod(0o755)
    path = f"{tools}:{environment()['PATH']}"
    checked = stand.check(PATH=path, **stand.here(stand.member))
    assert checked.works and checked.machine == stand.member
    assert checked.verdicts("metadata-answers") == {"right"}
    assert checked.verdicts("own-units") == {"right"}, checked.named("own-units")
    (tools / "systemctl").write_text(SYSTEMCTL.replace("enabled", "disabled"))
    checked = stand.check(PATH=path, **stand.here(stand.member))
    assert {f["verdict"] for f in checked.named("own-units")} == {"wrong"}
    assert "systemctl enable --now rehome.service" in checked.named("own-units")[0]["mend"]


def test_a_read_that_is_not_allowed_is_a_line_of_its_own(stand):
    stand.serving()

    def refuse(handler, _):
        handler.answer(403, "text/xml", DENIED)

    with Proxy(stand.region.url, strike=refuse, only="DescribeSubnets") as proxy:
        checked = stand.check(url=proxy.url)
    assert checked.works
    [found] = checked.named("subnets")
    assert found["verdict"] == "unknown"
    assert found["says"] == "could not be read: not allowed (ec2:DescribeSubnets)"
    # What a run needs as well is no success.
    with Proxy(stand.region.url, strike=refuse, only="DescribeVolumes") as proxy:
        checked = stand.check(url=proxy.url)
    assert not checked.works and checked.verdicts("volumes") == {"unknown"}
    assert "could not be read" in checked.ended.stderr


def test_a_write_that_is_not_allowed_is_wrong_on_the_instance(stand):
    stand.serving()

    def refuse(handler, _):
        handler.answer(403, "text/xml", DENIED)

    with Proxy(stand.region.url, strike=refuse, only="DetachVolume") as proxy:
        afar = stand.check(url=proxy.url)
        there = stand.check(url=proxy.url, **stand.here(stand.member))
    assert afar.works and "warning" in afar.verdicts("allowed")
    found = there.wrong("allowed")
    assert found["says"].startswith("ec2:DetachVolume on vol-") and "--place instance" in found["mend"]


DENIED = b"""<?xml version="1.0" encoding="UTF-8"?>
<Response><Errors><Error><Code>UnauthorizedOperation</Code>
<Message>You are not authorized to perform this operation.</Message></Error></Errors>
<RequestID>1</RequestID></Response>"""


def test_an_api_that_does_not_answer_is_no_success(stand):
    ended = run(
        [REHOME, "check", "--config", str(stand.file), "--json"],
        env=environment("http://127.0.0.1:9"),
    )
    assert ended.returncode == 1, ended
    [report] = json.loads(ended.stdout)["groups"]
    silent = [f for f in report["findings"] if f["check"] == "route"]
    assert silent and {f["verdict"] for f in silent} == {"wrong"}
    assert report["unknown"] > 0


def test_the_table_is_for_people(stand):
    stand.serving()
    ended = stand.run("check")
    assert ended.returncode == 0, ended
    lines = ended.stdout.splitlines()
    assert lines[0].startswith("orders-db: a failover would work")
    assert "\x1b" not in ended.stdout
    # One column for what was asked, one for what was found.
    begins = {line.index(word) for line in lines for word in ("launch-hook", "terminate-hook") if word in line}
    assert len(begins) == 1
    assert "The instance itself was not asked" in ended.stdout


def test_a_snapshot_is_a_set_like_the_periodic_ones(stand):
    ended = stand.run("snapshot", "orders-db")
    assert ended.returncode == 1 and ended.stderr, "there is nothing to take it of yet"
    told = stand.serving()
    assert (told["complete"], told["frozen"], told["holder"]) == (True, False, stand.member)
    [shot] = told["snapshots"]
    [snapshot] = stand.region.ec2.describe_snapshots(SnapshotIds=[shot["id"]])["Snapshots"]
    seen = tags(snapshot)
    assert (seen["rehome:group"], seen["rehome:volume"], seen["rehome:epoch"]) == ("orders-db", "data", "1")
    assert seen["rehome:consistency"] == "crash"
    assert seen["rehome:incident"] == told["incident"] and told["incident"].startswith("live/")


def test_the_history_of_a_move(stand):
    stand.serving()
    first = stand.member
    stand.region.ec2.terminate_instances(InstanceIds=[first])
    heir = stand.group.in_state("Pending:Wait", but=[first])
    stand.region.wait("volume_available", VolumeIds=[stand.volume()["VolumeId"]])
    stand.arrive(heir)

    def told():
        ended = stand.run("history", "orders-db", "--json")
        assert ended.returncode == 0, ended
        history = json.loads(ended.stdout)
        return history if history["moves"] and history["moves"][0]["rto_seconds"] else None

    history = until(told, "the move in the history")
    [move] = history["moves"]
    assert (move["from"], move["to"], move["restored"]) == (first, heir, True)
    assert 0 < move["data_away_seconds"] <= move["rto_seconds"] + 1
    assert move["loss"] == {"lost": "nothing"}
    assert history["worst_loss_seconds"] == 0 and history["unknown"] == []
    assert [term["holder"] for term in history["terms"]] == [first, heir]
    assert len(history["copies"]) == 2 and len(history["old_volumes"]) == 1
    text = stand.run("history", "orders-db").stdout
    for part in (first, heir, "lost      nothing", "recovery", "old volumes"):
        assert part in text, text


@pytest.mark.parametrize("words", [("check", "nobody"), ("snapshot", "nobody"), ("history", "nobody")])
def test_a_group_that_is_not_configured_is_refused(tmp_path, words):
    file = tmp_path / "rehome.toml"
    file.write_text(CONFIG)
    ended = run([REHOME, *words, "--config", str(file)], env=environment("http://127.0.0.1:9"))
    assert ended.returncode == 2 and 'no group "nobody"' in ended.stderr and "orders-db" in ended.stderr


@pytest.mark.parametrize("command", ["check", "snapshot", "history"])
def test_help_has_examples(command):
    ended = run([REHOME, command, "--help"], env=environment())
    assert ended.returncode == 0 and f"rehome {command}" in ended.stdout.split("Example", 1)[1]


def test_the_documentation_names_the_permissions_it_takes():
    text = (PROJECT / "docs/checking.md").read_text()
    for action in ("DescribeSubnets", "DescribeLaunchTemplateVersions", "DescribeInstanceAttribute"):
        assert action in text
