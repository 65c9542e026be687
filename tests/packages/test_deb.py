"""The .deb in a clean Debian: installed, started, upgraded, removed, purged."""

import os
import re
import subprocess

import pytest
from conftest import PROJECT, needs
from support.aws import Session, environment
from support.daemon import Daemon
from support.group import Group
from support.process import Server

UNITS = ["rehome-bootstrap.service", "rehome-controller.service", "rehome.service"]
STOPPED = "rehome.service rehome-controller.service rehome-bootstrap.service"
CONFIG = "/etc/rehome.toml"
EXAMPLE = "/etc/rehome/example.toml"
AGENT_RESTARTS = "--no-block try-restart rehome.service"
CONTROLLER_RESTARTS = "--no-block try-restart rehome-controller.service"

# The machine is no member: its daemon looks after the group from elsewhere.
LOOKED_AFTER = """
[[group]]
name  = "orders-db"
agent = false

[[group.volume]]
name     = "data"
device   = "/dev/sdf"
size_gib = 1

[wake]
poll_every = "1s"
"""

# Debian 11's systemd-analyze wants a group of processes to sort into scopes, so
# it gets one of its own instead of the machine's.
IN_A_CGROUP = """
mount -t sysfs sysfs /sys && mount -t cgroup2 cgroup2 /sys/fs/cgroup &&
    mkdir -p /sys/fs/cgroup/rehome-test && echo $$ >/sys/fs/cgroup/rehome-test/cgroup.procs ||
    { echo no cgroup of its own could be made; exit 0; }
unshare --cgroup --mount sh -c 'umount /sys/fs/cgroup && mount -t cgroup2 cgroup2 /sys/fs/cgroup && exec "$@"' sh "$@"
status=$?
echo $$ >/sys/fs/cgroup/cgroup.procs
rmdir /sys/fs/cgroup/rehome-test/init.scope /sys/fs/cgroup/rehome-test 2>/dev/null
exit $status
"""


def said(*words):
    return subprocess.run(words, check=True, capture_output=True, text=True).stdout


def field(deb, name):
    return said("dpkg-deb", "--field", deb, name).strip()


def unpacked(deb, folder):
    said("dpkg-deb", "--extract", deb, folder)
    return {f"/{path.relative_to(folder)}": path for path in folder.rglob("*") if not path.is_dir()}


@needs("dpkg-deb")
def test_it_says_what_it_is(deb, version):
    assert field(deb, "Package") == "rehome"
    assert field(deb, "Version") == f"{version}-1"
    assert field(deb, "Depends") == "libc6 (>= 2.17), ca-certificates, e2fsprogs, procps"
    conffiles = said("dpkg-deb", "--info", deb, "conffiles").split()
    assert conffiles == [EXAMPLE], "never overwritten where it was changed"


@needs("dpkg-deb")
def test_what_is_in_it_is_what_was_built(deb, program, tmp_path):
    files = unpacked(deb, tmp_path)
    assert files["/usr/bin/rehome"].read_bytes() == program.read_bytes()
    assert files[EXAMPLE].read_bytes() == (PROJECT / "packaging/example.toml").read_bytes()
    for unit in UNITS:
        inside = files[f"/usr/lib/systemd/system/{unit}"]
        assert inside.read_bytes() == (PROJECT / "systemd" / unit).read_bytes()
    for path in files:
        assert path.startswith(("/usr/", "/etc/rehome/")), path
    for line in said("dpkg-deb", "--contents", deb).splitlines():
        mode, owner, *_, path = line.split()
        assert owner == "root/root", line
        wanted = "drwxr-xr-x" if path.endswith("/") else "-rwxr-xr-x" if path == "./usr/bin/rehome" else "-rw-r--r--"
        assert mode == wanted, line


@needs("lintian")
def test_lintian_finds_no_fault(deb):
    ended = subprocess.run(["lintian", "--fail-on=error,warning", deb], capture_output=True, text=True)
    assert ended.returncode == 0 and not ended.stdout, ended.stdout + ended.stderr


@pytest.fixture
def installed(root, deb):
    root.run("dpkg", "--install", root.take(deb))
    return root


def test_it_is_installed_and_nothing_is_started(installed):
    assert "install ok installed" in installed.run("dpkg-query", "--show", "--showformat=${Status}", "rehome")
    assert installed.run("dpkg", "--verify", "rehome") == ""
    for path in installed.files("/etc/systemd"):
        assert "rehome" not in path, f"{path}: whoever writes {CONFIG} enables the units"
    assert not installed.path(CONFIG).exists()


def test_it_runs_there(installed, version):
    assert installed.run("rehome", "--version") == f"rehome {version}\n"
    drilled = installed.run("rehome", "drill", "--scenario", "cross-zone")
    assert "12 of 12 held" in drilled
    # A configuration that is wrong is refused before anything is asked of AWS.
    installed.path("/wrong.toml").write_text("colour = 7\n")
    assert "colour" in installed.run("rehome", "plan", "--config", "/wrong.toml", code=2)


class Service(Daemon):
    """What systemd would start there, told to as systemd tells it."""

    def __init__(self, root, url, text):
        super().__init__(root.path("/etc"), url, text, NOTIFY_SOCKET="/etc/notify")
        self.root = root

    def command(self):
        unit = self.root.path("/usr/lib/systemd/system/rehome.service").read_text()
        [start] = re.findall("^ExecStart=(.+)$", unit, re.MULTILINE)
        return ["chroot", self.root.folder, *start.split()]


def test_its_daemon_is_started_there_and_looks_after_a_group(installed):
    words = ["/usr/bin/rehome", "region", "--listen", "127.0.0.1:0", "--seed", "1", "--latency-scale", "0.02"]
    with Server(["chroot", installed.folder, *words], env=environment()) as region:
        group = Group(Session(region.url))
        with Service(installed, region.url, LOOKED_AFTER) as daemon:
            daemon.hears("READY=1")
            group.in_state("InService")
            daemon.status("1 group(s) settled")
            assert daemon.stop() == 0
            daemon.hears("STOPPING=1")


def test_its_example_is_a_configuration(installed):
    installed.run("rehome", "drill", "--config", EXAMPLE, "--scenario", "cross-zone")


def test_systemd_there_finds_no_fault_with_the_units(installed):
    units = [f"/usr/lib/systemd/system/{unit}" for unit in UNITS]
    verified = installed.run("sh", "-c", IN_A_CGROUP, "sh", "systemd-analyze", "verify", "--man=no", *units)
    if verified.startswith("no cgroup"):
        pytest.skip(f"LEFT OUT: packages: the units before Debian 11's systemd: {verified}")
    assert verified == ""
    searched = installed.run("systemd-analyze", "unit-paths").split()
    assert "/usr/lib/systemd/system" in searched


def test_an_upgrade_restarts_the_daemon_alone_and_waits_for_nothing(root, deb):
    package = root.take(deb)
    root.pretend_systemd_runs()
    root.run("dpkg", "--install", package)
    assert root.asked_of_systemd() == ["daemon-reload"]
    mine = root.path(EXAMPLE).read_text() + "# mine\n"
    root.path(EXAMPLE).write_text(mine)
    root.path(CONFIG).write_text(mine)
    root.run("dpkg", "--install", package)
    assert root.asked_of_systemd() == ["daemon-reload", AGENT_RESTARTS, CONTROLLER_RESTARTS]
    assert root.path(EXAMPLE).read_text() == root.path(CONFIG).read_text() == mine


def test_an_upgrade_that_refuses_the_configuration_leaves_the_old_daemon_running(root, deb):
    package = root.take(deb)
    root.pretend_systemd_runs()
    root.run("dpkg", "--install", package)
    root.path(CONFIG).write_text("colour = 7\n")
    root.asked_of_systemd()
    said = root.run("dpkg", "--install", package)
    assert "colour" in said and f"refuses {CONFIG}, so rehome.service is not restarted" in said
    assert root.asked_of_systemd() == ["daemon-reload", CONTROLLER_RESTARTS]


def test_removing_ends_the_daemon_and_leaves_what_is_the_owners(root, deb):
    root.pretend_systemd_runs()
    root.run("dpkg", "--install", root.take(deb))
    root.path(CONFIG).write_text("# mine\n")
    root.asked_of_systemd()
    root.run("dpkg", "--remove", "rehome")
    assert root.asked_of_systemd() == [f"disable --now {STOPPED}", "daemon-reload"]
    assert root.path(EXAMPLE).exists() and root.path(CONFIG).exists()
    root.run("dpkg", "--purge", "rehome")
    assert root.asked_of_systemd() == []
    assert root.path(CONFIG).read_text() == "# mine\n" and not root.path("/etc/rehome").exists()
    assert [path for path in root.files("/usr", "/etc") if "rehome" in path] == [CONFIG]


def test_without_systemd_it_goes_as_it_came(root, deb):
    below = "/etc", "/usr", "/var/lib/systemd"
    before = root.files(*below)
    root.run("dpkg", "--install", root.take(deb))
    assert "/usr/bin/rehome" in root.files(*below) - before
    root.run("dpkg", "--purge", "rehome")
    assert root.files(*below) == before


def test_systemd_itself_enables_and_disables_the_units_of_the_package(installed):
    installed.run("systemctl", "enable", "rehome-bootstrap", "rehome")
    links = {path for path in installed.files("/etc/systemd") if "rehome" in path}
    wants = "/etc/systemd/system/multi-user.target.wants"
    assert links == {f"{wants}/rehome-bootstrap.service", f"{wants}/rehome.service"}
    for link in links:
        assert os.readlink(installed.path(link)).endswith("lib/systemd/system/" + link.rsplit("/", 1)[1])
    installed.run("dpkg", "--remove", "rehome")
    assert not {path for path in installed.files("/etc/systemd") if "rehome" in path}
