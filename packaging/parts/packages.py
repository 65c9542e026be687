"""How do a .deb and an .rpm come from the same description?"""

import json
import os
import subprocess
from datetime import datetime, timezone
from pathlib import Path

from .binary import ARCHITECTURES, GLIBC
from .failed import Failed
from .layout import Stage
from .release import REVISION

SUMMARY = "keeps a stateful single EC2 instance alive across failures"
DESCRIPTION = f"""{SUMMARY}
When the instance goes, its data volumes (EBS) and its Elastic IP move to the
replacement, in whatever Availability Zone that comes up. Runs on the instance
itself, as a controller elsewhere, or both; rehearses failovers on an emulated
region without an AWS account."""

# What docs/host.md says it runs, as each system names it; and what has
# /bin/kill, by which the units have it read its configuration again.
NEEDS = {
    "deb": {
        "depends": [f"libc6 (>= {GLIBC})", "ca-certificates", "e2fsprogs", "procps"],
        "recommends": ["systemd"],
        "suggests": ["xfsprogs"],
    },
    "rpm": {"depends": [f"glibc >= {GLIBC}", "ca-certificates", "e2fsprogs", "util-linux"]},
}

# In the order of nfpm: after the files came, before they go, after they went.
SCRIPTS = {"deb": ("postinst", "prerm", "postrm"), "rpm": ("post", "preun", "postun")}


def make(packager: str, stage: Stage, tools: Path, path: Path) -> Path:
    """Both are unpacked again, and compared with what was put in, by dpkg's and
    rpm's own tools: tests/packages."""
    config = stage.folder.with_suffix(".json")
    config.write_text(json.dumps(description(packager, stage), indent=2))
    words = [tools / "nfpm", "package", "--config", config, "--packager", packager, "--target", path]
    env = dict(os.environ, SOURCE_DATE_EPOCH=str(stage.release.epoch))
    ended = subprocess.run(words, env=env, capture_output=True, text=True)
    if ended.returncode != 0:
        raise Failed(f"nfpm could not make {path.name}: {(ended.stderr + ended.stdout).strip()}")
    return path


def description(packager: str, stage: Stage) -> dict:
    release = stage.release
    written = datetime.fromtimestamp(release.epoch, timezone.utc).strftime("%Y-%m-%dT%H:%M:%SZ")
    after, before_going, gone = (
        str(release.project / "packaging" / "scripts" / packager / name) for name in SCRIPTS[packager]
    )
    said = {
        "name": "rehome",
        "arch": ARCHITECTURES[release.arch]["go"],
        "platform": "linux",
        "version": release.version,
        "version_schema": "none",
        "release": REVISION,
        "section": "admin",
        "priority": "optional",
        "maintainer": release.maintainer,
        "description": DESCRIPTION,
        "license": "Apache-2.0",
        "mtime": written,
        "disable_globbing": True,
        "umask": 0o022,
        "contents": [content(entry, written) for entry in stage.entries],
        "scripts": {"postinstall": after, "preremove": before_going, "postremove": gone},
        # What every system of docs/packaging.md can unpack.
        "deb": {"compression": "xz"},
        "rpm": {"compression": "xz", "summary": SUMMARY, "group": "System Environment/Daemons", "buildhost": "nowhere"},
    }
    return said | NEEDS[packager]


def content(entry, written: str) -> dict:
    said = {"dst": entry.installed, "file_info": {"mode": entry.mode, "mtime": written, "owner": "root", "group": "root"}}
    if entry.kind != "dir":
        said["src"] = str(entry.source)
    if entry.kind != "file":
        said["type"] = entry.kind
    return said
