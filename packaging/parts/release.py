"""Of what is this a release: which version, of which day, from which crates?"""

import json
import os
import subprocess
from dataclasses import dataclass
from pathlib import Path

from .failed import Failed

# What a package is called when only the packaging changed.
REVISION = "1"


@dataclass(frozen=True)
class Release:
    project: Path
    arch: str
    version: str
    epoch: int  # the commit's time: the only date there is in any file
    maintainer: str
    crates: list  # (name, version, licence, folder) of what is linked into it

    @property
    def folder(self) -> str:
        return f"rehome-{self.version}-{self.arch}"


def read(project: Path, arch: str, maintainer: str) -> Release:
    described = metadata(project, arch)
    by_id = {package["id"]: package for package in described["packages"]}
    own = by_id[described["resolve"]["root"]]
    crates = sorted(
        (one["name"], one["version"], one["license"] or "", Path(one["manifest_path"]).parent)
        for one in (by_id[id] for id in linked(described["resolve"]))
        if one["source"]  # the workspace's own have none
    )
    return Release(project, arch, own["version"], epoch(project), maintainer, crates)


def metadata(project: Path, arch: str) -> dict:
    words = ["cargo", "metadata", "--locked", "--format-version=1"]
    words.append(f"--filter-platform={arch}-unknown-linux-gnu")
    ended = subprocess.run(words, cwd=project, check=True, stdout=subprocess.PIPE)
    return json.loads(ended.stdout)


def linked(resolve: dict) -> set:
    """What the program is made of: not what only tests or build scripts use."""
    nodes = {node["id"]: node for node in resolve["nodes"]}
    found, to_do = set(), [resolve["root"]]
    while to_do:
        here = to_do.pop()
        if here in found:
            continue
        found.add(here)
        for dependency in nodes[here]["deps"]:
            if any(kind["kind"] is None for kind in dependency["dep_kinds"]):
                to_do.append(dependency["pkg"])
    return found


def epoch(project: Path) -> int:
    given = os.environ.get("SOURCE_DATE_EPOCH")
    if given:
        return int(given)
    words = ["git", "log", "-1", "--format=%ct"]
    ended = subprocess.run(words, cwd=project, capture_output=True, text=True)
    if ended.returncode != 0:
        raise Failed("this is no git checkout: set SOURCE_DATE_EPOCH to the second the release was made")
    return int(ended.stdout)
