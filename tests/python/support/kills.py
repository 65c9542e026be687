"""A daemon that is killed again and again, over a region that judges at the end.

`python -m support.kills --minutes 5 --seed 7` (in tests/python) is the long
version; tests/python/test_processes.py holds the short one.
"""

import argparse
import json
import os
import random
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from . import aws
from .group import Group
from .process import PATIENCE, REHOME, Server
from .rogue import Rogue

CONFIG = """
[[group]]
name  = "orders-db"
agent = false

[[group.address]]
tag = {{ key = "service", value = "orders" }}

[[group.volume]]
name     = "data"
device   = "/dev/sdf"
mount    = "/var/lib/orders"
size_gib = 1

[group.workload]
units = ["orders.service"]

[wake]
poll_every = "1s"
sqs_queue_url = "{}/123456789012/events"
"""
# The region judges by who called: this key is a runner's, all others are people's.
RUNNER = {"AWS_ACCESS_KEY_ID": "controller"}


class Killed:
    """One region, one group, and a daemon that never lives long."""

    def __init__(self, folder, seed, rogue=None):
        self.folder, self.dice, self.rogue = Path(folder), random.Random(seed), rogue
        self.seed, self.kills, self.ended, self.daemon = seed, 0, set(), None
        self.config = self.folder / "rehome.toml"
        self.log = self.folder / "daemon.log"
        # The judge knows the groups; where they are reached it need not know.
        self.config.write_text(CONFIG.format("http://127.0.0.1:9"))

    def __enter__(self):
        command = [REHOME, "region", "--listen", "127.0.0.1:0", "--seed", str(self.seed)]
        command += ["--latency-scale", "0.02", "--judge", str(self.config)]
        self.server = Server(command, env=aws.environment())
        self.server.__enter__()
        self.region = aws.Session(self.server.url)
        self.url = self.server.url
        if self.rogue is not None:
            self.rogue.open(self.server.url)
            self.url = self.rogue.url
        self.config.write_text(CONFIG.format(self.server.url))
        tags = aws.tagged("elastic-ip", service="orders")
        self.region.ec2.allocate_address(Domain="vpc", TagSpecifications=tags)
        self.group = Group(self.region)
        self.start()
        return self

    def start(self):
        with self.log.open("ab") as log:
            self.daemon = subprocess.Popen(
                [REHOME, "daemon", "--config", str(self.config)],
                env=aws.environment(self.url, RUST_LOG="info", **RUNNER),
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
            )

    def kill(self):
        assert self.daemon.poll() is None, self.log.read_text()[-2000:]
        self.daemon.send_signal(signal.SIGKILL)
        self.daemon.wait()
        self.kills += 1
        self.start()

    def end_holder(self):
        """The holder ends, in one of the ways instances do; None is there now and then."""
        members = self.group.members().items()
        serving = [i for i, s in members if s == "InService" and i not in self.ended]
        if not serving:
            return
        instance = self.dice.choice(serving)
        if self.dice.random() < 0.5:
            self.region.ec2.terminate_instances(InstanceIds=[instance])
        else:
            self.region.autoscaling.set_instance_health(
                InstanceId=instance, HealthStatus="Unhealthy", ShouldRespectGracePeriod=False
            )
        self.ended.add(instance)

    def live(self, seconds):
        """Kills and incidents at random moments, both drawn from the seed; for
        longer only where a slow machine has not come to anything."""
        over = time.monotonic() + seconds
        incident = time.monotonic() + self.dice.uniform(0, 4)
        while time.monotonic() < over or not self.has_suffered():
            # How long it lives is the point: there is nothing to wait for.
            time.sleep(min(self.dice.expovariate(1 / 0.7), 5))
            self.kill()
            if time.monotonic() > incident:
                self.end_holder()
                incident = time.monotonic() + self.dice.uniform(2, 12)

    def has_suffered(self):
        return self.kills > 3 and self.ended and (self.rogue is None or self.rogue.spoiled > 20)

    def settles(self):
        """Left alone, everything comes to its place."""

        def look():
            assert self.daemon.poll() is None, self.log.read_text()[-2000:]
            members = self.group.members()
            if list(members.values()) != ["InService"]:
                return False
            [holder] = members
            if holder in self.ended:  # its end is still to come
                return False
            filters = [{"Name": "tag:rehome:holder", "Values": [holder]}]
            volumes = self.region.ec2.describe_volumes(Filters=filters)["Volumes"]
            [address] = self.region.ec2.describe_addresses()["Addresses"]
            on = [a["InstanceId"] for v in volumes for a in v["Attachments"] if a["State"] == "attached"]
            return on == [holder] and address.get("InstanceId") == holder

        aws.until(look, "everything in its place", 4 * PATIENCE)

    def judged(self):
        """Ends the region, and returns what it found."""
        self.daemon.terminate()
        assert self.daemon.wait(PATIENCE) == 0
        self.server.process.send_signal(signal.SIGTERM)
        code = self.server.process.wait(PATIENCE)
        self.server._reader.join(PATIENCE)
        [sentence] = [json.loads(line) for line in self.server.said if line.startswith("{")]
        return code, sentence

    def __exit__(self, *_):
        if self.daemon is not None and self.daemon.poll() is None:
            self.daemon.kill()
            self.daemon.wait()
        if self.rogue is not None:
            self.rogue.close()
        self.server.__exit__()


def broken(sentence):
    return sentence["unsettled"] + [
        f"{p['name']}: {p['detail']}" for p in sentence["promises"] if not p["held"]
    ]


def run(folder, seed, seconds, rogue=None):
    """One life; says what became of it in a line."""
    with Killed(folder, seed, rogue) as killed:
        killed.settles()
        killed.live(seconds)
        if rogue:
            rogue.behave()
        killed.settles()
        code, sentence = killed.judged()
    found = broken(sentence)
    garbled = f", {rogue.spoiled} of {rogue.passed} answers spoiled" if rogue else ""
    print(
        f"seed {seed}: {seconds:g} s, killed {killed.kills} times, {len(killed.ended)} incidents, "
        f"{sentence['terms']} terms{garbled}, {len(found)} promises broken"
    )
    assert code == (1 if found else 0)
    return killed, sentence, found


def main():
    words = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    words.add_argument("--minutes", type=float, default=5)
    words.add_argument("--seed", type=int, default=int.from_bytes(os.urandom(3)))
    words.add_argument("--rogue", action="store_true", help="with somebody on the way who spoils answers")
    said = words.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        rogue = Rogue(said.seed) if said.rogue else None
        _, _, found = run(folder, said.seed, said.minutes * 60, rogue)
    for one in found:
        print(f"  {one}")
    sys.exit(bool(found))


if __name__ == "__main__":
    main()
