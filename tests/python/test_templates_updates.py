"""Which parameters would replace a machine, a group or an address, if somebody
changed them in a stack? Those that docs/deploying.md warns of, and no others."""

import re

import pytest
from cfnlint.schema import PROVIDER_SCHEMA_MANAGER as SCHEMAS
from support.process import PROJECT
from support.template import Template

LIVE = {"AWS::AutoScaling::AutoScalingGroup", "AWS::EC2::Instance", "AWS::EC2::EIP"}


class Ways:
    """From a property back to the parameters that it is made from."""

    def __init__(self, name):
        self.template = Template(name)

    def parameters(self, of):
        """Of whatever stands there, and of the names of what that names."""
        found = set()
        for name in self.named(of):
            if name in self.template.parameters:
                found.add(name)
            elif name in self.template.resources:
                found |= self.replacing(name)
        return found

    def replacing(self, resource):
        """The parameters that would make CloudFormation replace it: another name
        for whoever names it."""
        of = self.template.resources[resource]
        schema = SCHEMAS.get_resource_schema("us-east-1", of["Type"]).schema
        fixed = {path.split("/")[2] for path in schema.get("createOnlyProperties", [])}
        values = [value for name, value in of.get("Properties", {}).items() if name in fixed]
        condition = [{"Condition": of["Condition"]}] if "Condition" in of else []
        return self.parameters(values + condition)

    def named(self, of):
        if isinstance(of, list):
            for one in of:
                yield from self.named(one)
        if not isinstance(of, dict):
            return
        for key, value in of.items():
            if key == "Ref":
                yield value
            elif key == "Fn::GetAtt":
                yield (value if isinstance(value, str) else value[0]).split(".")[0]
            elif key == "Fn::Sub":
                text, more = value if isinstance(value, list) else (value, {})
                names = re.findall(r"\$\{([^}!]+)\}", text)
                yield from (name.split(".")[0] for name in names if name not in more)
                yield from self.named(more)
            elif key == "Fn::If" or (key == "Condition" and isinstance(value, str)):
                condition = value if key == "Condition" else value[0]
                yield from self.named(self.template.body["Conditions"][condition])
                yield from self.named(value[1:] if key == "Fn::If" else [])
            else:
                yield from self.named(value)


@pytest.mark.parametrize(
    ("name", "replacing"),
    [
        ("stateful-instance", {"Group": {"Name"}, "ElasticIp": {"Address"}}),
        (
            "standby-pair",
            {
                "Primary": {"PrimarySubnet", "SecurityGroupIds", "SubnetKind", "VpcId", "Name"},
                "Standby": {"StandbySubnet", "SecurityGroupIds", "SubnetKind", "VpcId", "Name"},
                "ElasticIp": {"Address"},
            },
        ),
    ],
)
def test_only_these_parameters_replace_what_lives(name, replacing):
    ways = Ways(name)
    live = [resource for resource, of in ways.template.resources.items() if of["Type"] in LIVE]
    assert {resource: ways.replacing(resource) for resource in live} == replacing
    # The others make a launch template for the next launch; of a pair, not even that.
    assert ways.replacing("LaunchTemplate") == set()
    text = (PROJECT / "docs/deploying.md").read_text()
    [warning] = [line for line in text.splitlines() if line.startswith("These parameters replace")]
    said = set(re.findall(r"`(\w+)`", warning))
    assert set.union(*replacing.values()) - {"Address"} <= said


def test_no_update_replaces_a_group_or_rolls_through_it():
    """What CloudFormation would also replace a group for: only where a policy wants it."""
    [group] = Template("stateful-instance").of_type("AWS::AutoScaling::AutoScalingGroup").values()
    assert set(group["UpdatePolicy"]) == {"AutoScalingScheduledAction"}
