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


# Instead of the release profile, where hours count. The tests are made the same
# way, so that the SDK is compiled once for them and for the program: that is why
# it unwinds, and checks what only tests check.
BRISK = {
    "LTO": "off",
    "CODEGEN_UNITS": "16",
    "OPT_LEVEL": "1",
    "PANIC": "unwind",
    "DEBUG_ASSERTIONS": "true",
    "OVERFLOW_CHECKS": "true",
}


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
    words = ["--features", "pages"]
    for name in bins:
        words += ["--bin", name]
    if not cargo(project, arch, "zigbuild", words, tools, brisk):
        raise Failed(f"cargo could not build {' and '.join(bins)} for {arch}, see above")
    folder = target_folder(project) / f"{arch}-unknown-linux-gnu" / "release"
    return {name: folder / name for name in bins}


def test_briskly(project: Path, words: list, tools: Path) -> bool:
    return cargo(project, os.uname().machine, "test", words, tools, brisk=True, linted=True)


def cargo(project: Path, arch: str, verb: str, words: list, tools: Path, brisk: bool, linted: bool = False) -> bool:
    folder = target_folder(project)
    settings = ["--locked", "--release"]
    settings += ["--target", f"{arch}-unknown-linux-gnu.{GLIBC}", "--target-dir", str(folder)]
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
        settings += ["--config", "profile.release.package.aws-sdk-ec2.opt-level=0"]
        # Below that level it names the paths of this machine in its errors.
        settings += ["--config", "profile.release.package.aws-lc-sys.opt-level=3"]
    if linted and has_clippy():
        # As `cargo clippy -- -D warnings` sets it, for what is compiled, too.
        env["RUSTC_WORKSPACE_WRAPPER"] = shutil.which("clippy-driver")
        env["CLIPPY_ARGS"] = "-D__CLIPPY_HACKERY__warnings__CLIPPY_HACKERY__"
    return subprocess.run(["cargo-zigbuild", verb, *settings, *words], cwd=project, env=env).returncode == 0


def has_clippy() -> bool:
    """Of a component that is not installed, rustup has the name in its folder all the same."""
    driver = shutil.which("clippy-driver")
    return bool(driver) and subprocess.run([driver, "--version"], capture_output=True).returncode == 0


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
