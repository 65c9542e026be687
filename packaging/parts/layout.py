"""Which file lies where once rehome is installed?"""

import gzip
import os
import shutil
from dataclasses import dataclass
from email.utils import formatdate
from pathlib import Path

from .binary import Built
from .notices import notices
from .release import REVISION, Release

UNITS = ["rehome-bootstrap.service", "rehome.service", "rehome-controller.service"]
DROP_IN = "postgresql@.service.d/10-rehome.conf"
DOC = "/usr/share/doc/rehome"

# Where each packager's system looks for what zsh and licences belong to.
ZSH = {"deb": "/usr/share/zsh/vendor-completions", "rpm": "/usr/share/zsh/site-functions"}


@dataclass(frozen=True)
class Entry:
    """One file or folder of a package, and what the packager is to know of it."""

    installed: str
    source: Path
    mode: int = 0o644
    kind: str = "file"


class Stage:
    """A folder in which the files of a release are laid out as they will be
    installed, all of them as old as the commit."""

    def __init__(self, release: Release, folder: Path):
        self.release, self.folder, self.entries = release, folder, []
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(parents=True)

    def copy(self, source: Path, installed: str, mode: int = 0o644, kind: str = "file") -> None:
        self.write(source.read_bytes(), installed, mode, kind)

    def zip(self, data: bytes, installed: str) -> None:
        self.write(gzip.compress(data, 9, mtime=0), f"{installed}.gz")

    def write(self, data: bytes, installed: str, mode: int = 0o644, kind: str = "file") -> None:
        path = self.folder / installed.lstrip("/")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)
        path.chmod(mode)
        os.utime(path, (self.release.epoch, self.release.epoch))
        self.entries.append(Entry(installed, path, mode, kind))

    def own(self, installed: str) -> None:
        path = self.folder / installed.lstrip("/")
        self.entries.append(Entry(installed, path, 0o755, "dir"))


def package(release: Release, built: Built, packager: str, folder: Path) -> Stage:
    stage = Stage(release, folder)
    project = release.project
    stage.copy(built.program, "/usr/bin/rehome", 0o755)
    for unit in UNITS:
        stage.copy(project / "systemd" / unit, f"/usr/lib/systemd/system/{unit}")
    stage.own("/etc/rehome")
    stage.copy(project / "packaging" / "example.toml", "/etc/rehome/example.toml", kind="config|noreplace")
    for page in sorted((built.pages / "man").iterdir()):
        stage.zip(page.read_bytes(), f"/usr/share/man/man8/{page.name}")
    completions = built.pages / "completions"
    stage.copy(completions / "rehome.bash", "/usr/share/bash-completion/completions/rehome")
    stage.copy(completions / "rehome.fish", "/usr/share/fish/vendor_completions.d/rehome.fish")
    stage.copy(completions / "_rehome", f"{ZSH[packager]}/_rehome")
    documentation(stage)
    if packager == "deb":
        as_debian_wants(stage)
    else:
        stage.own("/usr/share/licenses/rehome")
        stage.copy(project / "LICENSE", "/usr/share/licenses/rehome/LICENSE", kind="license")
        stage.zip((project / "CHANGELOG.md").read_bytes(), f"{DOC}/CHANGELOG.md")
    return stage


def documentation(stage: Stage) -> None:
    project = stage.release.project
    for folder in (DOC, f"{DOC}/examples", f"{DOC}/examples/{DROP_IN}".rsplit("/", 1)[0]):
        stage.own(folder)
    for page in sorted((project / "docs").glob("*.md")):
        stage.copy(page, f"{DOC}/{page.name}")
    stage.copy(project / "systemd" / "README.md", f"{DOC}/units.md")
    # Not active: for each unit of a workload, an administrator copies it.
    stage.copy(project / "systemd" / DROP_IN, f"{DOC}/examples/{DROP_IN}")
    stage.zip(notices(stage.release).encode(), f"{DOC}/THIRD-PARTY.txt")


def as_debian_wants(stage: Stage) -> None:
    release = stage.release
    stage.write(COPYRIGHT.encode(), f"{DOC}/copyright")
    stage.zip((release.project / "CHANGELOG.md").read_bytes(), f"{DOC}/changelog")
    entry = (
        f"rehome ({release.version}-{REVISION}) stable; urgency=medium\n\n"
        f"  * See changelog.gz.\n\n"
        f" -- {release.maintainer}  {formatdate(release.epoch)}\n"
    )
    stage.zip(entry.encode(), f"{DOC}/changelog.Debian")
    overrides = release.project / "packaging" / "lintian-overrides"
    stage.copy(overrides, "/usr/share/lintian/overrides/rehome")


def tarball(release: Release, built: Built, folder: Path) -> Stage:
    """For systems without a packager of ours: what to copy where is its README."""
    stage = Stage(release, folder)
    project, top = release.project, release.folder
    stage.copy(built.program, f"{top}/rehome", 0o755)
    stage.copy(project / "LICENSE", f"{top}/LICENSE")
    stage.copy(project / "packaging" / "example.toml", f"{top}/example.toml")
    for unit in [*UNITS, DROP_IN, "README.md"]:
        stage.copy(project / "systemd" / unit, f"{top}/systemd/{unit}")
    for page in sorted((built.pages / "man").iterdir()):
        stage.copy(page, f"{top}/man/{page.name}")
    for page in sorted((built.pages / "completions").iterdir()):
        stage.copy(page, f"{top}/completions/{page.name}")
    stage.write(notices(release).encode(), f"{top}/THIRD-PARTY.txt")
    return stage


def function(release: Release, built: Built, folder: Path) -> Stage:
    """What a Lambda function runs on provided.al2023."""
    stage = Stage(release, folder)
    stage.copy(built.program, "bootstrap", 0o755)
    stage.copy(release.project / "LICENSE", "LICENSE")
    stage.write(notices(release).encode(), "THIRD-PARTY.txt")
    return stage


COPYRIGHT = """\
Format: https://www.debian.org/doc/packaging-manuals/copyright-format/1.0/
Upstream-Name: rehome
Comment: The program is linked with the work of others; THIRD-PARTY.txt.gz
 beside this file names each of them, with its licence.

Files: *
Copyright: 2026 The rehome authors
License: Apache-2.0

License: Apache-2.0
 On Debian systems, the full text of the Apache License, Version 2.0, can be
 found in /usr/share/common-licenses/Apache-2.0.
"""
