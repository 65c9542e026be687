"""Clients of an endpoint: boto3's, the stock command line, and the tests' own
way to wait."""

import json
import os
import time

import boto3
from botocore.config import Config

from .process import PATIENCE, python_module, run

REGION = "us-east-1"


def environment(url=None, **more):
    """What a process of a test sees: nothing of this machine's own AWS setup."""
    kept = {name: os.environ[name] for name in ("PATH", "LANG", "TMPDIR") if name in os.environ}
    kept |= {
        "HOME": "/nonexistent",
        "AWS_REGION": REGION,
        "AWS_DEFAULT_REGION": REGION,
        "AWS_ACCESS_KEY_ID": "AKIAIOSFODNN7EXAMPLE",
        "AWS_SECRET_ACCESS_KEY": "a-secret-that-opens-nothing",
        "AWS_CONFIG_FILE": "/dev/null",
        "AWS_SHARED_CREDENTIALS_FILE": "/dev/null",
        "AWS_EC2_METADATA_DISABLED": "true",
        "AWS_PAGER": "",
    }
    if url:
        kept["AWS_ENDPOINT_URL"] = url
    return {name: value for name, value in (kept | more).items() if value is not None}


# Shared, because it reads EC2's large description once.
_SESSION = boto3.Session("AKIAIOSFODNN7EXAMPLE", "a-secret-that-opens-nothing", region_name=REGION)


class Session:
    """One endpoint, seen through boto3 and through the AWS CLI."""

    def __init__(self, url):
        self.url = url
        # Errors are what the tests look at: no retry hides one.
        config = Config(retries={"total_max_attempts": 1}, connect_timeout=60, read_timeout=PATIENCE)

        def client(service):
            return _SESSION.client(service, endpoint_url=url, config=config)

        self.client = client
        self.ec2 = client("ec2")
        self.autoscaling = client("autoscaling")
        self.cloudwatch = client("cloudwatch")
        self.sqs = client("sqs")

    def wait(self, waiter, **arguments):
        """One of boto3's own waiters, at the pace of a region that is fast."""
        pace = {"Delay": 0.1, "MaxAttempts": int(PATIENCE / 0.1)}
        self.ec2.get_waiter(waiter).wait(**arguments, WaiterConfig=pace)

    def cli(self, *words):
        """`aws WORDS…`: how it ended, and what it said, read as JSON if it is."""
        # AWS_ENDPOINT_URL is not enough: the command line's first version sends
        # what is for SQS to an old host name of AWS all the same.
        command = python_module("awscli", "--endpoint-url", self.url, "--output", "json", *words)
        ended = run(command, env=environment(self.url))
        ended.answer = json.loads(ended.stdout) if ended.stdout.strip() else None
        return ended


def until(look, what, patience=PATIENCE):
    """Looks until there is something to see, and returns it."""
    deadline = time.monotonic() + patience
    while not (seen := look()):
        if time.monotonic() > deadline:
            raise AssertionError(f"{what}: not within {patience:g} s")
        time.sleep(0.05)
    return seen


def tags(resource):
    return {tag["Key"]: tag["Value"] for tag in resource.get("Tags", [])}


def tagged(kind, **pairs):
    """`TagSpecifications` for a resource of this kind."""
    return [{"ResourceType": kind, "Tags": [{"Key": k, "Value": v} for k, v in pairs.items()]}]
