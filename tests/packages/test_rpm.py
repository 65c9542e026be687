"""The .rpm, as rpm itself reads, installs, upgrades and removes it."""

import shutil
import subprocess

from conftest import PROJECT, needs

pytestmark = needs("rpm")

EXAMPLE = "/etc/rehome/example.toml"
CONFIG = "/etc/rehome.toml"
AGENT_RESTARTS = "--no-block try-restart rehome.service"
CONTROLLER_RESTARTS = "--no-block try-restart rehome-controller.service"
STOPPED = "rehome.service rehome-controller.service rehome-bootstrap.service"


def asked(rpm, *words):
    return subprocess.run(["rpm", "-qp", *words, rpm], check=True, capture_output=True, text=True).stdout


def rpm_in(folder, *words):
    # On Debian rpm wants to be told that one means it.
    base = ["rpm", "--root", folder, "--dbpath", "/var/lib/rpm"]
    if words[0] in ("--install", "--upgrade"):
        base += ["--nodeps"]
        base += ["--force-debian"] if shutil.which("dpkg") else []
    ended = subprocess.run([*base, *words], capture_output=True, text=True)
    assert ended.returncode == 0, ended.stdout + ended.stderr
    return ended.stdout + ended.stderr


def test_it_says_what_it_is(rpm, version):
    assert asked(rpm, "--queryformat", "%{NAME} %{VERSION} %{RELEASE} %{LICENSE}") == f"rehome {version} 1 Apache-2.0"
    # The packer's machine is not in it.
    assert asked(rpm, "--queryformat", "%{BUILDHOST}") == "nowhere"
    assert asked(rpm, "--configfiles").split() == [EXAMPLE]
    needed = asked(rpm, "--requires").splitlines()
    for one in ("glibc >= 2.17", "ca-certificates", "e2fsprogs", "util-linux"):
        assert one in needed


def test_amazon_linux_2_can_unpack_it(rpm):
    """Its rpm is 4.11: no zstd, no newer tags that are asked for."""
    assert asked(rpm, "--queryformat", "%{PAYLOADCOMPRESSOR}") in ("gzip", "xz")
    features = [line for line in asked(rpm, "--requires").splitlines() if line.startswith("rpmlib(")]
    known = {"rpmlib(CompressedFileNames)", "rpmlib(FileDigests)", "rpmlib(PayloadFilesHavePrefix)", "rpmlib(PayloadIsXz)"}
    assert {line.split()[0] for line in features} <= known


def test_what_is_in_it_is_what_was_built(rpm, program, tmp_path):
    rpm_in(tmp_path, "--install", "--noscripts", rpm)
    assert rpm_in(tmp_path, "--verify", "--nodeps", "--nouser", "--nogroup", "rehome") == ""
    files = set(rpm_in(tmp_path, "--query", "--list", "rehome").split())
    assert (tmp_path / "usr/bin/rehome").read_bytes() == program.read_bytes()
    assert {"/etc/rehome", EXAMPLE, "/usr/share/licenses/rehome/LICENSE"} <= files
    for unit in ("rehome-bootstrap", "rehome", "rehome-controller"):
        name = f"{unit}.service"
        inside = tmp_path / "usr/lib/systemd/system" / name
        assert inside.read_bytes() == (PROJECT / "systemd" / name).read_bytes()
    lines = asked(rpm, "--queryformat", "[%{FILEMODES:perms} %{FILEUSERNAME} %{FILEGROUPNAME} %{FILENAMES}\n]")
    for line in lines.splitlines():
        mode, user, group, path = line.split()
        folder = (tmp_path / path.lstrip("/")).is_dir()
        wanted = "drwxr-xr-x" if folder else "-rwxr-xr-x" if path == "/usr/bin/rehome" else "-rw-r--r--"
        assert (mode, user, group) == (wanted, "root", "root"), line


def test_an_upgrade_restarts_the_daemon_alone_and_waits_for_nothing(root, rpm):
    root.pretend_systemd_runs()
    rpm_in(root.folder, "--install", rpm)
    assert root.asked_of_systemd() == ["daemon-reload"]
    assert "12 of 12 held" in root.run("rehome", "drill", "--scenario", "cross-zone")
    mine = root.path(EXAMPLE).read_text() + "# mine\n"
    root.path(EXAMPLE).write_text(mine)
    root.path(CONFIG).write_text(mine)
    # The same one again is an upgrade to its scripts: the new one comes, the
    # old one goes.
    rpm_in(root.folder, "--upgrade", "--force", rpm)
    assert root.asked_of_systemd() == ["daemon-reload", AGENT_RESTARTS, CONTROLLER_RESTARTS, "daemon-reload"]
    assert root.path(EXAMPLE).read_text() == root.path(CONFIG).read_text() == mine


def test_an_upgrade_that_refuses_the_configuration_leaves_the_old_daemon_running(root, rpm):
    root.pretend_systemd_runs()
    rpm_in(root.folder, "--install", rpm)
    root.path(CONFIG).write_text("colour = 7\n")
    root.asked_of_systemd()
    said = rpm_in(root.folder, "--upgrade", "--force", rpm)
    assert "colour" in said and f"refuses {CONFIG}, so rehome.service is not restarted" in said
    assert root.asked_of_systemd() == ["daemon-reload", CONTROLLER_RESTARTS, "daemon-reload"]


def test_removing_ends_the_daemon_and_leaves_what_is_the_owners(root, rpm):
    root.pretend_systemd_runs()
    rpm_in(root.folder, "--install", rpm)
    root.path(EXAMPLE).write_text("# mine\n")
    root.path(CONFIG).write_text("# mine\n")
    root.asked_of_systemd()
    rpm_in(root.folder, "--erase", "rehome")
    assert root.asked_of_systemd() == [f"disable --now {STOPPED}", "daemon-reload"]
    left = {path for path in root.files("/usr", "/etc") if "rehome" in path}
    assert left == {CONFIG, "/etc/rehome", f"{EXAMPLE}.rpmsave"}
