"""Do the templates allow exactly what `rehome iam-policy` says is needed?"""

import json

import pytest
from support.aws import environment
from support.process import REHOME, run
from support.template import ACCOUNT, REGION, Stack, Template

ADDRESS, KEY_ID = "eipalloc-0123456789abcdef0", "11111111-2222-3333-4444-555555555555"
PRIMARY, STANDBY = "i-0123456789abcdef0", "i-0fedcba9876543210"
MADE = {"ElasticIp.AllocationId": ADDRESS, "Primary": PRIMARY, "Standby": STANDBY}
PLACES = [("us-east-1", "aws"), ("cn-north-1", "aws-cn"), ("us-gov-west-1", "aws-us-gov")]

INSTANCE = {
    "Name": "orders-db",
    "VpcId": "vpc-01234567",
    "SubnetA": "subnet-0000000a",
    "SubnetB": "subnet-0000000b",
}
PAIR = {
    "Name": "gateway",
    "VpcId": "vpc-01234567",
    "PrimarySubnet": "subnet-0000000a",
    "StandbySubnet": "subnet-0000000b",
}


def key(region, partition):
    return f"arn:{partition}:kms:{region}:{ACCOUNT}:key/{KEY_ID}"


def printed(text, place, region, partition, folder):
    """By rehome itself."""
    file = folder / "rehome.toml"
    file.write_text(text)
    scope = ["--region", region, "--account", ACCOUNT, "--partition", partition]
    ended = run([REHOME, "iam-policy", "--config", str(file), "--place", place, *scope], env=environment())
    assert ended.returncode == 0, ended.stderr + text
    return json.loads(ended.stdout)


def canonical(document):
    """The order of statements, actions and resources means nothing to IAM, nor
    does a list of one."""

    def several(value):
        return sorted([value] if isinstance(value, str) else value)

    def one(statement):
        conditions = statement.get("Condition", {})
        return {
            **statement,
            "Action": several(statement["Action"]),
            "Resource": several(statement["Resource"]),
            "Condition": {
                operator: {name: several(values) for name, values in keys.items()}
                for operator, keys in conditions.items()
            },
        }

    statements = sorted(map(one, document["Statement"]), key=lambda statement: statement["Sid"])
    return {"Version": document["Version"], "Statement": statements}


def inline(role, name="rehome"):
    [document] = [policy["PolicyDocument"] for policy in role["Policies"] if policy["PolicyName"] == name]
    return document


@pytest.mark.parametrize(("region", "partition"), PLACES)
@pytest.mark.parametrize("shape", ["as-it-comes", "own-address", "private", "own-key"])
def test_an_instance_is_allowed_what_it_needs_and_no_more(shape, region, partition, tmp_path):
    more = {
        "as-it-comes": {},
        "own-address": {"Address": "eipalloc-00000000000000001", "SubnetC": "subnet-0000000c", "VolumeType": "io2"},
        "private": {"SubnetKind": "private", "Address": "none", "Endpoints": "yes", "Units": "a.service,b.service"},
        "own-key": {
            "VolumeKeyArn": key(region, partition),
            "Units": "postgresql.service",
            "HealthCommand": "pg_isready,-q",
        },
    }[shape]
    stack = Stack(Template("stateful-instance"), INSTANCE | more, MADE, region, partition)
    wanted = printed(stack.properties("Configuration")["Value"], "instance", region, partition, tmp_path)
    assert canonical(inline(stack.properties("InstanceRole"))) == canonical(wanted)


@pytest.mark.parametrize(("region", "partition"), PLACES)
@pytest.mark.parametrize("shape", ["as-it-comes", "address-only", "volume-only", "own-key"])
def test_a_pair_is_allowed_what_it_needs_and_no_more(shape, region, partition, tmp_path):
    more = {
        "as-it-comes": {},
        "address-only": {"Volume": "no"},
        "volume-only": {"Address": "none", "SubnetKind": "private"},
        "own-key": {"VolumeKeyArn": key(region, partition)},
    }[shape]
    stack = Stack(Template("standby-pair"), PAIR | more, MADE, region, partition)
    wanted = printed(stack.properties("Configuration")["Value"], "instance", region, partition, tmp_path)
    assert canonical(stack.properties("Permissions")["PolicyDocument"]) == canonical(wanted)


VOLUME = '[[group.volume]]\nname = "{}"\ndevice = "/dev/sd{}"\nsize_gib = 8\nkms_key_id = "{}"\n'
ALARM = '[[group.alarm]]\nname = "sick"\n'
MOVES = f'[[group.address]]\nallocation_id = "{ADDRESS}"\n'


def controlled(volumes=1, address=True, alarms=True, pair=False, key="alias/aws/ebs"):
    """A configuration, and the parameters of the controller that fit it."""
    members = f'kind = "pair"\nmembers = ["{PRIMARY}", "{STANDBY}"]\n' if pair else ""
    text = '[[group]]\nname = "orders-db"\nagent = false\n' + members
    text += MOVES if address else ""
    text += "".join(VOLUME.format(f"v{n}", "fgh"[n], key) for n in range(volumes))
    text += ALARM if alarms else ""
    given = {
        "Group": "orders-db",
        "Kind": "pair" if pair else "asg",
        "Primary": PRIMARY if pair else "",
        "Standby": STANDBY if pair else "",
        "AllocationId": ADDRESS if address else "",
        "Volumes": ["none", "one", "several"][min(volumes, 2)],
        "KeyArn": key if key.startswith("arn:") else "",
        "Alarms": "yes" if alarms else "no",
        "ConfigurationParameter": text,
        "CodeBucket": "artifacts",
        "CodeKey": "rehome.zip",
    }
    return text, given


@pytest.mark.parametrize(("region", "partition"), PLACES)
@pytest.mark.parametrize("pair", [False, True], ids=["asg", "pair"])
@pytest.mark.parametrize("address", [False, True], ids=["", "address"])
@pytest.mark.parametrize("volumes", [0, 1, 2])
def test_a_controller_is_allowed_what_it_needs_and_no_more(volumes, address, pair, region, partition, tmp_path):
    if volumes == 0 and not address:
        assert Template("controller").refusals(controlled(0, False)[1])
        return
    for alarms, named in ((True, "alias/aws/ebs"), (False, key(region, partition))):
        text, given = controlled(volumes, address, alarms, pair, named if volumes else "alias/aws/ebs")
        queue = "a-stack-Queue-1ABC"
        made = {"Queue.Arn": f"arn:{partition}:sqs:{region}:{ACCOUNT}:{queue}"}
        stack = Stack(Template("controller"), given, made, region, partition)
        suffix = stack.values["AWS::URLSuffix"]
        text += f'[wake]\nsqs_queue_url = "https://sqs.{region}.{suffix}/{ACCOUNT}/{queue}"\n'
        wanted = printed(text, "lambda", region, partition, tmp_path)
        assert canonical(inline(stack.properties("FunctionRole"))) == canonical(wanted)


@pytest.mark.parametrize(("name", "given"), [("stateful-instance", INSTANCE), ("standby-pair", PAIR)])
def test_what_a_stack_prints_fits_its_controller(name, given, tmp_path):
    stack = Stack(Template(name), given, MADE | {"People": f"arn:aws:sns:{REGION}:{ACCOUNT}:people"})
    words = dict(word.split("=", 1) for word in stack.output("ControllerParameters").split())
    text = stack.properties("Configuration")["Value"]
    assert words["ConfigurationParameter"] == stack.properties("Configuration")["Name"]
    words |= {"ConfigurationParameter": text, "CodeBucket": "artifacts", "CodeKey": "rehome.zip"}
    assert Template("controller").refusals(words) == []

    queue = "a-stack-Queue-1ABC"
    controller = Stack(Template("controller"), words, {"Queue.Arn": f"arn:aws:sqs:{REGION}:{ACCOUNT}:{queue}"})
    text += f'\n[wake]\nsqs_queue_url = "https://sqs.{REGION}.amazonaws.com/{ACCOUNT}/{queue}"\n'
    wanted = printed(text, "lambda", REGION, "aws", tmp_path)
    assert canonical(inline(controller.properties("FunctionRole"))) == canonical(wanted)
