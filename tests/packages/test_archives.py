"""The Lambda zip behind a runtime API, and the tarball for every other system."""

import json
import subprocess
import tarfile
import zipfile

from conftest import PROJECT
from support.runtime_api import Function

CONFIG = """
[[group]]
name  = "orders-db"
agent = false

[[group.address]]
tag = { key = "service", value = "orders-db" }
"""


def test_the_zip_holds_an_executable_bootstrap(function_zip, program):
    with zipfile.ZipFile(function_zip) as archive:
        assert archive.testzip() is None
        modes = {member.filename: oct(member.external_attr >> 16) for member in archive.infolist()}
        assert modes == {"LICENSE": "0o100644", "THIRD-PARTY.txt": "0o100644", "bootstrap": "0o100755"}
        assert archive.read("bootstrap") == program.read_bytes()
    # What Lambda takes when it is uploaded directly.
    assert function_zip.stat().st_size < 50_000_000


def test_the_function_of_the_zip_answers_its_first_event(function_zip, tmp_path):
    subprocess.run(["unzip", "-q", function_zip, "-d", tmp_path], check=True)
    foreign = json.loads((PROJECT / "tests/events/foreign-event.json").read_text())
    with Function(tmp_path, CONFIG, "http://127.0.0.1:9") as function:
        answered = function.invoke(foreign)
    assert answered.error is None and answered.answer["groups"] == 0


def test_a_wrong_configuration_is_told_to_lambda(function_zip, tmp_path):
    subprocess.run(["unzip", "-q", function_zip, "-d", tmp_path], check=True)
    with Function(tmp_path, CONFIG + "colour = 7\n", "http://127.0.0.1:9") as function:
        code, _ = function.ended()
        [(_, error)] = function.api.init_errors
    assert code == 2 and "colour" in error["errorMessage"]


def test_the_tarball_has_all_that_is_to_be_copied(tarball, program, version, tmp_path):
    with tarfile.open(tarball) as archive:
        members = {member.name: member for member in archive.getmembers()}
        for member in members.values():
            assert member.isfile() and (member.uid, member.gid, member.uname) == (0, 0, "root"), member.name
        top = tarball.name[: -len(".tar.gz")]
        assert all(name.startswith(f"{top}/") for name in members)
        archive.extractall(tmp_path, filter="data")
    inside = tmp_path / top
    assert (inside / "rehome").read_bytes() == program.read_bytes()
    assert (inside / "example.toml").read_bytes() == (PROJECT / "packaging/example.toml").read_bytes()
    for unit in (PROJECT / "systemd").glob("*.service"):
        assert (inside / "systemd" / unit.name).read_bytes() == unit.read_bytes()
    ended = subprocess.run([inside / "rehome", "--version"], check=True, capture_output=True, text=True)
    assert ended.stdout == f"rehome {version}\n"
