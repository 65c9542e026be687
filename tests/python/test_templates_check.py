"""Does `rehome check` find a failover possible on what a stack made, and not a
thing to mend but what moto does not keep?"""

import json

import pytest
from support.cbor import interpreter
from support.process import LONG
from support.stack import GROUP, PAIR, a_pair, an_instance, configuration, member, rehome, without_mount

# moto launches instances without the role and the metadata options of their
# template; test_templates_lint.py has seen both there.
LOST = {"metadata", "role"}
# AWS itself cannot be asked: docs/checking.md.
NEVER_KNOWN = {"encryption", "allowed"}


@pytest.fixture
def aws(moto):
    with interpreter(moto) as proxy:
        yield proxy.url


def checked(url, file):
    """How it ended, and what it found of each verdict."""
    ended = rehome(url, file, "check", "--json")
    [report] = json.loads(ended.stdout)["groups"]
    assert (ended.returncode == 0) == report["works"], ended.stderr
    found = {"right": {}, "warning": {}, "wrong": {}, "unknown": {}}
    for finding in report["findings"]:
        found[finding["verdict"]].setdefault(finding["check"], []).append(finding["says"])
    return report["works"], found


def settled(url, file, imds):
    ended = rehome(url, file, "bootstrap", "--timeout", LONG, imds=imds)
    assert ended.returncode == 0, ended.stdout + ended.stderr


def taken(url, file, group):
    ended = rehome(url, file, "snapshot", group, "--wait")
    assert ended.returncode == 0, ended.stdout + ended.stderr


def test_a_failover_would_work_on_what_the_stack_made(moto, aws, imds, tmp_path):
    stack = an_instance(moto, tmp_path)
    file = without_mount(configuration(moto, stack.outputs()["ConfigurationParameter"], tmp_path))
    first = member(moto)
    imds.become(first["InstanceId"], first["AvailabilityZone"])
    settled(aws, file, imds)
    works, found = checked(aws, file)
    assert set(found["wrong"]) | set(found["warning"]) <= LOST | {"snapshot-age"}, found

    taken(aws, file, GROUP)
    works, found = checked(aws, file)
    assert works and not found["wrong"], found
    assert set(found["warning"]) == LOST and set(found["unknown"]) == NEVER_KNOWN, found
    right = found["right"]
    assert {"launch-hook", "terminate-hook", "size", "zones", "subnets", "distribution", "processes"} <= set(right)
    assert {"template-volumes", "template-role", "template-metadata", "user-data", "public-address"} <= set(right)
    assert {"volume", "delete-on-termination", "snapshot-age", "objectives", "address"} <= set(right)
    assert len(right["alarm"]) == 3, found


def test_a_failover_would_work_on_the_pair_that_the_stack_made(moto, aws, imds, tmp_path):
    outputs = a_pair(moto, tmp_path).outputs()
    file = without_mount(configuration(moto, outputs["ConfigurationParameter"], tmp_path))
    moto.ec2.stop_instances(InstanceIds=[outputs["Standby"]])
    imds.become(outputs["Primary"], "us-east-1a")
    settled(aws, file, imds)
    taken(aws, file, PAIR)
    works, found = checked(aws, file)
    assert works and not found["wrong"], found
    # A person protects the members once the stack stands: docs/deploying.md.
    assert set(found["warning"]) == LOST | {"protection"} and set(found["unknown"]) <= NEVER_KNOWN, found
    assert {"members", "root-volume", "pair-zones", "reach", "snapshot-age", "address"} <= set(found["right"])
    assert len(found["right"]["alarm"]) == 6, found


def test_what_somebody_took_away_is_missed(moto, aws, imds, tmp_path):
    stack = an_instance(moto, tmp_path)
    file = without_mount(configuration(moto, stack.outputs()["ConfigurationParameter"], tmp_path))
    first = member(moto)
    imds.become(first["InstanceId"], first["AvailabilityZone"])
    settled(aws, file, imds)
    taken(aws, file, GROUP)
    moto.autoscaling.delete_lifecycle_hook(AutoScalingGroupName=GROUP, LifecycleHookName="rehome-terminate")
    moto.cloudwatch.delete_alarms(AlarmNames=[f"{GROUP}-system-check"])
    works, found = checked(aws, file)
    assert not works and set(found["wrong"]) >= {"terminate-hook"}, found
    missed = found["wrong"].get("alarm", []) + found["warning"].get("alarm", [])
    assert any(f"{GROUP}-system-check" in says for says in missed), found
