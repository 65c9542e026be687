"""`rehome check` against moto, which nobody here wrote: what moto does not know
is unknown, and what is wrong there can be mended by what the check prints."""

import pytest
from support.aws import environment
from support.checked import check, mend
from support.moto_world import GROUP, IMAGE, VOLUME, World, config
from support.process import REHOME, run

TEXT = config(VOLUME)


@pytest.fixture
def world(moto, imds, tmp_path):
    """A group over two zones, made from a launch template."""
    world = World(moto, imds, tmp_path)
    world.cli = moto.cli
    world.ec2.create_launch_template(
        LaunchTemplateName="orders",
        LaunchTemplateData={"ImageId": IMAGE, "InstanceType": "t3.micro", "UserData": "cmVob21lIGJvb3RzdHJhcAo="},
    )
    subnets = world.ec2.describe_subnets()["Subnets"]
    by_zone = {subnet["AvailabilityZone"]: subnet["SubnetId"] for subnet in subnets}
    world.autoscaling.update_auto_scaling_group(
        AutoScalingGroupName=GROUP,
        VPCZoneIdentifier=",".join(by_zone[zone] for zone in sorted(by_zone)[:2]),
        LaunchTemplate={"LaunchTemplateName": "orders", "Version": "$Latest"},
    )
    world.file.write_text(TEXT)
    return world


def test_what_is_wrong_is_found_and_mended(world):
    world.settles(TEXT)
    before = world.everything()
    checked = check(world.file, world.url)
    assert world.everything() == before
    assert {"launch-hook", "terminate-hook"} <= {name for name, _ in checked.of("wrong")}
    for name in ("launch-hook", "terminate-hook"):
        mend(world, checked.wrong(name))
    [size] = checked.named("size")
    assert size["verdict"] == "warning"
    mend(world, size)

    checked = check(world.file, world.url)
    for name in ("launch-hook", "terminate-hook", "size", "zones", "subnets", "template-volumes", "volume"):
        assert checked.verdicts(name) == {"right"}, checked.named(name)
    # Nobody gave the launch template a role, and moto takes no snapshots by itself.
    assert {name for name, _ in checked.of("wrong")} == {"template-role"}
    asked = " ".join(says for name, says in checked.of("right") if name == "allowed")
    assert "ec2:AttachVolume" in asked and "ec2:DeleteVolume" in asked


def test_a_template_that_marks_root_volumes_as_data_is_wrong(world):
    world.settles(TEXT)
    marked = [{"ResourceType": "volume", "Tags": [{"Key": "rehome:group", "Value": GROUP}]}]
    world.ec2.create_launch_template_version(
        LaunchTemplateName="orders", SourceVersion="1", LaunchTemplateData={"TagSpecifications": marked}
    )
    found = check(world.file, world.url).wrong("template-tags")
    assert found["says"] == "orders version 2 tags new volumes with rehome:group"
    mend(world, found)
    assert check(world.file, world.url).named("template-tags") == []


@pytest.mark.parametrize("base, share, verdict", [(0, 0, "warning"), (0, 100, "right"), (1, 0, "right")])
def test_a_policy_that_takes_spot_instances_is_told_of(world, base, share, verdict):
    template = {"LaunchTemplateName": "orders", "Version": "$Latest"}
    world.autoscaling.update_auto_scaling_group(
        AutoScalingGroupName=GROUP,
        MixedInstancesPolicy={
            "LaunchTemplate": {"LaunchTemplateSpecification": template},
            "InstancesDistribution": {
                "OnDemandBaseCapacity": base,
                "OnDemandPercentageAboveBaseCapacity": share,
            },
        },
    )
    assert check(world.file, world.url).verdicts("template-stop") == {verdict}


def test_what_moto_does_not_know_is_unknown(world):
    world.settles(TEXT)
    for name in ("launch-hook", "terminate-hook"):
        mend(world, check(world.file, world.url).wrong(name))
    checked = check(world.file, world.url)
    unknown = [says for name, says in checked.of("unknown") if name == "allowed"]
    assert any("autoscaling:CompleteLifecycleAction" in says for says in unknown)


def test_a_set_is_taken_and_told_of(world):
    world.settles(TEXT)
    words = ["--config", str(world.file)]
    ended = run([REHOME, "snapshot", GROUP, "--wait", *words], env=environment(world.url))
    assert ended.returncode == 0 and "complete after" in ended.stdout, ended
    [snapshot] = world.snapshots()
    ended = run([REHOME, "history", GROUP, *words], env=environment(world.url))
    assert ended.returncode == 0, ended
    assert snapshot["SnapshotId"] in ended.stdout and world.member() in ended.stdout
