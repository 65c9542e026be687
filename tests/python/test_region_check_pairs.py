"""`rehome check` of a primary and a standby in the emulated region."""

import pytest
from support.checked import check, mend
from support.world import allocate_address, launch

CONFIG = """
[[group]]
name    = "gateway"
kind    = "pair"
agent   = false
members = ["{}", "{}"]

[[group.address]]
allocation_id = "{}"

[[group.alarm]]
name = "gateway-primary"
"""


class Pair:
    def __init__(self, region, folder, zones):
        self.region, self.file = region, folder / "rehome.toml"
        self.members = [launch(region, zone) for zone in zones]
        region.ec2.stop_instances(InstanceIds=self.members[1:])
        region.wait("instance_stopped", InstanceIds=self.members[1:])
        allocation = allocate_address(region)
        region.ec2.associate_address(AllocationId=allocation, InstanceId=self.members[0])
        self.file.write_text(CONFIG.format(*self.members, allocation))

    def check(self):
        return check(self.file, self.region.url)


@pytest.fixture
def pair(region, tmp_path):
    return Pair(region, tmp_path, ["us-east-1a", "us-east-1b"])


def test_a_pair_is_made_right_by_what_the_check_prints(pair):
    checked = pair.check()
    assert {name for name, _ in checked.of("wrong")} == {"alarm"}
    mend(pair.region, checked.wrong("alarm"))
    unprotected = [f for f in checked.named("protection") if f["verdict"] == "warning"]
    assert len(unprotected) == 2
    for found in unprotected:
        mend(pair.region, found)

    [unwatched] = pair.check().named("alarm-about")
    assert unwatched["verdict"] == "warning" and pair.members[1] in unwatched["says"]
    mend(pair.region, unwatched)
    pair.file.write_text(pair.file.read_text() + f'[[group.alarm]]\nname = "gateway-{pair.members[1]}"\n')

    checked = pair.check()
    assert checked.works, checked.of("wrong")
    assert {name for name, _ in checked.of("warning")} <= {"alarm-state"}
    for name in ("members", "pair-zones", "protection", "root-volume", "reach", "address"):
        assert checked.verdicts(name) == {"right"}, name
    allowed = " ".join(says for name, says in checked.of("right") if name == "allowed")
    assert "ec2:StartInstances" in allowed and "ec2:StopInstances" in allowed


def test_what_shuts_down_for_good_is_wrong(pair):
    attribute = {"InstanceInitiatedShutdownBehavior": {"Value": "terminate"}}
    pair.region.ec2.modify_instance_attribute(InstanceId=pair.members[1], **attribute)
    found = pair.check().wrong("shutdown")
    assert pair.members[1] in found["says"]
    mend(pair.region, found)
    assert pair.check().named("shutdown") == []


def test_a_member_that_is_gone_is_wrong(pair):
    pair.region.ec2.terminate_instances(InstanceIds=pair.members[1:])
    pair.region.wait("instance_terminated", InstanceIds=pair.members[1:])
    assert pair.members[1] in pair.check().wrong("members")["says"]


def test_one_zone_for_both_is_warned_of(region, tmp_path):
    checked = Pair(region, tmp_path, ["us-east-1a", "us-east-1a"]).check()
    assert checked.verdicts("pair-zones") == {"warning"}
