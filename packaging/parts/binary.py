"""How is the program itself made: for which systems, and the same twice?"""

import os
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path

from .failed import Failed

# Rust's own floor. Amazon Linux 2 has 2.26, Debian 11 and Ubuntu 20.04 2.31,
# Amazon Linux 2023 has 2.34: all of them run what was linked against this one.
GLIBC = "2.17"

# By the name a machine gives itself (uname -m), what each packager calls it.
ARCHITECTURES = {
    "x86_64": {"deb": "amd64", "go": "amd64", "lambda": "x86_64"},
    "aarch64": {"deb": "arm64", "go": "arm64", "lambda": "arm64"},
}


# Instead of the release profile, where hours count.
BRISK = {"LTO": "off", "CODEGEN_UNITS": "16", "OPT_LEVEL": "1"}


@dataclass(frozen=True)
class Built:
    program: Path
    pages: Path  # the folder of manual pages and completions


def build(project: Path, arch: str, tools: Path, brisk: bool) -> Built:
    """Both programs at once: what they share is compiled once."""
    programs = compile_(project, arch, ["rehome", "rehome-pages"], tools, brisk)
    if arch == os.uname().machine:
        writer = programs["rehome-pages"]
    else:
        # The pages say the same everywhere, but must be written here.
        here = os.uname().machine
        writer = compile_(project, here, ["rehome-pages"], tools, brisk)["rehome-pages"]
    pages = target_folder(project) / "pages"
    shutil.rmtree(pages, ignore_errors=True)
    subprocess.run([writer, pages], check=True)
    return Built(programs["rehome"], pages)


def given(project: Path, program: Path) -> Built:
    pages = target_folder(project) / "pages"
    if not (pages / "man").is_dir():
        raise Failed(f"{pages} is not there: --program goes with the pages of an earlier build")
    return Built(program, pages)


def target_folder(project: Path) -> Path:
    return Path(os.environ.get("CARGO_TARGET_DIR", project / "target")) / "packaging"


def compile_(project: Path, arch: str, bins: list, tools: Path, brisk: bool) -> dict:
    triple = f"{arch}-unknown-linux-gnu"
    folder = target_folder(project)
    words = ["cargo", "zigbuild", "--locked", "--release", "--features", "pages"]
    words += ["--target", f"{triple}.{GLIBC}", "--target-dir", str(folder)]
    for name in bins:
        words += ["--bin", name]
    # No date is in it; the same one each time keeps the C compiler from using
    # another, and a new commit from compiling everything anew.
    env = dict(os.environ, SOURCE_DATE_EPOCH="315532800")
    env["PATH"] = f"{tools}{os.pathsep}{env['PATH']}"
    env["CARGO_ZIGBUILD_CACHE_DIR"] = str(project / ".cache" / "zigbuild")
    # Nothing of the machine it is built on, neither its paths nor its habits.
    for name in ("RUSTFLAGS", "CFLAGS", "CARGO_TARGET_DIR"):
        env.pop(name, None)
    env["CARGO_ENCODED_RUSTFLAGS"] = "\x1f".join(
        f"--remap-path-prefix={here}={there}" for here, there in renamed(project)
    )
    if brisk:
        env.update({f"CARGO_PROFILE_RELEASE_{key}": value for key, value in BRISK.items()})
        # Hundreds of operations that nobody here asks for: optimizing them takes one
        # processor more than ten minutes.
        words += ["--config", "profile.release.package.aws-sdk-ec2.opt-level=0"]
        # Below that level it names the paths of this machine in its errors.
        words += ["--config", "profile.release.package.aws-lc-sys.opt-level=3"]
    if subprocess.run(words, cwd=project, env=env).returncode != 0:
        raise Failed(f"cargo could not build {' and '.join(bins)} for {triple}, see above")
    return {name: folder / triple / "release" / name for name in bins}


def renamed(project: Path) -> list:
    """Paths of this machine, and what panic messages say in their place. Of two
    that fit the later wins, so the narrower ones come last."""
    cargo = Path(os.environ.get("CARGO_HOME", Path.home() / ".cargo"))
    says = subprocess.run(["rustc", "-vV"], cwd=project, check=True, capture_output=True, text=True)
    commit = dict(line.split(": ", 1) for line in says.stdout.splitlines() if ": " in line)["commit-hash"]
    asked = ["rustc", "--print", "sysroot"]
    sysroot = subprocess.run(asked, cwd=project, check=True, capture_output=True, text=True).stdout.strip()
    names = [
        (project, "/rehome"),
        (cargo, "/cargo"),
        # Where the sources of the standard library are installed, rustc would
        # name them instead of what its own build calls them.
        (f"{sysroot}/lib/rustlib/src/rust", f"/rustc/{commit}"),
    ]
    home = Path.home()
    return names if home == Path("/") else [(home, "/home"), *names]
