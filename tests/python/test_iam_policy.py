"""The policies that `rehome iam-policy` prints: looked at by parliament, which
knows AWS's service authorization reference, and enforced by the region."""

import fnmatch
import json
import warnings

import pytest
from support import aws
from support.process import REHOME, Server, run

with warnings.catch_warnings():
    # It asks setuptools for its own data, which setuptools does not like.
    warnings.simplefilter("ignore")
    from parliament import analyze_policy_string

PLACES = ["instance", "controller", "lambda", "operator"]
VOLUME = '[[group.volume]]\nname = "data"\ndevice = "/dev/sdf"\n'
SECOND = '[[group.volume]]\nname = "log"\ndevice = "/dev/sdg"\n'
ADDRESS = '[[group.address]]\nallocation_id = "eipalloc-0abc"\n'
BY_TAG = '[[group.address]]\ntag = { key = "service", value = "db" }\n'
ALARM = '[[group.alarm]]\nname = "sick"\n'
QUEUE = '[wake]\nsqs_queue_url = "https://sqs.us-east-1.amazonaws.com/123456789012/events"\n'
GROUP = '[[group]]\nname = "orders-db"\n'
PAIR = '[[group]]\nname = "gateway"\nkind = "pair"\nmembers = ["i-0a", "i-0b"]\n'
KEY = 'kms_key_id = "1234abcd-12ab-34cd-56ef-1234567890ab"\n'
ALIAS = 'kms_key_id = "alias/data"\n'

CONFIGURATIONS = {
    "an address": GROUP + ADDRESS,
    "an address by its tag": GROUP + BY_TAG,
    "a volume": GROUP + VOLUME,
    "the usual": GROUP + VOLUME + ADDRESS + ALARM,
    "a set under two keys": GROUP + VOLUME + KEY + SECOND + ALIAS,
    "a queue": GROUP + VOLUME + QUEUE,
    "a pair": PAIR + VOLUME + KEY + ADDRESS + ALARM,
    "an address of a pair": PAIR + BY_TAG,
    "everything": GROUP + VOLUME + ALIAS + SECOND + ADDRESS + ALARM + PAIR + VOLUME + BY_TAG + QUEUE,
}
HERE = ["--region", "us-east-1", "--account", "123456789012"]


def policy(tmp_path, text, place, *more, region=None):
    file = tmp_path / "rehome.toml"
    file.write_text(text)
    command = [REHOME, "iam-policy", "--config", file, "--place", place, *more]
    ended = run(command, env=aws.environment(AWS_REGION=region))
    assert ended.returncode == 0, ended.stderr
    return ended.stdout


def many(value):
    return value if isinstance(value, list) else [value]


def is_explained(finding, statements):
    """Every finding that is no fault, and why it is none."""
    if finding.issue == "RESOURCE_STAR":
        # DescribeAlarms shows composite alarms only to those who may see all.
        return finding.detail == ["cloudwatch:DescribeAlarms"]
    if finding.issue == "RESOURCE_MISMATCH":
        # A call touches several things, each bound by another statement.
        return all(is_allowed_elsewhere(each, statements) for each in finding.detail)
    if finding.issue == "UNKNOWN_CONDITION_FOR_ACTION":
        # Listed in the reference with the resource `key`, not with the actions.
        return finding.detail.startswith("Unknown condition kms:ResourceAliases for action kms:")
    return False


def is_allowed_elsewhere(missing, statements):
    kind = missing["required_format"].rsplit(":", 1)[1]
    return any(
        missing["action"] in many(each["Action"])
        and any(fnmatch.fnmatch(arn.rsplit(":", 1)[1], kind) for arn in many(each["Resource"]))
        for each in statements
    )


@pytest.mark.parametrize("place", PLACES)
@pytest.mark.parametrize("name", CONFIGURATIONS)
@pytest.mark.parametrize("scope", [HERE, []], ids=["here", "anywhere"])
def test_parliament_finds_nothing_unexplained(tmp_path, name, place, scope):
    text = policy(tmp_path, CONFIGURATIONS[name], place, *scope)
    statements = json.loads(text)["Statement"]
    found = analyze_policy_string(text).findings
    assert [f for f in found if not is_explained(f, statements)] == []


def test_parliament_would_find_a_fault(tmp_path):
    """Or the test above would be worth nothing."""
    text = policy(tmp_path, CONFIGURATIONS["the usual"], "instance", *HERE)
    for right, wrong in [
        ("ec2:AttachVolume", "ec2:AttachVolumes"),
        (":volume/*", ":volumes/*"),
        ("ec2:CreateAction", "ec2:MadeBy"),
    ]:
        assert right in text
        broken = text.replace(right, wrong)
        statements = json.loads(broken)["Statement"]
        found = analyze_policy_string(broken).findings
        assert [f for f in found if not is_explained(f, statements)], wrong


def test_the_region_may_come_from_the_environment(tmp_path):
    text = policy(tmp_path, GROUP + VOLUME, "instance", region="eu-west-1")
    assert "arn:aws:ec2:eu-west-1:*:volume/*" in text
    text = policy(tmp_path, GROUP + VOLUME, "instance", "--region", "cn-north-1", region="eu-west-1")
    assert "arn:aws-cn:ec2:cn-north-1:*:volume/*" in text


def test_a_policy_that_is_too_long_is_said_to_be(tmp_path):
    groups = [f'[[group]]\nname = "a-group-of-many-{n:03}"\n{VOLUME}' for n in range(120)]
    file = tmp_path / "rehome.toml"

    def printed(count, *more):
        file.write_text("".join(groups[:count]))
        command = [REHOME, "iam-policy", "--config", file, "--place", "controller", *HERE, *more]
        return run(command, env=aws.environment())

    managed = printed(20)
    assert managed.returncode == 0 and "a managed policy may have 6144" in managed.stderr
    assert json.loads(managed.stdout)
    refused = printed(120)
    assert (refused.returncode, refused.stdout) == (1, "")
    assert "10240" in refused.stderr and "--group NAME" in refused.stderr
    one = printed(120, "--group", "a-group-of-many-007")
    assert one.returncode == 0 and one.stderr == ""
    assert "a-group-of-many-008" not in one.stdout


def test_nothing_runs_on_the_instance(tmp_path):
    file = tmp_path / "rehome.toml"
    file.write_text(GROUP + "agent = false\n" + VOLUME)
    ended = run([REHOME, "iam-policy", "--config", file, "--place", "instance"], env=aws.environment())
    assert (ended.returncode, ended.stdout) == (1, "")
    assert "agent = false" in ended.stderr


def test_a_region_enforces_it(tmp_path):
    """For the access key it was given for; an open region for everyone else."""
    file = tmp_path / "controller.json"
    file.write_text(policy(tmp_path, GROUP + VOLUME, "controller", *HERE))
    attached = f"{aws.environment()['AWS_ACCESS_KEY_ID'][:8]}*={file}"
    command = [REHOME, "region", "--listen", "127.0.0.1:0", "--policy", attached]
    with Server([*command, "--latency-scale", "0"], env=aws.environment()) as server:
        session = aws.Session(server.url)
        assert session.cli("ec2", "describe-volumes").answer == {"Volumes": []}
        refused = session.cli("ec2", "describe-addresses")
        assert "UnauthorizedOperation" in refused.stderr
        assert "ec2:DescribeAddresses on resource: *" in refused.stderr
        make = ["ec2", "create-volume", "--availability-zone", "us-east-1a", "--size", "1", "--tag-specifications"]
        tag = "ResourceType=volume,Tags=[{Key=rehome:group,Value=%s}]"
        assert "UnauthorizedOperation" in session.cli(*make, tag % "another").stderr
        made = session.cli(*make, tag % "orders-db").answer
        assert made["VolumeId"].startswith("vol-")
        assert "AccessDenied" in session.cli("sqs", "list-queues").stderr
        assert "AccessDenied" in session.cli("cloudwatch", "describe-alarms").stderr
        assert "AccessDenied" in session.cli("autoscaling", "describe-tags").stderr


@pytest.mark.parametrize(
    ("text", "says"), [("{", "policy"), ('{"Statement": [{"Effect": "Allow", "NotAction": "*"}]}', "NotAction")]
)
def test_a_region_refuses_a_policy_it_cannot_enforce(tmp_path, text, says):
    file = tmp_path / "policy.json"
    file.write_text(text)
    ended = run([REHOME, "region", "--listen", "127.0.0.1:0", "--policy", file], env=aws.environment())
    assert ended.returncode == 2
    assert str(file) in ended.stderr and says in ended.stderr
