"""`rehome bootstrap` against moto: the Elastic IP, by allocation and by tag."""

import pytest
from support.moto_world import OTHER_ZONE, VOLUME, World, config, held_by
from support.world import allocate_address

BY_TAG = '[[group.address]]\ntag = { key = "service", value = "orders" }\n'


def by_allocation(allocation):
    return f'[[group.address]]\nallocation_id = "{allocation}"\n'


@pytest.fixture
def world(moto, imds, tmp_path):
    return World(moto, imds, tmp_path)


def test_an_address_is_found_by_its_allocation(world):
    mine, other = allocate_address(world), allocate_address(world)
    world.settles(config(by_allocation(mine)))
    assert world.address(mine)["InstanceId"] == world.member()
    assert not world.address(other).get("InstanceId")


def test_an_address_is_found_by_its_tag(world):
    mine, other = allocate_address(world, service="orders"), allocate_address(world, service="other")
    world.settles(config(BY_TAG))
    assert world.address(mine)["InstanceId"] == world.member()
    assert not world.address(other).get("InstanceId")


def test_an_address_that_is_there_is_not_moved_again(world):
    mine = allocate_address(world)
    world.settles(config(by_allocation(mine)))
    before = world.everything()
    world.settles(config(by_allocation(mine)))
    assert world.everything() == before


def test_an_address_follows_the_replacement(world):
    mine = allocate_address(world, service="orders")
    world.settles(config(BY_TAG))
    old = world.terminate(heir_in=OTHER_ZONE)
    world.settles(config(BY_TAG))
    assert world.address(mine)["InstanceId"] == world.member() != old


def test_an_address_is_taken_from_a_predecessor_that_runs_on(world):
    mine = allocate_address(world)
    world.settles(config(by_allocation(mine)))
    old = world.let_go(heir_in=OTHER_ZONE)
    assert world.address(mine)["InstanceId"] == old
    world.settles(config(by_allocation(mine)))
    assert world.address(mine)["InstanceId"] == world.member()
    assert world.everything()["instances"][old] == "running"


def test_volume_and_address_arrive_together(world):
    mine = allocate_address(world)
    text = config(by_allocation(mine), VOLUME)
    world.settles(text)
    world.terminate(heir_in=OTHER_ZONE)
    world.settles(text)
    assert world.address(mine)["InstanceId"] == world.member()
    assert held_by(world.volumes()[-1]) == [(world.member(), "/dev/sdf")]


@pytest.mark.parametrize("count", [0, 2])
def test_a_tag_that_does_not_name_one_address_moves_none(world, count):
    for _ in range(count):
        allocate_address(world, service="orders")
    before = world.everything()
    ended = world.bootstrap(config(BY_TAG), timeout="3s")
    assert ended.returncode == 3, ended
    assert "tag service = orders" in ended.stderr + ended.stdout
    assert world.everything() == before


def test_an_allocation_that_does_not_exist_is_named(world):
    ended = world.bootstrap(config(by_allocation("eipalloc-0123456789abcdef0")), timeout="3s")
    assert ended.returncode == 3, ended
    assert "eipalloc-0123456789abcdef0" in ended.stderr + ended.stdout
