"""Wrong parameters are refused by the template, not at three in the morning.

The judge is `support/template.py`, which reads the template's own patterns,
bounds and rules; what it says of good and bad values is the table here.
"""

import pytest
from support.template import ACCOUNT, NAMES, Template

SUBNETS = {
    "subnet-0000000a": {"AvailabilityZone": "us-east-1a", "VpcId": "vpc-01234567"},
    "subnet-0000000b": {"AvailabilityZone": "us-east-1b", "VpcId": "vpc-01234567"},
    "subnet-000000aa": {"AvailabilityZone": "us-east-1a", "VpcId": "vpc-01234567"},
    "subnet-0000000f": {"AvailabilityZone": "us-east-1b", "VpcId": "vpc-0fffffff"},
}
KEY = f"arn:aws:kms:us-east-1:{ACCOUNT}:key/11111111-2222-3333-4444-555555555555"
SUM = "0123456789abcdef" * 4
GOOD = {
    "stateful-instance": {
        "Name": "orders-db",
        "VpcId": "vpc-01234567",
        "SubnetA": "subnet-0000000a",
        "SubnetB": "subnet-0000000b",
    },
    "standby-pair": {
        "Name": "gateway",
        "VpcId": "vpc-01234567",
        "PrimarySubnet": "subnet-0000000a",
        "StandbySubnet": "subnet-0000000b",
    },
    "controller": {
        "ConfigurationParameter": "/rehome/orders-db",
        "Group": "orders-db",
        "CodeBucket": "artifacts",
        "CodeKey": "rehome/0.1.0/rehome-lambda-x86_64.zip",
    },
}
# Of the two templates with instances.
BOTH_GOOD = [
    {"QuiesceTimeout": "1800"},
    {"RecoveryPoint": "24h", "NotifyEmail": "ops+db@example.co.uk"},
    {"Address": "eipalloc-0123456789abcdef0"},
    {"Address": "none", "SubnetKind": "private", "Endpoints": "yes", "RouteTableIds": "rtb-0123abcd,rtb-0123abce"},
    {"SecurityGroupIds": "sg-0123abcd,sg-0123456789abcdef0"},
    {"PackageUrl": "https://example.com/v0.1.0/rehome_0.1.0-1_amd64.deb", "PackageSha256": SUM},
    {"PackageUrl": "s3://artifacts/rehome/rehome-0.1.0-1.x86_64.rpm", "PackageSha256": SUM},
    {"MountPoint": "/var/lib/postgresql", "Units": "postgresql@15-main.service", "HealthCommand": "pg_isready,-q"},
    {"MountPoint": "/srv/my.data/a_b-c", "Device": "/dev/sdp", "VolumeName": "wal-2"},
    {"VolumeType": "io2", "VolumeIops": "20000", "VolumeSize": "65536", "VolumeKeyArn": KEY},
    {"InstanceType": "m7g.16xlarge"},
    {"InstanceType": "u-6tb1.metal"},
    {"Setup": "dnf install -y postgresql15-server\nsystemctl disable postgresql"},
]
BOTH_BAD = [
    ({"Name": ""}, "Name must be"),
    ({"Name": "Orders DB"}, "Name must be"),
    ({"Name": "-orders"}, "Name must be"),
    ({"Name": "orders\n"}, "Name must be"),
    ({"Name": 'a"]\n[wake]'}, "Name must be"),
    ({"Name": "a" * 42}, "Name must be"),
    ({"RecoveryPoint": "15m"}, "RecoveryPoint must be one of"),
    ({"NotifyEmail": "ops"}, "NotifyEmail must be"),
    ({"VpcId": "subnet-0000000a"}, "VpcId must be"),
    ({"SubnetKind": "both"}, "SubnetKind must be one of"),
    ({"Address": "198.51.100.7"}, "Address must be"),
    ({"Address": "eipassoc-0123456789abcdef0"}, "Address must be"),
    ({"SecurityGroupIds": "sg-0123abcd, sg-0123abce"}, "SecurityGroupIds must be"),
    ({"SecurityGroupIds": ",".join(["sg-0123abcd"] * 5)}, "SecurityGroupIds must be"),
    ({"RouteTableIds": "rtb-xyz"}, "RouteTableIds must be"),
    ({"VolumeName": "Data"}, "VolumeName must be"),
    ({"Device": "/dev/sda1"}, "Device must be"),
    ({"Device": "/dev/nvme1n1"}, "Device must be"),
    ({"Device": "/dev/sdf1"}, "Device must be"),
    ({"MountPoint": "/"}, "MountPoint must be"),
    ({"MountPoint": "srv/data"}, "MountPoint must be"),
    ({"MountPoint": "/srv/data/"}, "MountPoint must be"),
    ({"MountPoint": "/srv/../etc"}, "MountPoint must be"),
    ({"MountPoint": "/srv//data"}, "MountPoint must be"),
    ({"MountPoint": "/srv/$(reboot)"}, "MountPoint must be"),
    ({"MountPoint": "/srv/a'b"}, "MountPoint must be"),
    ({"Filesystem": "btrfs"}, "Filesystem must be one of"),
    ({"VolumeSize": "0"}, "VolumeSize is out of bounds"),
    ({"VolumeSize": "65537"}, "VolumeSize is out of bounds"),
    ({"VolumeSize": "20 GiB"}, "VolumeSize must be a number"),
    ({"VolumeType": "gp2"}, "VolumeType must be one of"),
    ({"VolumeIops": "100"}, "VolumeIops is out of bounds"),
    ({"VolumeThroughput": "64"}, "VolumeThroughput is out of bounds"),
    ({"VolumeKeyArn": "alias/data"}, "VolumeKeyArn must be"),
    ({"KeepSnapshots": "0"}, "KeepSnapshots is out of bounds"),
    ({"InstanceType": "t3"}, "InstanceType must be"),
    ({"PackageUrl": "http://example.com/rehome.rpm", "PackageSha256": SUM}, "PackageUrl must be"),
    ({"PackageUrl": "https://example.com/rehome.tar.gz", "PackageSha256": SUM}, "PackageUrl must be"),
    ({"PackageUrl": "https://example.com/'; reboot;'.rpm", "PackageSha256": SUM}, "PackageUrl must be"),
    ({"PackageUrl": "https://example.com/rehome.rpm"}, "PackageUrl needs PackageSha256"),
    ({"PackageSha256": SUM}, "PackageSha256 without PackageUrl"),
    ({"PackageUrl": "https://example.com/rehome.rpm", "PackageSha256": SUM.upper()}, "PackageSha256 must be"),
    ({"PackageUrl": "https://example.com/rehome.rpm", "PackageSha256": SUM[1:]}, "PackageSha256 must be"),
    ({"Units": "postgresql"}, "Units must be"),
    ({"Units": "a.service, b.service"}, "Units must be"),
    ({"Units": "../../a.service"}, "Units must be"),
    ({"Units": "a.service", "HealthCommand": "pg_isready -q"}, "HealthCommand must be"),
    ({"HealthCommand": "pg_isready,-q"}, "HealthCommand needs Units"),
    ({"SubnetKind": "private"}, "In private subnets nobody could reach an Elastic IP"),
    ({"Setup": "x" * 2001}, "Setup is too long"),
    ({"QuiesceTimeout": "29"}, "QuiesceTimeout is out of bounds"),
    ({"QuiesceTimeout": "1801"}, "QuiesceTimeout is out of bounds"),
    ({"Volumen": "20"}, "Volumen is no parameter"),
]
ONE_GOOD = {
    "stateful-instance": [
        {"SubnetC": "subnet-0123456789abcdef0"},
        {"ReplacementOrder": "launch-first", "HookTimeout": "7200"},
    ],
    "standby-pair": [{"Volume": "no"}],
    "controller": [
        {"Kind": "pair", "Primary": "i-0123456789abcdef0", "Standby": "i-0123abcd"},
        {"Volumes": "none", "AllocationId": "eipalloc-0123abcd"},
        {"Volumes": "several", "KeyArn": KEY, "Alarms": "no"},
        {"ReservedConcurrency": "0", "LogRetention": "365", "Architecture": "arm64", "CodeVersion": "3HL4kqtJvjVBH40N"},
        {"TopicArn": f"arn:aws-us-gov:sns:us-gov-west-1:{ACCOUNT}:orders-People-1A2B"},
    ],
}
ONE_BAD = {
    "stateful-instance": [
        ({"SubnetB": "subnet-000000aa"}, "are in the same Availability Zone"),
        ({"SubnetB": "subnet-0000000f"}, "must be subnets of VpcId"),
        ({"SubnetC": "subnet-0000000a,subnet-0000000b"}, "SubnetC must be"),
        ({"HookTimeout": "60"}, "HookTimeout is out of bounds"),
        ({"HookTimeout": "7201"}, "HookTimeout is out of bounds"),
        ({"ReplacementOrder": "whatever"}, "ReplacementOrder must be one of"),
    ],
    "standby-pair": [
        ({"StandbySubnet": "subnet-000000aa"}, "are in the same Availability Zone"),
        ({"StandbySubnet": "subnet-0000000f"}, "must be subnets of VpcId"),
        ({"Volume": "no", "Address": "none"}, "there is nothing that could move"),
        ({"Volume": "perhaps"}, "Volume must be one of"),
    ],
    "controller": [
        ({"Group": "a,b"}, "Group must be"),
        ({"Group": ""}, "Group must be"),
        ({"Kind": "pair"}, "needs Primary and Standby"),
        ({"Kind": "pair", "Primary": "i-0123abcd"}, "needs Primary and Standby"),
        ({"Kind": "pair", "Primary": "i-0123abcd", "Standby": "i-0123abcd"}, "needs Primary and Standby"),
        ({"Primary": "i-0123abcd"}, "leave Primary and Standby empty"),
        ({"Volumes": "none"}, "there is nothing that could move"),
        ({"Volumes": "none", "AllocationId": "eipalloc-0123abcd", "KeyArn": KEY}, "KeyArn is of a volume"),
        ({"Volumes": "two"}, "Volumes must be one of"),
        ({"AllocationId": "198.51.100.7"}, "AllocationId must be"),
        ({"KeyArn": f"arn:aws:kms:us-east-1:{ACCOUNT}:alias/data"}, "KeyArn must be"),
        ({"CodeBucket": "My_Bucket"}, "CodeBucket must be"),
        ({"CodeKey": "bootstrap"}, "CodeKey must be"),
        ({"Architecture": "riscv"}, "Architecture must be one of"),
        ({"ReservedConcurrency": "1"}, "two or more, or none"),
        ({"ReservedConcurrency": "-1"}, "ReservedConcurrency is out of bounds"),
        ({"LogRetention": "7"}, "LogRetention must be one of"),
        ({"LogLevel": "loud"}, "LogLevel must be one of"),
        ({"TopicArn": "people"}, "TopicArn must be"),
    ],
}


def cases(both, one):
    for name in NAMES:
        yield from ((name, case) for case in (both if name != "controller" else []) + one[name])


@pytest.fixture(scope="module")
def template():
    templates = {name: Template(name) for name in NAMES}
    return templates.__getitem__


@pytest.mark.parametrize("name", NAMES)
def test_what_is_needed_suffices_and_is_needed(template, name):
    assert template(name).refusals(GOOD[name], SUBNETS) == []
    for parameter in GOOD[name]:
        less = {key: value for key, value in GOOD[name].items() if key != parameter}
        assert template(name).refusals(less, SUBNETS) == [f"{parameter} is needed"]


@pytest.mark.parametrize(("name", "given"), cases(BOTH_GOOD, ONE_GOOD))
def test_good_parameters_are_taken(template, name, given):
    assert template(name).refusals(GOOD[name] | given, SUBNETS) == []


@pytest.mark.parametrize(("name", "case"), cases(BOTH_BAD, ONE_BAD))
def test_bad_parameters_are_refused_with_a_reason(template, name, case):
    given, why = case
    refusals = template(name).refusals(GOOD[name] | given, SUBNETS)
    assert len(refusals) == 1 and why in refusals[0], refusals


@pytest.mark.parametrize("name", NAMES)
def test_every_bound_has_a_case_and_every_parameter_a_place(template, name):
    """A parameter without a bad case would be one that nobody thought through."""
    body = template(name)
    tried = {key for given, _ in (BOTH_BAD if name != "controller" else []) + ONE_BAD[name] for key in given}
    free = {"ConfigurationParameter", "ImageId", "CodeVersion", "SubnetA", "PrimarySubnet"}
    free |= {key for key, of in body.parameters.items() if of.get("AllowedValues") == ["yes", "no"]}
    assert set(body.parameters) - tried <= free
    groups = body.body["Metadata"]["AWS::CloudFormation::Interface"]["ParameterGroups"]
    shown = [parameter for group in groups for parameter in group["Parameters"]]
    assert sorted(shown) == sorted(body.parameters)
    for key, of in body.parameters.items():
        assert of["Description"].endswith((".", "?")), key
        if "AllowedPattern" in of and key != "CodeVersion":
            assert of["ConstraintDescription"], key
