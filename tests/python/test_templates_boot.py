"""The user data of a stack, run for real: on a machine with a disk, with
rehome's own units, as far as they can be had without systemd."""

import base64
import hashlib
import json
import re
import subprocess
import sys

import pytest
from support.aws import environment, until
from support.disk import Machine
from support.process import PATIENCE, PROJECT, REHOME
from support.stack import MotoStack, a_pair, network
from support.template import Stack, Template

GROUP = "orders-db"
URL = "https://example.com/v0.1.0/rehome-0.1.0-1.x86_64.rpm"
PACKAGE = b"a package"
# Everything the script calls that would leave this machine or change it.
CURL = """#!/bin/sh
for word; do last=$word; done
case " $* " in
*" --data-binary "*)
    while [ "$1" != --data-binary ]; do shift; done
    printf %s "$2" >"$WORLD/told" ;;
*" --output "*)
    while [ "$1" != --output ]; do shift; done
    echo "$last" >"$WORLD/downloaded"
    cp "$WORLD/package" "$2" ;;
*" -X PUT "*/api/token*) printf a-token ;;
*X-aws-ec2-metadata-token*/tags/instance/part*) printf %s "$PART" ;;
esac
"""
AWS = """#!/bin/sh
exec {python} -m awscli --endpoint-url {url} "$@"
"""
SYSTEMD_RUN = """#!/bin/sh
echo "systemd-run $*" >>"$WORLD/systemctl"
"""
RPM = """#!/bin/sh
echo "$*" >"$WORLD/installed"
"""
SYSTEMCTL = """#!/bin/sh
echo "$*" >>"$WORLD/systemctl"
units=$(dirname "$0")/units
case $* in
"start rehome-bootstrap.service") exec "$REHOME" bootstrap --config /etc/rehome.toml --timeout 5m ;;
is-active*) shift; for unit; do if [ -e "$units/$unit" ]; then echo active; else echo inactive; fi; done ;;
"start --no-block "*) ;;
start*) : >"$units/$2" ;;
stop*) rm -f "$units/$2" ;;
esac
"""
# /etc as this machine has it, and nobody else sees what becomes of it.
WITH_ETC = 'cp -a /etc/. "$WORLD/etc" && mount --bind "$WORLD/etc" /etc && exec bash "$WORLD/user-data"'


class Booting:
    """An instance whose cloud-init runs the user data."""

    def __init__(self, machine, folder, script, **environ):
        self.machine, self.world = machine, folder / "world"
        (self.world / "etc").mkdir(parents=True)
        (self.world / "user-data").write_text(script)
        (self.world / "package").write_bytes(PACKAGE)
        aws = AWS.format(python=sys.executable, url=environ.get("AWS_ENDPOINT_URL"))
        programs = {"curl": CURL, "rpm": RPM, "systemctl": SYSTEMCTL, "systemd-run": SYSTEMD_RUN, "aws": aws}
        for name, text in programs.items():
            (machine.folder / "bin" / name).write_text(text)
            (machine.folder / "bin" / name).chmod(0o755)
        self.environ = environment(PATH=machine.path, WORLD=str(self.world), REHOME=REHOME, HOSTNAME="i-me", **environ)

    def __enter__(self):
        self.said = open(self.world / "said", "w+")
        command = self.machine.inside("sh", "-c", WITH_ETC)
        self.process = subprocess.Popen(
            command, env=self.environ, stdin=subprocess.DEVNULL, stdout=self.said, stderr=subprocess.STDOUT
        )
        return self

    def __exit__(self, *_):
        self.process.kill()
        self.process.wait()
        self.said.close()

    def ends(self):
        code = self.process.wait(PATIENCE)
        return code, (self.world / "said").read_text()

    def read(self, name):
        path = self.world / name
        return path.read_text() if path.exists() else None

    def told(self):
        return json.loads(self.read("told"))


@pytest.fixture
def machine(tmp_path):
    with Machine(tmp_path / "machine") as machine:
        yield machine


def given(net, **more):
    return {
        "Name": GROUP,
        "VpcId": net["vpc"],
        "SubnetA": net["one"],
        "SubnetB": net["two"],
        "ImageId": "/test/image",
        "VolumeSize": "4",
        "PackageUrl": URL,
        "PackageSha256": hashlib.sha256(PACKAGE).hexdigest(),
        "Units": "postgresql.service",
        "HealthCommand": "true",
        "Setup": 'echo "set up in $AWS_REGION"',
    } | more


def handed_out(moto):
    """The user data as EC2 hands it to the instance."""
    [template] = moto.ec2.describe_launch_templates()["LaunchTemplates"]
    [version] = moto.ec2.describe_launch_template_versions(LaunchTemplateId=template["LaunchTemplateId"])[
        "LaunchTemplateVersions"
    ]
    return base64.b64decode(version["LaunchTemplateData"]["UserData"]).decode()


def test_the_first_boot_of_a_stack_ends_with_the_data_in_its_place(moto, imds, machine, tmp_path):
    stack = MotoStack(
        moto, tmp_path, "stateful-instance", "orders", given(network(moto), MountPoint=str(machine.point))
    )
    script = handed_out(moto)
    [group] = moto.autoscaling.describe_auto_scaling_groups()["AutoScalingGroups"]
    [member] = group["Instances"]
    imds.become(member["InstanceId"], member["AvailabilityZone"])
    device = machine.disk()
    here = {
        "AWS_ENDPOINT_URL": moto.url,
        "AWS_EC2_METADATA_SERVICE_ENDPOINT": imds.url,
        "AWS_EC2_METADATA_DISABLED": None,
    }
    filters = [{"Name": "tag:rehome:group", "Values": [GROUP]}]
    with Booting(machine, tmp_path, script, **here) as booting:
        [volume] = until(
            lambda: moto.ec2.describe_volumes(Filters=filters)["Volumes"] or booting.process.poll(), "the blank volume"
        )
        machine.plug(device, volume["VolumeId"])
        code, said = booting.ends()
    assert code == 0, said
    assert booting.told()["Status"] == "SUCCESS" and booting.told()["UniqueId"] == "i-me", said
    assert booting.read("downloaded").strip() == URL and booting.read("installed"), said
    assert "set up in us-east-1" in said
    assert machine.units() == ["postgresql.service"]
    drop_in = booting.read("etc/systemd/system/postgresql.service.d/10-rehome.conf")
    assert f"AssertPathIsMountPoint={machine.point}\n" in drop_in
    text = stack.resolved().properties("Configuration")["Value"]
    assert booting.read("etc/rehome.toml").strip() == text.strip()
    [volume] = moto.ec2.describe_volumes(Filters=filters)["Volumes"]
    assert [held["InstanceId"] for held in volume["Attachments"]] == [member["InstanceId"]]
    [address] = moto.ec2.describe_addresses()["Addresses"]
    assert address["InstanceId"] == member["InstanceId"]


@pytest.mark.parametrize("part", ["primary", "standby"])
def test_each_member_of_a_pair_does_its_part(moto, imds, machine, tmp_path, part):
    outputs = a_pair(moto, tmp_path, Volume="no").outputs()
    imds.become(outputs["Primary"], "us-east-1a")
    here = {
        "AWS_ENDPOINT_URL": moto.url,
        "AWS_EC2_METADATA_SERVICE_ENDPOINT": imds.url,
        "AWS_EC2_METADATA_DISABLED": None,
        "PART": part,
    }
    with Booting(machine, tmp_path, handed_out(moto), **here) as booting:
        code, said = booting.ends()
    assert code == 0, said
    text = moto.client("ssm").get_parameter(Name=outputs["ConfigurationParameter"])["Parameter"]["Value"]
    assert booting.read("etc/rehome.toml").strip() == text.strip()
    assert booting.told()["Status"] == "SUCCESS"
    done = booting.read("systemctl").splitlines()
    assert "enable rehome-bootstrap.service rehome.service" in done
    [address] = moto.ec2.describe_addresses()["Addresses"]
    if part == "primary":
        assert "start rehome-bootstrap.service" in done and not any("poweroff" in word for word in done)
        assert address["InstanceId"] == outputs["Primary"]
    else:
        assert not any(word.startswith("start") for word in done)
        assert done[-1].startswith("systemd-run") and done[-1].endswith("systemctl poweroff")
        assert not address.get("InstanceId")


def script_of(**more):
    net = {"vpc": "vpc-01234567", "one": "subnet-0000000a", "two": "subnet-0000000b"}
    stack = Stack(Template("stateful-instance"), given(net, **more))
    data = stack.properties("LaunchTemplate")["LaunchTemplateData"]["UserData"]
    return base64.b64decode(data).decode()


def test_a_package_that_is_another_one_is_never_installed(machine, tmp_path):
    with Booting(machine, tmp_path, script_of(PackageSha256="0" * 64)) as booting:
        code, said = booting.ends()
    assert code != 0, said
    assert booting.read("downloaded") and booting.read("installed") is None, said
    assert booting.read("systemctl") is None and booting.read("etc/rehome.toml") is None
    assert (booting.told()["Status"], booting.told()["Reason"]) == ("FAILURE", f"verifying {URL}")


def test_a_set_up_that_fails_fails_the_stack(machine, tmp_path):
    with Booting(machine, tmp_path, script_of(Setup="true\nfalse\ntrue")) as booting:
        code, said = booting.ends()
    assert code != 0, said
    assert booting.told()["Reason"] == "setting up the workload"
    assert "start" not in booting.read("systemctl"), "no data for an instance without its workload"


def test_what_is_in_the_image_is_not_downloaded(machine, tmp_path):
    with Booting(machine, tmp_path, script_of(PackageUrl="", PackageSha256="", Setup="exit 3")) as booting:
        code, said = booting.ends()
    assert code == 3, said
    assert booting.read("downloaded") is None and booting.read("installed") is None


@pytest.mark.parametrize("name", ["stateful-instance", "standby-pair"])
def test_the_configuration_is_where_the_units_look_for_it(name):
    text = (PROJECT / f"cloudformation/{name}.yaml").read_text()
    [written] = set(re.findall(r"(?:cat >|mv \S+ )(/etc/\S+\.toml) *(?:<<|\n)", text))
    for unit in ("rehome-bootstrap.service", "rehome.service"):
        looked = set(re.findall(r"/etc/\S+\.toml", (PROJECT / "systemd" / unit).read_text()))
        assert looked == {written}, unit
        assert unit in text
