"""`rehome bootstrap` where something is missing: it says what to do about it,
changes nothing by half, and goes on when it is run again."""

import concurrent.futures

import pytest
from support.aws import until
from support.moto_world import GROUP, VOLUME, World, config, held_by
from support.process import LONG

DATA = config(VOLUME)
NOBODY = "http://127.0.0.1:9"


@pytest.fixture
def world(moto, imds, tmp_path):
    return World(moto, imds, tmp_path)


def fails(world, *words, status=(1, 3), text=DATA, timeout="3s", **environ):
    """It ends with one of these, says all of these words, and changes nothing."""
    before = world.everything()
    ended = world.bootstrap(text, timeout=timeout, **environ)
    assert ended.returncode in status, ended
    said = (ended.stderr + ended.stdout).lower()
    assert "panicked" not in said
    for word in words:
        assert word.lower() in said, ended
    assert world.everything() == before


def test_an_api_that_is_down_is_not_an_empty_one(world):
    fails(world, "127.0.0.1:9", AWS_ENDPOINT_URL=NOBODY)
    world.settles(DATA)


def test_without_credentials_it_says_so(world):
    fails(world, "credentials", AWS_ACCESS_KEY_ID=None, AWS_SECRET_ACCESS_KEY=None)
    world.settles(DATA)


def test_the_region_is_the_instances_own_unless_another_is_named(world):
    world.settles(DATA, AWS_REGION=None, AWS_DEFAULT_REGION=None)
    assert held_by(world.volumes()[0]) == [(world.member(), "/dev/sdf")]


def test_without_a_region_anywhere_it_says_so(world):
    nowhere = {"AWS_REGION": None, "AWS_DEFAULT_REGION": None, "AWS_EC2_METADATA_SERVICE_ENDPOINT": NOBODY}
    fails(world, "AWS_REGION", status=(1,), **nowhere)
    world.settles(DATA)


def test_without_instance_metadata_it_says_so(world):
    fails(world, "metadata", AWS_EC2_METADATA_SERVICE_ENDPOINT=NOBODY)
    world.settles(DATA)


def test_metadata_that_come_late_are_waited_for(world):
    world.imds.paths = {}
    world.file.write_text(DATA)
    member = world.members()[0]
    with concurrent.futures.ThreadPoolExecutor() as pool:
        ended = pool.submit(world.run, "bootstrap", "--config", str(world.file), "--timeout", LONG)
        until(lambda: len(world.imds.asked) > 1, "it to ask in vain")
        world.imds.become(member["InstanceId"], member["AvailabilityZone"])
    assert ended.result().returncode == 0, ended.result()
    assert "asks again" in ended.result().stderr


def test_an_endpoint_that_is_no_url_is_refused(world):
    fails(world, AWS_ENDPOINT_URL="not a url")


def test_a_group_that_does_not_exist_is_named(world):
    fails(world, "no-such-group", text=DATA.replace(GROUP, "no-such-group"))


def test_an_instance_outside_the_group_gets_nothing(world):
    old = world.let_go(heir_in="us-east-1b")
    before = world.everything()
    world.file.write_text(DATA)
    world.imds.become(old, "us-east-1a")
    ended = world.run("bootstrap", "--config", str(world.file), "--timeout", "3s")
    assert ended.returncode in (1, 3), ended
    assert old in ended.stderr + ended.stdout
    assert world.everything() == before


def test_two_members_are_one_too_many(world):
    world.autoscaling.set_desired_capacity(AutoScalingGroupName=GROUP, DesiredCapacity=2)
    assert len(world.members()) == 2
    fails(world, GROUP, status=(3,))


def test_without_a_size_no_blank_volume_is_made(world):
    fails(world, "size_gib", status=(3,), text=config('[[group.volume]]\nname = "data"\ndevice = "/dev/sdf"\n'))
    world.settles(DATA)
    assert held_by(world.volumes()[0]) == [(world.member(), "/dev/sdf")]


def test_lost_data_is_not_replaced_by_a_blank_volume(world):
    """The group had data once, and neither volume nor snapshot is left."""
    world.settles(DATA)
    [volume] = world.volumes()
    world.terminate(heir_in="us-east-1b")
    world.ec2.delete_volume(VolumeId=volume["VolumeId"])
    fails(world, "data", status=(3,))


def test_metadata_is_asked_with_a_token_only(world):
    world.settles(DATA)
    assert "/latest/meta-data/instance-id" in world.imds.asked
    assert world.imds.refused == 0
