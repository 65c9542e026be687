"""`rehome bootstrap` against moto: the data volume is made once, found again
in the same zone, and carried into another."""

import pytest
from support.aws import tagged, tags
from support.moto_world import GROUP, OTHER_ZONE, VOLUME, ZONE, World, config, held_by, own_tags, shape

DATA = config(VOLUME)
ASKED_FOR = {"Size": 20, "VolumeType": "gp3", "Iops": 4000, "Throughput": 250, "Encrypted": False}


@pytest.fixture
def world(moto, imds, tmp_path):
    return World(moto, imds, tmp_path)


def test_first_boot_makes_one_blank_volume(world):
    world.settles(DATA)
    [volume] = world.volumes()
    assert held_by(volume) == [(world.member(), "/dev/sdf")]
    assert shape(volume) == ASKED_FOR and not volume.get("SnapshotId")
    seen = tags(volume)
    assert (seen["rehome:group"], seen["rehome:volume"]) == (GROUP, "data")
    assert (seen["rehome:epoch"], seen["rehome:state"]) == ("1", "active")
    assert seen["rehome:holder"] == world.member()
    assert world.markers()["rehome:epoch:data"] == "1"
    assert world.snapshots() == []


def test_running_again_changes_nothing(world):
    world.settles(DATA)
    before = world.everything()
    world.settles(DATA)
    assert world.everything() == before


def test_a_restarted_instance_finds_its_volume(world):
    world.settles(DATA)
    world.ec2.stop_instances(InstanceIds=[world.member()])
    world.ec2.start_instances(InstanceIds=[world.member()])
    world.settles(DATA)
    [volume] = world.volumes()
    assert held_by(volume) == [(world.member(), "/dev/sdf")]


def test_in_the_same_zone_the_volume_itself_moves(world):
    world.settles(DATA)
    [before] = world.volumes()
    old = world.terminate(heir_in=ZONE)
    world.settles(DATA)
    [volume] = world.volumes()
    assert volume["VolumeId"] == before["VolumeId"]
    assert held_by(volume) == [(world.member(), "/dev/sdf")] and world.member() != old
    assert tags(volume)["rehome:epoch"] == "1"
    assert tags(volume)["rehome:holder"] == world.member()
    for snapshot in world.snapshots():
        assert tags(snapshot)["rehome:consistency"] == "clean"


def test_in_the_same_zone_a_stopped_predecessor_lets_go(world):
    world.settles(DATA)
    [before] = world.volumes()
    old = world.let_go(heir_in=ZONE)
    world.ec2.stop_instances(InstanceIds=[old])
    world.settles(DATA)
    [volume] = world.volumes()
    assert volume["VolumeId"] == before["VolumeId"]
    assert held_by(volume) == [(world.member(), "/dev/sdf")]


def test_in_another_zone_the_data_is_captured_and_restored(world):
    world.settles(DATA)
    [before] = world.volumes()
    world.ec2.create_tags(Resources=[before["VolumeId"]], Tags=[{"Key": "team", "Value": "orders"}])
    world.terminate(heir_in=OTHER_ZONE)
    world.settles(DATA)

    [snapshot] = world.snapshots()
    assert snapshot["VolumeId"] == before["VolumeId"] and snapshot["State"] == "completed"
    seen = tags(snapshot)
    assert (seen["rehome:group"], seen["rehome:epoch"]) == (GROUP, "1")
    assert seen["rehome:consistency"] == "clean" and seen["rehome:incident"]

    old, new = world.volumes()
    assert (old["VolumeId"], new["SnapshotId"]) == (before["VolumeId"], snapshot["SnapshotId"])
    assert new["AvailabilityZone"] == OTHER_ZONE
    assert held_by(new) == [(world.member(), "/dev/sdf")] and held_by(old) == []
    assert shape(new) == ASKED_FOR and own_tags(new) == {"team": "orders"}
    assert (tags(new)["rehome:epoch"], tags(new)["rehome:state"]) == ("2", "active")
    assert tags(new)["rehome:incident"] == seen["rehome:incident"]
    assert world.markers()["rehome:epoch:data"] == "2"

    settled = world.everything()
    world.settles(DATA)
    assert [v["VolumeId"] for v in world.volumes()] == [old["VolumeId"], new["VolumeId"]]
    assert world.everything()["snapshots"] == settled["snapshots"]


def test_in_another_zone_a_stopped_predecessor_is_captured(world):
    world.settles(DATA)
    old = world.let_go(heir_in=OTHER_ZONE)
    world.ec2.stop_instances(InstanceIds=[old])
    world.settles(DATA)
    assert [tags(v)["rehome:epoch"] for v in world.volumes()] == ["1", "2"]
    assert held_by(world.volumes()[1]) == [(world.member(), "/dev/sdf")]
    [snapshot] = world.snapshots()
    assert tags(snapshot)["rehome:consistency"] == "clean"


def test_a_predecessor_that_runs_on_is_fenced_before_it_is_captured(world):
    text = config(VOLUME, policy='[group.policy]\nquiesce_timeout = "1s"\n')
    world.settles(text)
    old = world.let_go(heir_in=OTHER_ZONE)
    world.settles(text)
    assert world.everything()["instances"][old] == "stopped"
    assert held_by(world.volumes()[-1]) == [(world.member(), "/dev/sdf")]
    [snapshot] = world.snapshots()
    assert tags(snapshot)["rehome:consistency"] == "clean"


def test_there_and_back_again_the_epoch_only_grows(world):
    world.settles(DATA)
    for zone, epoch in ((OTHER_ZONE, "2"), (ZONE, "3")):
        world.terminate(heir_in=zone)
        world.settles(DATA)
        volume = world.volumes()[-1]
        assert (volume["AvailabilityZone"], tags(volume)["rehome:epoch"]) == (zone, epoch)
        assert held_by(volume) == [(world.member(), "/dev/sdf")]
    sources = [v.get("SnapshotId") for v in world.volumes()[1:]]
    captured = {s["SnapshotId"]: s["VolumeId"] for s in world.snapshots()}
    assert [captured[source] for source in sources] == [v["VolumeId"] for v in world.volumes()[:2]]


def test_a_volume_from_before_rehome_came_is_epoch_zero(world):
    made = world.ec2.create_volume(
        AvailabilityZone=ZONE,
        Size=50,
        VolumeType="io2",
        Iops=1000,
        TagSpecifications=tagged("volume", **{"rehome:group": GROUP, "rehome:volume": "data", "Name": "orders"}),
    )
    world.terminate(heir_in=OTHER_ZONE)
    world.settles(DATA)
    old, new = world.volumes()
    assert old["VolumeId"] == made["VolumeId"]
    assert (new["Size"], new["VolumeType"], new["Iops"]) == (50, "io2", 1000)
    assert tags(new)["rehome:epoch"] == "1" and own_tags(new) == {"Name": "orders"}


def test_several_volumes_move_as_one_set(world):
    log = VOLUME.replace('"data"', '"log"').replace("/dev/sdf", "/dev/sdg").replace("= 20", "= 8")
    text = config(VOLUME, log)
    world.settles(text)
    world.terminate(heir_in=OTHER_ZONE)
    world.settles(text)
    for name, device, size in (("data", "/dev/sdf", 20), ("log", "/dev/sdg", 8)):
        old, new = world.volumes(name)
        assert held_by(new) == [(world.member(), device)] and held_by(old) == []
        assert (new["Size"], tags(new)["rehome:epoch"]) == (size, "2")
    [data], [log] = world.snapshots("data"), world.snapshots("log")
    assert tags(data)["rehome:incident"] == tags(log)["rehome:incident"]


def test_other_volumes_are_left_alone(world):
    stranger = world.ec2.create_volume(
        AvailabilityZone=ZONE,
        Size=9,
        TagSpecifications=tagged("volume", **{"rehome:group": "another", "rehome:volume": "data"}),
    )
    world.settles(DATA)
    [seen] = world.ec2.describe_volumes(VolumeIds=[stranger["VolumeId"]])["Volumes"]
    assert seen["State"] == "available" and tags(seen) == {"rehome:group": "another", "rehome:volume": "data"}
    mine = [v for v in world.volumes() if tags(v)["rehome:group"] == GROUP]
    assert held_by(mine[0]) == [(world.member(), "/dev/sdf")]


def test_an_untagged_volume_at_the_device_is_adopted_not_replaced(world):
    made = world.ec2.create_volume(AvailabilityZone=ZONE, Size=9)
    world.ec2.attach_volume(VolumeId=made["VolumeId"], InstanceId=world.member(), Device="/dev/sdf")
    before = world.everything()
    ended = world.bootstrap(DATA, timeout="3s")
    assert ended.returncode == 3, ended
    assert "rehome adopt" in ended.stderr + ended.stdout and made["VolumeId"] in ended.stderr + ended.stdout
    assert world.everything() == before


def test_a_hook_that_waits_for_nobody_is_no_obstacle(world):
    for name, transition in (("arrive", "LAUNCHING"), ("leave", "TERMINATING")):
        world.autoscaling.put_lifecycle_hook(
            AutoScalingGroupName=GROUP,
            LifecycleHookName=name,
            LifecycleTransition=f"autoscaling:EC2_INSTANCE_{transition}",
        )
    world.settles(DATA)
    assert held_by(world.volumes()[0]) == [(world.member(), "/dev/sdf")]
