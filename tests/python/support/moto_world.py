"""A group of one on a moto server, and the binary run as its instance.

moto is lenient: every state is final at once, hooks never hold anyone, and
attaching is not checked. What is judged here is only what stands at the end.
"""

from .aws import REGION, environment, tags
from .process import LONG, REHOME, run

GROUP = "orders-db"
IMAGE = "ami-03cf127a"  # one that moto has from the start
ZONE, OTHER_ZONE = f"{REGION}a", f"{REGION}b"

VOLUME = """
[[group.volume]]
name       = "data"
device     = "/dev/sdf"
size_gib   = 20
type       = "gp3"
iops       = 4000
throughput = 250
"""


def config(*belongings, policy=""):
    return f'[[group]]\nname = "{GROUP}"\n' + "".join(belongings) + policy


class World:
    """An Auto Scaling group, whoever is its member, and what follows it."""

    def __init__(self, moto, imds, folder):
        self.ec2, self.autoscaling, self.url = moto.ec2, moto.autoscaling, moto.url
        self.imds, self.file = imds, folder / "rehome.toml"
        self.autoscaling.create_launch_configuration(
            LaunchConfigurationName="orders", ImageId=IMAGE, InstanceType="t3.micro"
        )
        self.autoscaling.create_auto_scaling_group(
            AutoScalingGroupName=GROUP,
            LaunchConfigurationName="orders",
            AvailabilityZones=[ZONE],
            MinSize=1,
            MaxSize=2,
            DesiredCapacity=1,
        )

    # ------------------------------------------------------- what happens to it

    def terminate(self, heir_in):
        """The member is gone for good; moto launches another in that zone."""
        old = self.member()
        self._next_zone(heir_in)
        self.ec2.terminate_instances(InstanceIds=[old])
        assert self.member() != old
        return old

    def let_go(self, heir_in):
        """The member leaves the group and runs on; another takes its place."""
        old = self.member()
        self._next_zone(heir_in)
        self.autoscaling.detach_instances(
            AutoScalingGroupName=GROUP, InstanceIds=[old], ShouldDecrementDesiredCapacity=False
        )
        assert self.member() != old
        return old

    def _next_zone(self, zone):
        self.autoscaling.update_auto_scaling_group(AutoScalingGroupName=GROUP, AvailabilityZones=[zone])

    # ------------------------------------------------------------- the binary

    def bootstrap(self, text, timeout=LONG, **environ):
        """`rehome bootstrap`, on the present member."""
        self.file.write_text(text)
        member = self.members()[0]
        self.imds.become(member["InstanceId"], member["AvailabilityZone"])
        return self.run("bootstrap", "--config", str(self.file), "--timeout", timeout, **environ)

    def run(self, *words, **environ):
        here = {"AWS_EC2_METADATA_SERVICE_ENDPOINT": self.imds.url, "AWS_EC2_METADATA_DISABLED": None}
        return run([REHOME, *words], env=environment(self.url, **here | environ))

    def settles(self, text, **environ):
        ended = self.bootstrap(text, **environ)
        assert ended.returncode == 0, ended.stderr + ended.stdout

    # -------------------------------------------------------- what stands there

    def members(self):
        found = self.autoscaling.describe_auto_scaling_groups(AutoScalingGroupNames=[GROUP])
        return found["AutoScalingGroups"][0]["Instances"]

    def member(self):
        [member] = self.members()
        return member["InstanceId"]

    def markers(self):
        found = self.autoscaling.describe_auto_scaling_groups(AutoScalingGroupNames=[GROUP])
        return tags(found["AutoScalingGroups"][0])

    def volumes(self, name="data"):
        """Every volume that plays, or played, this part; the oldest epoch first."""
        filters = [{"Name": "tag:rehome:volume", "Values": [name]}]
        found = self.ec2.describe_volumes(Filters=filters)["Volumes"]
        return sorted(found, key=lambda volume: int(tags(volume).get("rehome:epoch", "0")))

    def snapshots(self, name="data"):
        filters = [{"Name": "tag:rehome:volume", "Values": [name]}]
        return self.ec2.describe_snapshots(Filters=filters)["Snapshots"]

    def address(self, allocation):
        return self.ec2.describe_addresses(AllocationIds=[allocation])["Addresses"][0]

    def everything(self):
        """All that a run could have changed."""
        instances = [i for r in self.ec2.describe_instances()["Reservations"] for i in r["Instances"]]
        return {
            "volumes": self.ec2.describe_volumes()["Volumes"],
            "snapshots": self.ec2.describe_snapshots(OwnerIds=["self"])["Snapshots"],
            "addresses": self.ec2.describe_addresses()["Addresses"],
            "instances": {i["InstanceId"]: i["State"]["Name"] for i in instances},
            "members": self.members(),
            "markers": self.markers(),
        }


def held_by(volume):
    """Who has it, where."""
    return [(a["InstanceId"], a["Device"]) for a in volume["Attachments"]]


def shape(volume):
    return {key: volume.get(key) for key in ("Size", "VolumeType", "Iops", "Throughput", "Encrypted")}


def own_tags(volume):
    """The user's tags, without those that rehome keeps its books in."""
    return {key: value for key, value in tags(volume).items() if not key.startswith("rehome:")}
