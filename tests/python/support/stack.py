"""A stack on a moto server, made with the stock command line.

moto's CloudFormation leaves out what it does not know; what of that matters to
rehome (hooks of a group, alarms) is put there by the same calls that
CloudFormation would make, with what the template says.
"""

import json

from .aws import environment
from .process import REHOME, run
from .template import Stack, Template, for_moto

GROUP, PAIR = "orders-db", "gateway"
# An image that moto has from the start.
IMAGE = "ami-03cf127a"


class MotoStack:
    def __init__(self, moto, folder, template, name, given):
        self.moto, self.name, self.given = moto, name, given
        self.client = moto.client("cloudformation")
        self.template = Template(template)
        self.file = folder / f"{template}.json"
        self.file.write_text(json.dumps(for_moto(self.template)))
        self.create()

    def create(self):
        given = [{"ParameterKey": key, "ParameterValue": str(value)} for key, value in self.given.items()]
        parameters = self.file.with_suffix(".parameters.json")
        parameters.write_text(json.dumps(given))
        words = ["--stack-name", self.name, "--template-body", f"file://{self.file}"]
        words += ["--parameters", f"file://{parameters}"]
        ended = self.moto.cli("cloudformation", "create-stack", *words, "--capabilities", "CAPABILITY_IAM")
        assert ended.returncode == 0, ended.stderr
        assert self.described()["StackStatus"] == "CREATE_COMPLETE"
        self.make_what_moto_does_not()

    def described(self):
        [stack] = self.client.describe_stacks(StackName=self.name)["Stacks"]
        return stack

    def outputs(self):
        return {of["OutputKey"]: of["OutputValue"] for of in self.described()["Outputs"]}

    def resolved(self):
        """With the names that moto gave."""
        found = self.client.describe_stack_resources(StackName=self.name)["StackResources"]
        # Of some, moto forgets what they are called.
        named = [of for of in found if {"LogicalResourceId", "PhysicalResourceId"} <= of.keys()]
        made = {of["LogicalResourceId"]: of["PhysicalResourceId"] for of in named}
        if "AllocationId" in (outputs := self.outputs()):
            made["ElasticIp.AllocationId"] = outputs["AllocationId"]
        return Stack(self.template, self.given, made)

    def make_what_moto_does_not(self):
        stack = self.resolved()
        for of in stack.resources().values():
            properties = of["Properties"] if "Properties" in of else {}
            if of["Type"] == "AWS::CloudWatch::Alarm":
                # Nobody's topics: moto would look for them.
                self.moto.cloudwatch.put_metric_alarm(**properties | {"AlarmActions": [], "OKActions": []})
            for hook in properties.get("LifecycleHookSpecificationList", []):
                wanted = hook | {"HeartbeatTimeout": int(hook["HeartbeatTimeout"])}
                group = properties["AutoScalingGroupName"]
                self.moto.autoscaling.put_lifecycle_hook(AutoScalingGroupName=group, **wanted)
        for name, of in self.template.of_type("AWS::EC2::Instance").items():
            self.give_a_root(self.resolved().made[name])

    def give_a_root(self, instance):
        [[of]] = [one["Instances"] for one in self.moto.ec2.describe_instances(InstanceIds=[instance])["Reservations"]]
        zone = of["Placement"]["AvailabilityZone"]
        volume = self.moto.ec2.create_volume(AvailabilityZone=zone, Size=8)["VolumeId"]
        self.moto.ec2.attach_volume(VolumeId=volume, InstanceId=instance, Device=of["RootDeviceName"])

    def delete(self):
        self.client.delete_stack(StackName=self.name)
        left = [of["StackName"] for of in self.client.describe_stacks()["Stacks"]]
        assert self.name not in left


def network(moto):
    """What an account has before: a VPC with a subnet in each zone, and a
    parameter that names an image."""
    subnets = moto.ec2.describe_subnets()["Subnets"]
    by_zone = {subnet["AvailabilityZone"]: subnet["SubnetId"] for subnet in subnets}
    one, two = sorted(by_zone)[:2]
    moto.client("ssm").put_parameter(Name="/test/image", Type="String", Value=IMAGE, Overwrite=True)
    return {"vpc": subnets[0]["VpcId"], "one": by_zone[one], "two": by_zone[two]}


def parameters(moto):
    net = network(moto)
    given = {"Name": GROUP, "VpcId": net["vpc"], "SubnetA": net["one"], "SubnetB": net["two"]}
    return given | {"ImageId": "/test/image", "NotifyEmail": "ops@example.com", "VolumeSize": "8"}


def an_instance(moto, folder, stack="orders", **more):
    return MotoStack(moto, folder, "stateful-instance", stack, parameters(moto) | more)


def a_pair(moto, folder, **more):
    net = network(moto)
    given = {"Name": PAIR, "VpcId": net["vpc"], "PrimarySubnet": net["one"], "StandbySubnet": net["two"]}
    return MotoStack(moto, folder, "standby-pair", PAIR, given | {"ImageId": "/test/image"} | more)


def member(moto, group=GROUP):
    found = moto.autoscaling.describe_auto_scaling_groups(AutoScalingGroupNames=[group])
    [group] = found["AutoScalingGroups"]
    [one] = group["Instances"]
    return one


def configuration(moto, name, folder):
    file = folder / "rehome.toml"
    file.write_text(moto.client("ssm").get_parameter(Name=name)["Parameter"]["Value"])
    return file


def without_mount(file):
    """test_templates_boot.py has a disk."""
    file.write_text("".join(line for line in file.read_text().splitlines(True) if not line.startswith("mount")))
    return file


def rehome(url, file, *words, imds=None):
    """On the instance that the metadata service speaks of, or from afar."""
    here = {"AWS_EC2_METADATA_SERVICE_ENDPOINT": imds.url, "AWS_EC2_METADATA_DISABLED": None} if imds else {}
    return run([REHOME, *words, "--config", str(file)], env=environment(url, **here))
