"""`rehome bootstrap` at its very beginning: an instance that its group does not
list yet, one in a warm pool, and one that has a real disk to bring."""

import json
import subprocess
import threading

import pytest
from support.aws import environment, tags, until
from support.disk import Machine, call
from support.group import Group
from support.moto_world import GROUP, IMAGE, VOLUME, ZONE, World, config, held_by
from support.process import LONG, PATIENCE, REHOME, run

DATA = config(VOLUME, policy='[group.policy]\nquiesce_timeout = "1s"\n')


@pytest.fixture
def world(moto, imds, tmp_path):
    return World(moto, imds, tmp_path)


class Running:
    """`rehome bootstrap` in the background, and what it has said so far."""

    def __init__(self, command, env):
        self.lines = []
        self.process = subprocess.Popen(
            command, env=env, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
        )
        self._reader = threading.Thread(target=lambda: self.lines.extend(iter(self.process.stdout.readline, "")))
        self._reader.start()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.process.kill()
        self.process.wait()
        self._reader.join()
        self.process.stdout.close()

    def says(self, what):
        until(lambda: any(what in line for line in self.lines) or self.process.poll() is not None, what)
        assert any(what in line for line in self.lines), self.lines

    def ends(self):
        code = self.process.wait(PATIENCE)
        self._reader.join()
        return code, "".join(self.lines)


def here(world, **more):
    return environment(
        world.url,
        AWS_EC2_METADATA_SERVICE_ENDPOINT=world.imds.url,
        AWS_EC2_METADATA_DISABLED=None,
        **more,
    )


def stranger(world):
    """An instance that is no member, and says so of itself."""
    made = world.ec2.run_instances(
        ImageId=IMAGE, InstanceType="t3.micro", MinCount=1, MaxCount=1, Placement={"AvailabilityZone": ZONE}
    )
    instance = made["Instances"][0]["InstanceId"]
    world.imds.become(instance, ZONE)
    return instance


def test_an_instance_that_is_not_listed_yet_waits_until_it_is(world):
    world.settles(DATA)
    old, new = world.member(), stranger(world)
    command = [REHOME, "bootstrap", "--config", str(world.file), "--timeout", LONG]
    with Running(command, here(world)) as running:
        running.says(f"{new} as a member of the group (it has {old})")
        world.autoscaling.update_auto_scaling_group(AutoScalingGroupName=GROUP, MinSize=0)
        world.autoscaling.detach_instances(
            AutoScalingGroupName=GROUP, InstanceIds=[old], ShouldDecrementDesiredCapacity=True
        )
        world.autoscaling.attach_instances(AutoScalingGroupName=GROUP, InstanceIds=[new])
        code, said = running.ends()
    assert code == 0, said
    assert held_by(world.volumes()[-1]) == [(new, "/dev/sdf")]


def test_an_instance_that_is_never_listed_is_not_served(world):
    world.settles(DATA)
    instance = stranger(world)
    before = world.everything()
    ended = world.run("bootstrap", "--config", str(world.file), "--timeout", "2s")
    assert ended.returncode == 3, ended
    assert f"{instance} as a member of the group" in ended.stderr and "running it again goes on" in ended.stderr
    assert world.everything() == before


def test_an_instance_in_the_warm_pool_only_completes_its_launch(region, imds, tmp_path):
    group = Group(region, MaxSize=2)
    file = tmp_path / "rehome.toml"
    file.write_text(config(VOLUME))

    def bootstrap(instance, zone, state, *words):
        imds.become(instance, zone, target_state=state)
        there = {"AWS_EC2_METADATA_SERVICE_ENDPOINT": imds.url, "AWS_EC2_METADATA_DISABLED": None}
        ended = run(
            [REHOME, "bootstrap", "--config", str(file), "--timeout", LONG, *words],
            env=environment(region.url, **there),
        )
        assert ended.returncode == 0, ended.stdout + ended.stderr
        return ended.stdout

    def pool(state):
        found = region.autoscaling.describe_warm_pool(AutoScalingGroupName=group.name)["Instances"]
        return [m for m in found if m["LifecycleState"] == state]

    first = group.in_state("Pending:Wait")
    zone = group.describe()["Instances"][0]["AvailabilityZone"]
    bootstrap(first, zone, "InService")
    assert group.in_state("InService") == first
    region.autoscaling.put_warm_pool(AutoScalingGroupName=group.name, MinSize=1)
    [warm] = until(lambda: pool("Warmed:Pending:Wait"), "a member of the warm pool at its hook")
    said = json.loads(bootstrap(warm["InstanceId"], warm["AvailabilityZone"], "Warmed:Stopped", "--json"))
    assert said["settled"] and said["warm_pool"]
    until(lambda: pool("Warmed:Stopped"), "the warm pool to have it")

    filters = [{"Name": "tag:rehome:group", "Values": [group.name]}]
    [volume] = region.ec2.describe_volumes(Filters=filters)["Volumes"]
    assert [a["InstanceId"] for a in volume["Attachments"]] == [first]


def test_a_blank_disk_that_appears_late_is_formatted_mounted_and_served(world, tmp_path):
    with Machine(tmp_path / "machine") as machine:
        text = config(
            VOLUME + f'mount = "{machine.point}"\n', '[group.workload]\nunits = ["db.service"]\nhealth = ["true"]\n'
        )
        world.file.write_text(text)
        member = world.members()[0]
        world.imds.become(member["InstanceId"], member["AvailabilityZone"])
        device = machine.disk()
        # Looks at the mount before the namespace, and the mount with it, is gone.
        script = f'"$@" && findmnt --noheadings --output FSTYPE,SOURCE "{machine.point}"'
        command = [REHOME, "bootstrap", "--config", world.file, "--timeout", LONG]
        command = machine.inside("sh", "-c", script, "sh", *command)
        with Running(command, here(world, PATH=machine.path)) as running:
            [volume] = until(world.volumes, "the blank volume")
            running.says("waits: ")
            assert machine.units() == []
            machine.plug(device, volume["VolumeId"])
            code, said = running.ends()
        assert code == 0, said
        assert "ext4   /dev/nvme1n1" in said, said
        phases = ["make ext4 on", "mount vol-", "start the workload", "settled after"]
        places = [next((n for n, line in enumerate(said.splitlines()) if phase in line), None) for phase in phases]
        assert None not in places and places == sorted(places), said
        assert machine.units() == ["db.service"]
        assert world.imds.asked and world.imds.refused == 0, "only ever with a token of version 2"
        [volume] = world.volumes()
        assert tags(volume)["rehome:state"] == "active"
        assert "ext4" in call("blkid", "-p", "-o", "value", "-s", "TYPE", device)


def test_a_disk_with_data_is_never_formatted(world, tmp_path):
    with Machine(tmp_path / "machine") as machine:
        world.file.write_text(config(VOLUME + f'mount = "{machine.point}"\n'))
        member = world.members()[0]
        world.imds.become(member["InstanceId"], member["AvailabilityZone"])
        device = machine.disk()
        call("mkfs.ext4", "-q", "-L", "precious", device)
        call("sh", "-c", f"printf x | dd of={device} bs=1 seek=1080 conv=notrunc")
        before = call("sha256sum", device)
        command = machine.inside(REHOME, "bootstrap", "--config", world.file, "--timeout", "15s")
        with Running(command, here(world, PATH=machine.path)) as running:
            [volume] = until(world.volumes, "the blank volume")
            machine.plug(device, volume["VolumeId"])
            code, said = running.ends()
        assert code == 3 and "data of no known kind" in said, said
        assert call("sha256sum", device) == before
