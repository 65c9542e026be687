"""Fifty groups, one daemon, and something going on all the time: does what it
holds stay the same?

`python -m support.soak --minutes 6 --groups 50` (in tests/python) is the long
version; tests/python/test_processes.py holds the short one.
"""

import argparse
import os
import random
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from . import aws
from .group import Group
from .process import PATIENCE, REHOME, Server

GROUP = """
[[group]]
name  = "{}"
agent = false

[[group.volume]]
name     = "data"
device   = "/dev/sdf"
size_gib = 1

[group.policy]
keep_old_volume = "10s"
"""
WAKE = '\n[wake]\npoll_every = "2s"\nsqs_queue_url = "{}/123456789012/events"\n'
SAMPLE_EVERY = 1.0


class Sample:
    def __init__(self, at, process):
        folder = Path("/proc") / str(process)
        status = (folder / "status").read_text()
        [rss] = [line.split()[1] for line in status.splitlines() if line.startswith("VmRSS")]
        self.at, self.rss, self.files = at, int(rss), len(os.listdir(folder / "fd"))


def slope(samples, what):
    """By least squares, for a minute."""
    mean_at = sum(s.at for s in samples) / len(samples)
    mean = sum(what(s) for s in samples) / len(samples)
    over = sum((s.at - mean_at) * (what(s) - mean) for s in samples)
    under = sum((s.at - mean_at) ** 2 for s in samples)
    return 60 * over / under if under else 0.0


def settled(region, names):
    groups = {}
    for page in region.autoscaling.get_paginator("describe_auto_scaling_groups").paginate():
        for group in page["AutoScalingGroups"]:
            groups[group["AutoScalingGroupName"]] = group
    return all([i["LifecycleState"] for i in groups[n]["Instances"]] == ["InService"] for n in names)


def run(folder, groups, seconds, seed, every=1.0):
    """Samples from a daemon in the middle of it all, and how many incidents there were."""
    folder, dice = Path(folder), random.Random(seed)
    names = [f"group-{n:02}" for n in range(groups)]
    command = [REHOME, "region", "--listen", "127.0.0.1:0", "--seed", str(seed), "--latency-scale", "0.02"]
    with Server(command, env=aws.environment()) as server:
        region = aws.Session(server.url)
        of = {name: Group(region, name) for name in names}
        config = folder / "rehome.toml"
        config.write_text("".join(map(GROUP.format, names)) + WAKE.format(server.url))
        with (folder / "daemon.log").open("wb") as log:
            daemon = subprocess.Popen(
                [REHOME, "daemon", "--config", str(config)],
                env=aws.environment(server.url, AWS_ACCESS_KEY_ID="controller", RUST_LOG="warn"),
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
            )
        try:
            aws.until(lambda: settled(region, names), "all groups to settle", 10 * PATIENCE)
            samples, incidents = watch(region, of, daemon.pid, seconds, dice, every)
            assert daemon.poll() is None, (folder / "daemon.log").read_text()[-2000:]
            aws.until(lambda: settled(region, names), "all groups to settle again", 10 * PATIENCE)
            daemon.terminate()
            assert daemon.wait(PATIENCE) == 0
        finally:
            if daemon.poll() is None:
                daemon.kill()
                daemon.wait()
    return samples, incidents


def watch(region, of, process, seconds, dice, every):
    start, samples, incidents = time.monotonic(), [], 0
    while (at := time.monotonic() - start) < seconds:
        samples.append(Sample(at, process))
        if incidents < at / every:
            members = dice.choice(list(of.values())).members()
            serving = [i for i, state in members.items() if state == "InService"]
            if serving:
                region.ec2.terminate_instances(InstanceIds=serving[:1])
                incidents += 1
        # A sample has a time of its own: there is nothing to wait for.
        time.sleep(SAMPLE_EVERY)
    return samples, incidents


def figures(samples):
    """The second half: in the first, caches and connections still come up."""
    later = samples[len(samples) // 2 :]
    return {
        "rss_kib": (min(s.rss for s in later), max(s.rss for s in later)),
        "rss_kib_per_minute": slope(later, lambda s: s.rss),
        "files": (min(s.files for s in later), max(s.files for s in later)),
        "files_per_minute": slope(later, lambda s: s.files),
    }


def main():
    words = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    words.add_argument("--minutes", type=float, default=6)
    words.add_argument("--groups", type=int, default=50)
    words.add_argument("--seed", type=int, default=1)
    said = words.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        samples, incidents = run(folder, said.groups, said.minutes * 60, said.seed)
    found = figures(samples)
    print(f"{said.groups} groups, {said.minutes:g} minutes, {incidents} incidents, {len(samples)} samples")
    for name, value in found.items():
        print(f"  {name}: {value}")
    sys.exit(not (found["rss_kib_per_minute"] < 512 and found["files_per_minute"] < 1))


if __name__ == "__main__":
    main()
