"""`rehome plan`, `status` and `adopt` against moto: looking changes nothing,
and a life before rehome is taken over without loss."""

import json

import pytest
from support.aws import tagged, tags
from support.moto_world import GROUP, VOLUME, ZONE, World, config, held_by
from support.world import allocate_address

DATA = config(VOLUME)
# Nobody on the instance: then it is for whoever runs elsewhere to act at once.
BY_CONTROLLER = DATA.replace(f'name = "{GROUP}"\n', f'name = "{GROUP}"\nagent = false\n')


@pytest.fixture
def world(moto, imds, tmp_path):
    world = World(moto, imds, tmp_path)
    world.file.write_text(DATA)
    return world


@pytest.fixture
def life_before(world):
    """The member has its data at the configured device, and nothing says whose it is."""
    made = world.ec2.create_volume(AvailabilityZone=ZONE, Size=9, TagSpecifications=tagged("volume", Name="orders"))
    world.ec2.attach_volume(VolumeId=made["VolumeId"], InstanceId=world.member(), Device="/dev/sdf")
    return made["VolumeId"]


def look(world, *words, **environ):
    """Runs a command that must change nothing."""
    before = world.everything()
    ended = world.run(*words, "--config", str(world.file), **environ)
    assert world.everything() == before
    return ended


def one_group(ended):
    [group] = json.loads(ended.stdout)["groups"]
    return group


def test_plan_says_what_would_be_done_and_does_not_do_it(world):
    world.file.write_text(BY_CONTROLLER)
    ended = look(world, "plan")
    assert ended.returncode == 0, ended
    assert f"make the first, blank volume data in {ZONE}" in ended.stdout
    group = one_group(look(world, "plan", "--json"))
    assert (group["group"], group["settled"]) == (GROUP, False)
    assert group["plan"]["holder"] == world.member()
    [step] = group["plan"]["steps"]
    assert step["step"] == "create_volume" and step["zone"] == ZONE


def test_status_shows_who_has_what(world):
    world.settles(DATA)
    [volume] = world.volumes()
    ended = look(world, "status")
    assert ended.returncode == 0, ended
    for word in (f"{GROUP}: settled", world.member(), volume["VolumeId"], "epoch 1", "/dev/sdf"):
        assert word in ended.stdout
    group = one_group(look(world, "status", "--json"))
    assert group["settled"] is True and group["waits"] == [] and group["steps"] == []
    assert volume["VolumeId"] in group["world"]["volumes"]["Known"]


def test_what_cannot_be_seen_is_not_shown_as_nothing(world):
    world.settles(DATA)
    ended = look(world, "status", AWS_ENDPOINT_URL="http://127.0.0.1:9")
    assert ended.returncode == 1, ended
    assert "unseen" in ended.stdout and "no volume" not in ended.stdout


def test_adopt_asks_first(world, life_before):
    ended = look(world, "adopt", GROUP)
    assert ended.returncode == 2 and "--yes" in ended.stderr


def test_what_was_there_before_is_adopted_once_and_kept(world, life_before):
    allocation = allocate_address(world, service="orders")
    text = DATA + f'[[group.address]]\nallocation_id = "{allocation}"\n'
    world.file.write_text(text)
    ended = world.run("adopt", GROUP, "--yes", "--json", "--config", str(world.file))
    assert ended.returncode == 0, ended
    assert life_before in json.loads(ended.stdout)["adopted"]
    [volume] = world.volumes()
    seen = tags(volume)
    assert (seen["rehome:group"], seen["rehome:volume"], seen["Name"]) == (GROUP, "data", "orders")
    assert "rehome:epoch" not in seen

    again = look(world, "adopt", GROUP, "--yes", "--json")
    assert json.loads(again.stdout)["newly_tagged"] == 0

    world.settles(text)
    [volume] = world.volumes()
    assert volume["VolumeId"] == life_before and held_by(volume) == [(world.member(), "/dev/sdf")]
    assert world.markers()["rehome:epoch:data"] == "0"


def test_adopting_for_a_group_that_is_not_configured_is_refused(world, life_before):
    ended = look(world, "adopt", "another", "--yes")
    assert ended.returncode == 2 and GROUP in ended.stderr
