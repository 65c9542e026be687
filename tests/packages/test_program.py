"""Does the program run on the systems it is for, and is nothing in it of the
machine that built it?"""

import os
import re
import subprocess
from pathlib import Path

from conftest import PROJECT, needs

# Rust's own floor; the oldest system named in docs/packaging.md has 2.26.
GLIBC = (2, 17)
# glibc's own parts, there wherever glibc is.
LIBRARIES = {
    "libc.so.6",
    "libdl.so.2",
    "libm.so.6",
    "libpthread.so.0",
    "librt.so.1",
    "libutil.so.1",
    "ld-linux-x86-64.so.2",
    "ld-linux-aarch64.so.1",
}
# What is published has 15 million bytes; what tests/run builds in haste has more.
MOST_BYTES = 45_000_000


def said(*words):
    return subprocess.run(words, check=True, capture_output=True, text=True).stdout


@needs("objdump")
def test_no_symbol_is_newer_than_the_oldest_glibc(program):
    versions = re.findall(r"\(?GLIBC_(\d+)\.(\d+)", said("objdump", "-T", program))
    assert len(versions) > 50, "the program takes something from glibc"
    newest = max((int(major), int(minor)) for major, minor in versions)
    assert newest <= GLIBC


@needs("readelf")
def test_it_needs_nothing_but_glibc(program):
    needed = set(re.findall(r"\(NEEDED\).*\[(.+)\]", said("readelf", "--dynamic", program)))
    assert "libc.so.6" in needed and needed <= LIBRARIES


@needs("readelf")
def test_it_is_stripped_and_small(program):
    sections = said("readelf", "--sections", "--wide", program)
    assert ".text" in sections
    assert ".symtab" not in sections and ".debug" not in sections
    assert program.stat().st_size < MOST_BYTES


@needs("readelf")
def test_its_memory_is_guarded(program):
    header, segments = said("readelf", "--file-header", program), said("readelf", "--segments", "--wide", program)
    assert "DYN" in header, "loaded where nobody can foretell"
    assert "GNU_RELRO" in segments
    [stack] = [line for line in segments.splitlines() if "GNU_STACK" in line]
    assert " RW " in stack and "RWE" not in stack


def test_no_path_of_this_machine_is_in_it(program):
    data = program.read_bytes()
    assert b"src/main.rs" in data or b"src/run" in data, "panic messages name their place"
    sysroot = said("rustc", "--print", "sysroot").strip()
    own = {PROJECT, Path.home(), sysroot, os.environ.get("CARGO_HOME", Path.home() / ".cargo")}
    own |= {os.environ[name] for name in ("CARGO_TARGET_DIR",) if name in os.environ}
    for path in map(str, own - {Path("/")}):
        at = data.find(path.encode() + b"/")
        assert at < 0, f"{data[max(at - 40, 0) : at + 100]!r}"


def test_it_says_its_version(program, version):
    assert said(program, "--version") == f"rehome {version}\n"
