"""rehome under the policies it prints, in a region that enforces them: with
them everything works, and whoever has one permission less is told which."""

import json

import pytest
from support import aws
from support.aws import environment, until
from support.daemon import Daemon
from support.group import Group
from support.process import REHOME, Server, run
from support.world import create_volume, launch

GROUP = """
[[group]]
name  = "orders-db"
agent = false

[[group.volume]]
name     = "data"
device   = "/dev/sdf"
size_gib = 1
"""
PAIR = """
[[group]]
name    = "gateway"
kind    = "pair"
agent   = false
members = ["{}", "{}"]

[[group.volume]]
name   = "data"
device = "/dev/sdf"
"""
OFTEN = '\n[wake]\npoll_every = "1s"\n'
TEMPLATE = {"ImageId": "ami-0123456789abcdef0", "InstanceType": "t3.micro"}

# Whoever lacks this → what they were about, and what they are told.
VOLUME = "arn:aws:ec2:us-east-1:123456789012:volume/"
SCALING_GROUP = "arn:aws:autoscaling:us-east-1:123456789012:autoScalingGroup:"
REFUSED = {
    "autoscaling:DescribeAutoScalingGroups": (["status"], "DescribeAutoScalingGroups on resource: *"),
    "autoscaling:DescribeLifecycleHooks": (["check"], "not allowed (autoscaling:DescribeLifecycleHooks)"),
    "autoscaling:DescribeScalingActivities": (["history", "orders-db"], "not allowed (autoscaling:DescribeScaling"),
    "autoscaling:SetInstanceHealth": (["switchover", "orders-db", "--yes"], SCALING_GROUP),
    "ec2:CreateSnapshot": (["snapshot", "orders-db"], VOLUME),
    "ec2:DescribeInstances": (["status"], "ec2:DescribeInstances on resource: *"),
    "ec2:DescribeLaunchTemplateVersions": (["check"], "not allowed (ec2:DescribeLaunchTemplateVersions)"),
    "ec2:DescribeSnapshots": (["status"], "ec2:DescribeSnapshots on resource: *"),
    "ec2:DescribeSubnets": (["check"], "not allowed (ec2:DescribeSubnets)"),
    "ec2:DescribeVolumes": (["history", "orders-db"], "ec2:DescribeVolumes"),
}


def many(value):
    return value if isinstance(value, list) else [value]


def printed(folder, place, text):
    file = folder / f"{place}.toml"
    file.write_text(text)
    scope = ["--region", aws.REGION, "--account", "123456789012"]
    ended = run([REHOME, "iam-policy", "--config", file, "--place", place, *scope], env=environment())
    assert ended.returncode == 0, ended.stderr
    return json.loads(ended.stdout)


def without(policy, action):
    """The same policy with one action less."""
    kept = [{**of, "Action": [a for a in many(of["Action"]) if a != action]} for of in policy["Statement"]]
    assert kept != [{**of, "Action": many(of["Action"])} for of in policy["Statement"]], action
    return {**policy, "Statement": [of for of in kept if of["Action"]]}


class Stand:
    """A region where each access key may do what its policy says, and the tests
    themselves anything."""

    def __init__(self, folder, policies):
        self.folder = folder
        command = [REHOME, "region", "--listen", "127.0.0.1:0", "--seed", "1", "--latency-scale", "0.02"]
        for number, (key, policy) in enumerate(policies.items()):
            file = folder / f"policy-{number}.json"
            file.write_text(json.dumps(policy))
            command += ["--policy", f"{key}={file}"]
        self.server = Server(command, env=environment())

    def __enter__(self):
        self.region = aws.Session(self.server.__enter__().url)
        return self

    def __exit__(self, *how):
        self.server.__exit__(*how)

    def group(self):
        """A group with a template and subnets of its own."""
        self.region.ec2.create_launch_template(LaunchTemplateName="orders", LaunchTemplateData=TEMPLATE)
        subnets = self.region.ec2.describe_subnets()["Subnets"]
        two = ",".join(sorted(subnet["SubnetId"] for subnet in subnets)[:2])
        return Group(self.region, VPCZoneIdentifier=two, AvailabilityZones=[])

    def daemon(self, key, text=GROUP):
        folder = self.folder / key
        folder.mkdir()
        return Daemon(folder, self.server.url, text + OFTEN, AWS_ACCESS_KEY_ID=key)

    def run(self, key, *words, text=GROUP):
        file = self.folder / "rehome.toml"
        file.write_text(text)
        env = environment(self.server.url, AWS_ACCESS_KEY_ID=key)
        return run([REHOME, *words, "--config", str(file)], env=env)


def said(ended):
    """On one line, whatever it was folded to."""
    return " ".join((ended.stdout + ended.stderr).split())


def is_settled(daemon):
    daemon.status("1 group(s) settled")


def test_a_person_may_do_everything_but_adopt(tmp_path):
    """Alone: nobody else looks after the group once it is there."""
    policies = {place: printed(tmp_path, place, GROUP) for place in ("controller", "operator")}
    with Stand(tmp_path, policies) as stand:
        group = stand.group()
        with stand.daemon("controller") as daemon:
            first = group.in_state("InService")
            is_settled(daemon)
        for words in (
            ["status"],
            ["plan"],
            ["snapshot", "orders-db", "--wait"],
            ["check"],
            ["switchover", "orders-db", "--yes"],
            ["history", "orders-db"],
        ):
            ended = stand.run("operator", *words)
            assert "not allowed" not in said(ended) and "not authorized" not in said(ended), ended
            # There is no alarm and no role in this group: only the check minds.
            assert ended.returncode == 0 or words == ["check"], ended
        assert group.in_state("InService", but=[first])


def test_a_person_may_not_adopt(tmp_path):
    """What carries no tag of the group is out of reach."""
    with Stand(tmp_path, {"operator": printed(tmp_path, "operator", GROUP)}) as stand:
        member = stand.group().in_service()
        [instance] = stand.region.ec2.describe_instances(InstanceIds=[member])["Reservations"][0]["Instances"]
        volume = create_volume(stand.region, instance["Placement"]["AvailabilityZone"])
        stand.region.ec2.attach_volume(VolumeId=volume, InstanceId=member, Device="/dev/sdf")
        ended = stand.run("operator", "adopt", "orders-db", "--yes")
        assert ended.returncode == 1, ended
        assert f"not authorized to perform: ec2:CreateTags on resource: {VOLUME}{volume}" in said(ended)
        assert "allow ec2:CreateTags for the role in use" in said(ended)


def test_whoever_has_one_permission_less_is_told_which(tmp_path):
    operator = printed(tmp_path, "operator", GROUP)
    policies = {"controller": printed(tmp_path, "controller", GROUP)}
    policies |= {action.replace(":", "-"): without(operator, action) for action in REFUSED}
    with Stand(tmp_path, policies) as stand:
        group = stand.group()
        with stand.daemon("controller") as daemon:
            first = group.in_state("InService")
            is_settled(daemon)
        for action, (words, told) in REFUSED.items():
            ended = stand.run(action.replace(":", "-"), *words)
            assert action in said(ended) and told in said(ended), (action, said(ended))
            # Closer looks may lack something; what else there is to tell is told.
            assert ended.returncode == (0 if told.startswith("not allowed") else 1), ended
        assert group.members() == {first: "InService"}


def test_a_pair_is_looked_into(tmp_path):
    """Its policy names the members, so a region like this one has to make them first."""
    with Stand(tmp_path, {"nobody": {"Version": "2012-10-17", "Statement": []}}) as names:
        members = [launch(names.region, zone) for zone in ("us-east-1a", "us-east-1b")]
    operator = printed(tmp_path, "operator", PAIR.format(*members))
    less = without(operator, "ec2:DescribeInstanceAttribute")
    with Stand(tmp_path, {"operator": operator, "less": less}) as stand:
        # The same seed, the same ids.
        assert [launch(stand.region, zone) for zone in ("us-east-1a", "us-east-1b")] == members
        text = PAIR.format(*members)
        ended = stand.run("operator", "check", text=text)
        assert "not allowed" not in said(ended), said(ended)
        ended = stand.run("less", "check", text=text)
        assert "not allowed (ec2:DescribeInstanceAttribute)" in said(ended), said(ended)


@pytest.mark.parametrize(
    ("action", "on"), [("ec2:CreateVolume", "*"), ("ec2:AttachVolume", "vol-"), ("ec2:CreateTags", "*")]
)
def test_a_daemon_says_what_it_may_not_do(tmp_path, action, on):
    """And goes on looking, so that a policy that is mended takes effect."""
    policy = without(printed(tmp_path, "controller", GROUP), action)
    with Stand(tmp_path, {"controller": policy}) as stand:
        group = stand.group()
        with stand.daemon("controller") as daemon:
            wanted = f"not authorized to perform: {action} on resource: {VOLUME}{on}"

            def is_told():
                return [log for log in daemon.logs if wanted in json.dumps(log)]

            [told, *_] = until(is_told, f"a log that names {action} and {on}")
            assert f"allow {action} for the role in use" in json.dumps(told)
            assert daemon.process.poll() is None
        assert "InService" not in group.members().values()
