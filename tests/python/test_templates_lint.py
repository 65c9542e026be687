"""What do cfn-lint and checkov say of the templates, and are these what they
promise to be: harmless to data, and closed?"""

import json
import os
import shutil
import sys

import pytest
import yaml
from cfnlint.helpers import REGIONS
from cfnlint.schema import PROVIDER_SCHEMA_MANAGER as SCHEMAS
from support.aws import environment
from support.process import PROJECT, run
from support.template import FOLDER, NAMES, Stack, Template

# Linted in full, which takes a while in each: where most accounts live, one of
# each other partition, and the newest.
LINTED = ["us-east-1", "us-west-2", "eu-west-1", "eu-central-1", "ap-northeast-1", "us-gov-west-1", "cn-north-1"]
LINTED += ["eusc-de-east-1", "ap-southeast-7"]
CHECKOV = os.environ.get("CHECKOV_BIN") or str(PROJECT / ".cache/checkov/bin/checkov")
# What CloudFormation takes as text, without a bucket.
LONGEST = 51_200
KEEPS = {"Retain", "RetainExceptOnCreate"}


def test_there_are_no_other_templates():
    assert sorted(path.stem for path in FOLDER.glob("*.yaml")) == sorted(NAMES)


def test_cfn_lint_has_nothing_to_say():
    program = "import sys; from cfnlint.runner import main; sys.exit(main())"
    files = [f"{name}.yaml" for name in NAMES]
    command = [sys.executable, "-c", program, "--regions", *LINTED, "--template", *files]
    ended = run(command, env=environment(), cwd=FOLDER)
    assert ended.returncode == 0 and ended.stdout == "", ended.stdout + ended.stderr


def test_every_region_has_all_that_the_templates_are_made_of():
    kinds = {of["Type"] for name in NAMES for of in Template(name).resources.values()}
    # Of the isolated partitions nobody outside knows it.
    open_to_all = [region for region in REGIONS if "iso" not in region]
    assert len(open_to_all) > 35 and set(LINTED) <= set(open_to_all)
    for region in open_to_all:
        assert kinds <= set(SCHEMAS.get_resource_types(region)), region


@pytest.mark.parametrize("name", NAMES)
def test_checkov_has_nothing_to_say_but_what_is_explained(name):
    if not shutil.which(CHECKOV):
        pytest.skip(f"LEFT OUT: checkov: {CHECKOV} is not there; tests/run installs it")
    # It fetches nothing. By a short name, since it takes a long path for a secret.
    command = [CHECKOV, "--framework", "cloudformation", "--skip-download", "--output", "json"]
    ended = run([*command, "--file", f"{name}.yaml"], env=environment(), cwd=FOLDER)
    assert ended.returncode == 0, ended.stdout + ended.stderr
    results = json.loads(ended.stdout)["results"]
    assert results["failed_checks"] == [] and results["parsing_errors"] == []
    assert len(results["passed_checks"]) > 10
    left_out = {
        (one["resource"].split(".")[-1], one["check_id"]): one["check_result"]["suppress_comment"]
        for one in results["skipped_checks"]
    }
    explained = {
        (resource, skip["id"]): skip["comment"]
        for resource, of in Template(name).resources.items()
        for skip in of.get("Metadata", {}).get("checkov", {}).get("skip", [])
    }
    assert set(left_out) == set(explained), "each suppression suppresses something, and is written down"
    assert all(len(why) > 40 for why in explained.values())


@pytest.mark.parametrize("name", NAMES)
def test_no_stack_can_touch_a_volume_or_a_snapshot(name):
    template = Template(name)
    kinds = {of["Type"] for of in template.resources.values()}
    for kind in kinds:
        assert not kind.startswith(("AWS::EC2::Volume", "AWS::EC2::Snapshot", "AWS::DLM::", "AWS::Backup::")), kind
        assert not kind.startswith(("Custom::", "AWS::CloudFormation::Custom")), kind
    # No data volume in a launch template: another blank one at every launch.
    for of in template.of_type("AWS::EC2::LaunchTemplate").values():
        assert "BlockDeviceMappings" not in of["Properties"]["LaunchTemplateData"]
    for of in template.of_type("AWS::EC2::Instance").values():
        assert not {"BlockDeviceMappings", "Volumes"} & set(of["Properties"])
        assert of["UpdateReplacePolicy"] == "Retain"
    # The address is in other people's configurations.
    for of in template.of_type("AWS::EC2::EIP").values():
        assert of["DeletionPolicy"] == "RetainExceptOnCreate" and of["UpdateReplacePolicy"] == "Retain"
    # Nobody may delete copies in CloudFormation's name.
    text = (FOLDER / f"{name}.yaml").read_text()
    assert "RoleARN" not in text and "aws:cloudformation" not in text


@pytest.mark.parametrize("name", NAMES)
def test_it_can_be_deployed_as_it_is(name):
    path = FOLDER / f"{name}.yaml"
    assert path.stat().st_size <= LONGEST
    text = path.read_text()
    # CloudFormation's YAML has neither.
    tokens = {type(token).__name__ for token in yaml.scan(text)}
    assert not {"AnchorToken", "AliasToken"} & tokens
    assert all(len(of) <= 4096 for of in inline_code(Template(name)))


def inline_code(template):
    for of in template.of_type("AWS::Lambda::Function").values():
        if "ZipFile" in of["Properties"]["Code"]:
            yield of["Properties"]["Code"]["ZipFile"]


def test_both_templates_ask_for_the_age_of_snapshots_in_the_same_way():
    [one], [other] = (list(inline_code(Template(name))) for name in NAMES[:2])
    assert one == other


def test_the_group_is_of_one_with_its_hooks_from_the_beginning():
    [group] = Template("stateful-instance").of_type("AWS::AutoScaling::AutoScalingGroup").values()
    of = group["Properties"]
    assert [of[key] for key in ("MinSize", "MaxSize", "DesiredCapacity")] == ["1", "1", "1"]
    assert of["AvailabilityZoneDistribution"] == {"CapacityDistributionStrategy": "balanced-best-effort"}
    hooks = {hook["LifecycleTransition"].split("_")[-1]: hook for hook in of["LifecycleHookSpecificationList"]}
    assert hooks["LAUNCHING"]["DefaultResult"] == "ABANDON"
    assert hooks["TERMINATING"]["DefaultResult"] == "CONTINUE"
    assert all("rehome" in hook["LifecycleHookName"] for hook in hooks.values())
    assert Template("stateful-instance").parameters["HookTimeout"]["MinValue"] >= 300
    assert "AutoScalingRollingUpdate" not in group["UpdatePolicy"]


@pytest.mark.parametrize("name", NAMES[:2])
def test_the_metadata_service_is_of_version_2_with_tags(name):
    [of] = Template(name).of_type("AWS::EC2::LaunchTemplate").values()
    options = of["Properties"]["LaunchTemplateData"]["MetadataOptions"]
    assert options["HttpTokens"] == "required" and options["InstanceMetadataTags"] == "enabled"


def services(name, region, partition):
    """Of the endpoints that a stack there makes, as the AWS CDK has them in its list."""
    given = {"Endpoints": "yes", "RouteTableIds": "rtb-0123abcd", "Address": "none", "SubnetKind": "private"}
    given |= {"Name": "orders-db", "VpcId": "v", "SubnetA": "a", "SubnetB": "b", "PrimarySubnet": "a"}
    stack = Stack(Template(name), given | {"StandbySubnet": "b"}, region=region, partition=partition)
    made = [of["Properties"] for of in stack.resources().values() if of["Type"] == "AWS::EC2::VPCEndpoint"]
    return {of["ServiceName"] for of in made}


def test_endpoints_are_called_as_the_region_calls_them():
    europe = {f"com.amazonaws.eu-west-1.{name}" for name in ("ec2", "autoscaling", "monitoring", "s3")}
    assert services("stateful-instance", "eu-west-1", "aws") == europe
    china = {f"cn.com.amazonaws.cn-north-1.{name}" for name in ("ec2", "autoscaling", "monitoring")}
    assert services("stateful-instance", "cn-north-1", "aws-cn") == china | {"com.amazonaws.cn-north-1.s3"}
    others = {f"com.amazonaws.cn-north-1.{name}" for name in ("ssm", "s3")}
    china = {f"cn.com.amazonaws.cn-north-1.{name}" for name in ("ec2", "monitoring")}
    assert services("standby-pair", "cn-north-1", "aws-cn") == china | others


@pytest.mark.parametrize("name", NAMES[:2])
def test_nobody_is_let_in(name):
    for resource, of in Template(name).of_type("AWS::EC2::SecurityGroup").items():
        for rule in of["Properties"].get("SecurityGroupIngress", []):
            assert resource == "EndpointSecurityGroup" and "CidrIp" not in rule


@pytest.mark.parametrize("name", NAMES)
def test_every_alarm_says_what_missing_data_means_and_somebody_hears_it(name):
    for resource, of in Template(name).of_type("AWS::CloudWatch::Alarm").items():
        alarm, pair = of["Properties"], name == "standby-pair" and resource.endswith("Check")
        wanted = "breaching" if resource in ("SnapshotAge", "NotCalled") or pair else "notBreaching"
        assert alarm["TreatMissingData"] == wanted, resource
        assert alarm["AlarmDescription"]
        # A stopped standby's would never be silent.
        silent = pair and resource.startswith("Standby")
        assert ("AlarmActions" in alarm) == ("OKActions" in alarm) == (not silent), resource


def test_eventbridge_gets_into_the_encrypted_queue_and_nobody_else_does():
    of = {name: one["Properties"] for name, one in Template("controller").resources.items()}
    for queue in ("Queue", "DeadLetters"):
        assert of[queue]["KmsMasterKeyId"] == {"Fn::GetAtt": ["Key", "Arn"]}
        allowed = [one for one in of[f"{queue}Policy"]["PolicyDocument"]["Statement"] if one["Effect"] == "Allow"]
        assert [(one["Principal"], one["Action"]) for one in allowed] == [
            ({"Service": "events.amazonaws.com"}, "sqs:SendMessage")
        ]
        assert all("aws:SourceArn" in condition for one in allowed for condition in one["Condition"].values())
    services = [one for one in of["Key"]["KeyPolicy"]["Statement"] if "Service" in one["Principal"]]
    [events] = services
    assert events["Principal"] == {"Service": "events.amazonaws.com"}
    assert sorted(events["Action"]) == ["kms:Decrypt", "kms:GenerateDataKey"]
    # Every rule is named so that it fits the conditions, and one calls in any case.
    rules = Template("controller").of_type("AWS::Events::Rule")
    named = [one["Properties"]["Name"]["Fn::Sub"] for one in rules.values()]
    assert all(name.startswith("${AWS::StackName}-") for name in named)
    heard = {arn["Fn::GetAtt"][0] for arn in allowed_rules(of["QueuePolicy"])}
    assert heard == set(rules)
    assert [name for name, one in rules.items() if "ScheduleExpression" in one["Properties"]] == ["EveryFiveMinutes"]


def allowed_rules(policy):
    [statement] = [one for one in policy["PolicyDocument"]["Statement"] if one["Effect"] == "Allow"]
    return statement["Condition"]["ArnEquals"]["aws:SourceArn"]


def test_the_queue_outlasts_the_function():
    template = Template("controller")
    function = template.resources["Function"]["Properties"]
    queue = template.resources["Queue"]["Properties"]
    mapping = template.resources["Mapping"]["Properties"]
    assert queue["VisibilityTimeout"] >= 6 * function["Timeout"]
    assert queue["RedrivePolicy"]["maxReceiveCount"] >= 5
    assert mapping["FunctionResponseTypes"] == ["ReportBatchItemFailures"]
    assert mapping["BatchSize"] == 10 and mapping["ScalingConfig"] == {"MaximumConcurrency": 2}
    assert function["Runtime"] == "provided.al2023"
    for rule, of in template.of_type("AWS::Events::Rule").items():
        [target] = of["Properties"]["Targets"]
        assert target["DeadLetterConfig"] and target["Arn"] == {"Fn::GetAtt": ["Queue", "Arn"]}, rule
