"""An Auto Scaling group of one in the emulated region, with a hook on either side."""

from .aws import until

ZONES = ["us-east-1a", "us-east-1b"]
HOOKS = [
    {
        "LifecycleHookName": "arrive",
        "LifecycleTransition": "autoscaling:EC2_INSTANCE_LAUNCHING",
        "HeartbeatTimeout": 600,
        "DefaultResult": "ABANDON",
    },
    {
        "LifecycleHookName": "leave",
        "LifecycleTransition": "autoscaling:EC2_INSTANCE_TERMINATING",
        "HeartbeatTimeout": 600,
        "DefaultResult": "CONTINUE",
    },
]


class Group:
    def __init__(self, region, name="orders-db", hooks=HOOKS, **more):
        self.region, self.name = region, name
        wanted = {
            "MinSize": 1,
            "MaxSize": 1,
            "DesiredCapacity": 1,
            "AvailabilityZones": ZONES,
            "LaunchTemplate": {"LaunchTemplateName": "orders", "Version": "$Latest"},
            "LifecycleHookSpecificationList": hooks,
        }
        region.autoscaling.create_auto_scaling_group(AutoScalingGroupName=name, **wanted | more)

    def describe(self):
        found = self.region.autoscaling.describe_auto_scaling_groups(AutoScalingGroupNames=[self.name])
        [group] = found["AutoScalingGroups"]
        return group

    def members(self):
        return {m["InstanceId"]: m["LifecycleState"] for m in self.describe()["Instances"]}

    def in_state(self, state, but=()):
        """The first member that comes into this state."""

        def look():
            return [i for i, s in self.members().items() if s == state and i not in but]

        return until(look, f"a member that is {state}")[0]

    def complete(self, hook, instance, result="CONTINUE"):
        self.region.autoscaling.complete_lifecycle_action(
            AutoScalingGroupName=self.name,
            LifecycleHookName=hook,
            InstanceId=instance,
            LifecycleActionResult=result,
        )

    def in_service(self):
        instance = self.in_state("Pending:Wait")
        self.complete("arrive", instance)
        return self.in_state("InService")
