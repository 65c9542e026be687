"""The commands in the documents, as a new user types them; and the figures there."""

import hashlib
import json
import os
import re
import subprocess
import sys

import pytest
from support.aws import environment, tagged
from support.process import PATIENCE, PROJECT
from support.stack import GROUP, an_instance, network
from support.template import FOLDER, NAMES, Template, for_moto

README, DEPLOYING = PROJECT / "README.md", PROJECT / "docs/deploying.md"
# The stock command line, at moto.
AWS = '#!/bin/sh\nexec {python} -m awscli --endpoint-url {url} "$@"\n'
# As docs/packaging.md names what it makes.
BUILD = """#!/bin/sh
mkdir -p dist
echo one >dist/rehome-{version}-1.x86_64.rpm
echo two >dist/rehome-{version}-lambda-x86_64.zip
"""


def commands(path, beginning):
    """The first block of shell commands in which one begins so."""
    blocks = re.findall(r"^```sh\n(.*?)^```$", path.read_text(), re.MULTILINE | re.DOTALL)
    return next(block for block in blocks if re.search("^" + re.escape(beginning), block, re.MULTILINE))


def version():
    return re.search(r'^version = "(.+)"$', (PROJECT / "Cargo.toml").read_text(), re.MULTILINE)[1]


class User:
    """Somebody with this project in a folder, and an account."""

    def __init__(self, moto, folder):
        self.moto, self.folder, self.net = moto, folder, network(moto)
        moto.client("s3").create_bucket(Bucket="artifacts")
        (folder / "cloudformation").mkdir()
        for name in NAMES:
            body = for_moto(Template(name))
            if "ImageId" in body["Parameters"]:
                body["Parameters"]["ImageId"]["Default"] = "/test/image"
            # JSON is YAML.
            (folder / f"cloudformation/{name}.yaml").write_text(json.dumps(body))
        self.script("packaging/build", BUILD.format(version=version()))
        self.script("bin/aws", AWS.format(python=sys.executable, url=moto.url))

    def script(self, name, text):
        path = self.folder / name
        path.parent.mkdir(exist_ok=True)
        path.write_text(text)
        path.chmod(0o755)

    def types(self, text):
        names = {
            "YOUR-BUCKET": "artifacts",
            "YOUR-VPC": self.net["vpc"],
            "YOUR-SUBNET-A": self.net["one"],
            "YOUR-SUBNET-B": self.net["two"],
        }
        for placeholder, name in names.items():
            text = text.replace(placeholder, name)
        path = os.pathsep.join([str(self.folder / "bin"), os.environ["PATH"]])
        ended = subprocess.run(
            ["bash", "-euo", "pipefail", "-c", text],
            env=environment(self.moto.url, PATH=path),
            cwd=self.folder,
            capture_output=True,
            text=True,
            timeout=PATIENCE,
        )
        assert ended.returncode == 0, ended.stdout + ended.stderr
        return ended.stdout

    def parameters(self, stack):
        [of] = self.moto.client("cloudformation").describe_stacks(StackName=stack)["Stacks"]
        assert of["StackStatus"] == "CREATE_COMPLETE"
        return {one["ParameterKey"]: one["ParameterValue"] for one in of["Parameters"]}


@pytest.fixture
def user(moto, tmp_path):
    return User(moto, tmp_path)


def facts(user):
    subnets = user.moto.ec2.describe_subnets()["Subnets"]
    return {of["SubnetId"]: {key: of[key] for key in ("AvailabilityZone", "VpcId")} for of in subnets}


def accepted(user, template, stack):
    given = user.parameters(stack)
    # moto shows what a parameter of Systems Manager holds.
    for name, of in Template(template).parameters.items():
        if of["Type"].startswith("AWS::SSM::"):
            given.pop(name, None)
    needed = {name: "x" for name, of in Template(template).parameters.items() if "Default" not in of}
    assert Template(template).refusals(needed | given, facts(user)) == []
    return given


def test_the_three_commands_of_the_readme_make_a_stack(user):
    block = commands(README, "packaging/build")
    assert len(re.sub(r"\\\n", "", block).splitlines()) == 3
    user.types(block)
    given = accepted(user, "stateful-instance", "orders-db")
    package = user.folder / given["PackageUrl"].replace("s3://artifacts/", "dist/")
    assert given["PackageSha256"] == hashlib.sha256(package.read_bytes()).hexdigest()
    assert user.moto.client("s3").head_object(Bucket="artifacts", Key=package.name)
    assert commands(DEPLOYING, "packaging/build") == block


def test_a_controller_and_a_pair_are_made_by_the_commands_of_the_document(user):
    # With the outputs that moto forgets where a stack is deployed.
    an_instance(user.moto, user.folder, stack="orders-db")
    user.types("packaging/build")
    user.types(commands(DEPLOYING, "aws s3 cp dist/rehome-0.1.0-lambda"))
    given = accepted(user, "controller", "orders-db-controller")
    assert (given["Group"], given["Kind"]) == ("orders-db", "asg")
    assert given["AllocationId"].startswith("eipalloc-")
    user.types(commands(DEPLOYING, "aws cloudformation deploy --stack-name gateway"))
    accepted(user, "standby-pair", "gateway")


def test_what_stays_is_found_as_the_document_says(user):
    an_instance(user.moto, user.folder, stack="orders-db")
    text = user.types(commands(DEPLOYING, "aws ssm get-parameter").splitlines()[0] + "\ncat rehome.toml")
    assert 'name = "orders-db"' in text
    user.types(commands(DEPLOYING, "aws cloudformation set-stack-policy"))
    tags = {"rehome:group": GROUP, "rehome:volume": "data"}
    volume = user.moto.ec2.create_volume(
        AvailabilityZone="us-east-1a", Size=1, TagSpecifications=tagged("volume", **tags)
    )
    said = user.types(commands(DEPLOYING, "aws ec2 describe-volumes"))
    assert volume["VolumeId"] in said and '"Snapshots"' in said and '"Addresses"' in said


def test_files_are_called_as_the_packages_are():
    for path in (README, DEPLOYING):
        named = set(re.findall(r"rehome[-_][0-9]\S*?\.(?:rpm|deb|zip)\b", path.read_text()))
        assert named <= {f"rehome-{version()}-1.x86_64.rpm", f"rehome-{version()}-lambda-x86_64.zip"} and named
    packaging = (PROJECT / "docs/packaging.md").read_text()
    assert "`rehome-VERSION-1.ARCH.rpm`" in packaging and "`rehome-VERSION-lambda-LAMBDAARCH.zip`" in packaging


def test_every_template_and_stack_policy_names_what_there_is():
    text = DEPLOYING.read_text()
    named = set(re.findall(r"LogicalResourceId/(\w+)", text))
    assert named == {"Group", "ElasticIp"} <= set(Template("stateful-instance").resources)
    assert {"Primary", "Standby", "ElasticIp"} <= set(Template("standby-pair").resources)
    for name in re.findall(r"`(\w[\w-]+)\.yaml`", text):
        assert (FOLDER / f"{name}.yaml").exists(), name


# ----------------------------------------------------------------------- prices


def row(beginning):
    """The cells of the row of a table that begins so."""
    [found] = [line for line in DEPLOYING.read_text().splitlines() if line.startswith(f"| {beginning} |")]
    return [cell.strip() for cell in found.strip("|").split("|")]


def price(what):
    return float(re.match(r"[0-9.]+", row(what)[1])[0])


def count(template, kind):
    return len(Template(template).of_type(kind))


def test_the_cost_of_each_shape_is_the_sum_of_its_prices():
    hours, data, root, stored = 730, 20, 8, 30
    running = hours * (price("t3.small, Linux") + price("a public IPv4 address"))
    alarm, disk = price("an alarm"), price("gp3")
    kind = "AWS::CloudWatch::Alarm"

    def disks(roots):
        return disk * (data + roots * root) + price("snapshots") * stored

    interface = [
        of
        for of in Template("stateful-instance").of_type("AWS::EC2::VPCEndpoint").values()
        if of["Properties"]["VpcEndpointType"] == "Interface"
    ]
    zones = len(interface[0]["Properties"]["SubnetIds"])
    public = running + disks(1) + alarm * count("stateful-instance", kind)
    endpoints = hours * price("an interface endpoint in one zone") * len(interface) * zones
    keys = count("controller", "AWS::KMS::Key") * price("a KMS key")
    controller = keys + alarm * count("controller", kind)
    shapes = {
        "an instance, public": public,
        "an instance, private, endpoints": public - hours * price("a public IPv4 address") + endpoints,
        "a controller for it": controller,
        "a pair, public, with its controller": running + disks(2) + alarm * count("standby-pair", kind) + controller,
    }
    assert {shape: row(shape)[-1] for shape in shapes} == {shape: f"{cost:.2f}" for shape, cost in shapes.items()}
