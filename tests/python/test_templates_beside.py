"""The policies of the templates that stand beside rehome's own: what does
parliament say, which knows AWS's service authorization reference?"""

import json
import warnings

import pytest
from support.template import ACCOUNT, REGION, Stack, Template
from test_templates_policies import INSTANCE, KEY_ID, MADE, PAIR, controlled

with warnings.catch_warnings():
    # It asks setuptools for its own data, which setuptools does not like.
    warnings.simplefilter("ignore")
    from parliament import analyze_policy_string


def documents(stack):
    """All policies of roles, by the role's or the policy's own name."""
    for name, of in stack.resources().items():
        if of["Type"] == "AWS::IAM::RolePolicy":
            yield name, of["Properties"]
        elif of["Type"] == "AWS::IAM::Role":
            yield from ((name, policy) for policy in of["Properties"]["Policies"])


@pytest.mark.parametrize("name", ["stateful-instance", "standby-pair", "controller"])
def test_parliament_has_nothing_to_say_of_what_stands_beside_it(name):
    """Of rehome's own policy, test_iam_policy.py asks it."""
    package = {"PackageUrl": "s3://artifacts/rehome-0.1.0-1.x86_64.rpm", "PackageSha256": "0" * 64}
    given = {"stateful-instance": INSTANCE | package, "standby-pair": PAIR | package, "controller": controlled()[1]}[name]
    arns = {"Key": f"kms:{REGION}:{ACCOUNT}:key/{KEY_ID}", "Queue": f"sqs:{REGION}:{ACCOUNT}:queue"}
    arns |= {log: f"logs:{REGION}:{ACCOUNT}:log-group:log:*" for log in ("Log", "SnapshotAgeLog")}
    made = MADE | {f"{resource}.Arn": f"arn:aws:{arn}" for resource, arn in arns.items()}
    beside = [one for one in documents(Stack(Template(name), given, made)) if one[1]["PolicyName"] != "rehome"]
    assert {policy["PolicyName"] for _, policy in beside} == {
        "stateful-instance": {"configuration", "package", "snapshot-age"},
        "standby-pair": {"configuration", "package", "snapshot-age"},
        "controller": {"function"},
    }[name]
    for resource, policy in beside:
        found = analyze_policy_string(json.dumps(policy["PolicyDocument"])).findings
        assert found == [], (resource, policy["PolicyName"])


def test_parliament_would_find_a_fault():
    """Or the test above would be worth nothing."""
    [policy] = [one for name, one in documents(Stack(Template("standby-pair"), PAIR)) if name == "InstanceRole"]
    text = json.dumps(policy["PolicyDocument"])
    assert "ssm:GetParameter" in text
    assert analyze_policy_string(text.replace("ssm:GetParameter", "ssm:GetParam")).findings != []
