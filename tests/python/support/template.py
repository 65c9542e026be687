"""A CloudFormation template: read, its parameters judged as CloudFormation
would, and its intrinsic functions resolved.

What a stack would be is computed here, so that it can be compared with what
rehome says, and so that moto can be given what it does not know itself.
"""

import json
import re
from base64 import b64encode
from copy import deepcopy

from cfnlint.decode import cfn_yaml

from .process import PROJECT

FOLDER = PROJECT / "cloudformation"
NAMES = ["stateful-instance", "standby-pair", "controller"]
ACCOUNT, REGION = "123456789012", "us-east-1"
# What AWS itself asks of a value of these types.
KINDS = {
    "AWS::EC2::VPC::Id": r"vpc-[0-9a-f]{8,17}",
    "AWS::EC2::Subnet::Id": r"subnet-[0-9a-f]{8,17}",
}
NOTHING = object()


def load(name):
    """As plain JSON, with the long names of all functions."""
    return json.loads(json.dumps(cfn_yaml.load(str(FOLDER / f"{name}.yaml"))))


class Template:
    def __init__(self, name):
        self.name, self.body = name, load(name)
        self.parameters = self.body["Parameters"]
        self.resources = self.body["Resources"]

    def of_type(self, kind):
        return {name: of for name, of in self.resources.items() if of["Type"] == kind}

    def refusals(self, given, facts=()):
        """Why CloudFormation would not begin; `facts` are of the subnets."""
        wrong = [f"{name} is no parameter" for name in given if name not in self.parameters]
        values = {}
        for name, declared in self.parameters.items():
            value = given.get(name, declared.get("Default"))
            if value is None:
                wrong.append(f"{name} is needed")
                continue
            values[name] = str(value)
            wrong.extend(_judge(name, declared, str(value)))
        if not wrong:
            wrong.extend(_Rules(self, values, dict(facts)).broken())
        return wrong


def _judge(name, declared, value):
    pattern = declared.get("AllowedPattern") or KINDS.get(declared["Type"])
    if pattern and not re.fullmatch(pattern, value):
        yield f"{name} must be {declared.get('ConstraintDescription', pattern)}"
    allowed = declared.get("AllowedValues")
    if allowed and value not in map(str, allowed):
        yield f"{name} must be one of {allowed}"
    if len(value) > declared.get("MaxLength", len(value)):
        yield f"{name} is too long"
    if declared["Type"] == "Number":
        if not re.fullmatch(r"-?\d+(\.\d+)?", value):
            yield f"{name} must be a number"
        elif not declared.get("MinValue", float(value)) <= float(value) <= declared.get("MaxValue", float(value)):
            yield f"{name} is out of bounds"


class _Rules:
    """The section `Rules`: what must hold between parameters."""

    def __init__(self, template, values, facts):
        self.template, self.values, self.facts = template, values, facts

    def broken(self):
        for rule in self.template.body.get("Rules", {}).values():
            if "RuleCondition" in rule and not self.say(rule["RuleCondition"]):
                continue
            for one in rule["Assertions"]:
                if not self.say(one["Assert"]):
                    yield one["AssertDescription"]

    def say(self, of):
        if isinstance(of, list):
            return [self.say(one) for one in of]
        if not isinstance(of, dict):
            return str(of)
        [(function, inner)] = of.items()
        match function:
            case "Ref":
                return self.values[inner]
            case "Fn::ValueOf":
                return self.facts[self.values[inner[0]]][inner[1]]
            case "Fn::ValueOfAll":
                kind, attribute = inner
                named = [name for name, of in self.template.parameters.items() if of["Type"] == kind]
                return [self.facts[self.values[name]][attribute] for name in named]
            case "Fn::Equals":
                return self.say(inner[0]) == self.say(inner[1])
            case "Fn::Not":
                return not self.say(inner[0])
            case "Fn::And":
                return all(self.say(inner))
            case "Fn::Contains":
                return self.say(inner[1]) in self.say(inner[0])
            case "Fn::EachMemberEquals":
                return all(one == self.say(inner[1]) for one in self.say(inner[0]))
        raise NotImplementedError(function)


class Stack:
    """A template with values for its parameters, as CloudFormation would see it.

    `made` says what AWS answers for resources: `Name` for a Ref, `Name.Attribute`
    for a GetAtt. What it does not say gets a name of its own.
    """

    def __init__(self, template, given, made=(), region=REGION, partition="aws"):
        self.template = template
        suffix = "amazonaws.com.cn" if partition == "aws-cn" else "amazonaws.com"
        self.values = {
            "AWS::AccountId": ACCOUNT,
            "AWS::Region": region,
            "AWS::Partition": partition,
            "AWS::URLSuffix": suffix,
            "AWS::StackName": "a-stack",
            "AWS::NoValue": NOTHING,
        }
        self.values |= {name: str(of["Default"]) for name, of in template.parameters.items() if "Default" in of}
        self.values |= {name: str(value) for name, value in given.items()}
        self.made = dict(made)

    def holds(self, condition):
        return self._condition(self.template.body["Conditions"][condition])

    def resources(self):
        """Those whose condition holds, resolved."""
        return {
            name: self.resolve(of)
            for name, of in self.template.resources.items()
            if "Condition" not in of or self.holds(of["Condition"])
        }

    def properties(self, name):
        return self.resources()[name]["Properties"]

    def output(self, name):
        return self.resolve(self.template.body["Outputs"][name]["Value"])

    def resolve(self, of):
        if isinstance(of, list):
            return [one for one in map(self.resolve, of) if one is not NOTHING]
        if not isinstance(of, dict):
            return of
        if len(of) == 1:
            [(function, inner)] = of.items()
            if function == "Ref" or function.startswith("Fn::"):
                return self._function(function, inner)
        resolved = {key: self.resolve(value) for key, value in of.items()}
        return {key: value for key, value in resolved.items() if value is not NOTHING}

    def _function(self, function, inner):
        match function:
            case "Ref":
                return self._named(inner)
            case "Fn::GetAtt":
                return self._attribute(inner if isinstance(inner, str) else ".".join(inner))
            case "Fn::If":
                condition, yes, no = inner
                return self.resolve(yes if self.holds(condition) else no)
            case "Fn::Sub":
                text, more = inner if isinstance(inner, list) else (inner, {})
                return self._sub(text, {name: str(self.resolve(value)) for name, value in more.items()})
            case "Fn::Join":
                return inner[0].join(map(str, self.resolve(inner[1])))
            case "Fn::Split":
                return self.resolve(inner[1]).split(inner[0])
            case "Fn::Select":
                return self.resolve(inner[1])[int(inner[0])]
            case "Fn::FindInMap":
                one, two, three = (self.resolve(part) for part in inner)
                return self.template.body["Mappings"][one][two][three]
            case "Fn::Base64":
                return b64encode(self.resolve(inner).encode()).decode()
        raise NotImplementedError(function)

    def _sub(self, text, more):
        def one(match):
            name = match[1]
            if name.startswith("!"):
                return "${" + name[1:] + "}"
            if name in more:
                return more[name]
            return str(self._attribute(name) if "." in name else self._named(name))

        return re.sub(r"\$\{([^}]+)\}", one, text)

    def _named(self, name):
        if name in self.values:
            return self.values[name]
        assert name in self.template.resources, f"{name} is neither parameter nor resource"
        return self.made.get(name, f"the-{name}")

    def _attribute(self, path):
        name, attribute = path.split(".", 1)
        of = self.template.resources[name]
        if (of["Type"], attribute) == ("AWS::SSM::Parameter", "Value"):
            return self.resolve(of["Properties"]["Value"])
        return self.made.get(path, f"the-{path}")

    def _condition(self, of):
        [(function, inner)] = of.items()
        match function:
            case "Condition":
                return self.holds(inner)
            case "Fn::Equals":
                one, two = (str(self.resolve(part)) for part in inner)
                return one == two
            case "Fn::Not":
                return not self._condition(inner[0])
            case "Fn::And":
                return all(map(self._condition, inner))
            case "Fn::Or":
                return any(map(self._condition, inner))
        raise NotImplementedError(function)


def for_moto(template):
    """The same template, in terms that moto's CloudFormation knows: it has no
    attribute Value of a parameter, and no launch template of an instance."""
    body = deepcopy(template.body)

    def rewrite(of):
        if isinstance(of, list):
            return [rewrite(one) for one in of]
        if not isinstance(of, dict):
            return of
        if of.get("Fn::GetAtt") == ["Configuration", "Value"]:
            return deepcopy(body["Resources"]["Configuration"]["Properties"]["Value"])
        return {key: rewrite(value) for key, value in of.items()}

    body["Resources"] = rewrite(body["Resources"])
    for of in body["Resources"].values():
        if of["Type"] == "AWS::EC2::Instance":
            of["Properties"] |= {"ImageId": {"Ref": "ImageId"}, "InstanceType": {"Ref": "InstanceType"}}
            of["Properties"]["SubnetId"] = of["Properties"].pop("NetworkInterfaces")[0]["SubnetId"]
    return body
