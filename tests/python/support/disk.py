"""One machine with a real disk: a loop device that a process in a mount
namespace of its own sees as the NVMe disk of an EBS volume.

What the kernel shows is a folder that the test writes into from outside, so
that a volume can be plugged in while `rehome` is already waiting for it.
"""

import os
import shutil
import subprocess
from pathlib import Path

import pytest

MODEL = "Amazon Elastic Block Store"
# Stands in for systemd's: starting and stopping is a file that comes and goes.
SYSTEMCTL = """#!/bin/sh
cd "$(dirname "$0")/units" || exit 1
verb=$1; shift
case $verb in
is-active) for unit; do if [ -e "$unit" ]; then echo active; else echo inactive; fi; done ;;
start) : >"$1" ;;
stop) rm -f "$1" ;;
esac
"""
# Runs a command where the disks are those of this machine and no others.
ENTER = """
set -e
dev=$1 block=$2; shift 2
for node in null zero full random urandom; do cp -a /dev/$node "$dev/"; done
mount --bind "$dev" /dev
mount --bind "$block" /sys/block
mount -t tmpfs none /run
exec "$@"
"""


def needed():
    """Why there can be no such machine here, if there cannot."""
    if os.geteuid() != 0:
        return "needs root"
    if not os.path.exists("/dev/loop-control"):
        return "there are no loop devices"
    missing = [tool for tool in ("unshare", "losetup", "mkfs.ext4", "blkid") if not shutil.which(tool)]
    return f"{', '.join(missing)} not installed" if missing else None


class Machine:
    def __init__(self, folder):
        if why := needed():
            pytest.skip(f"LEFT OUT: bootstrap on a real disk: {why}")
        self.folder, self._held = Path(folder), []
        for name in ("dev", "block", "bin/units", "mnt"):
            (self.folder / name).mkdir(parents=True)
        # The folder of the tests may be on a file system that knows no devices.
        call("mount", "-t", "tmpfs", "-o", "mode=755,dev", "none", self.folder / "dev")
        systemctl = self.folder / "bin/systemctl"
        systemctl.write_text(SYSTEMCTL)
        systemctl.chmod(0o755)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        for held in self._held:
            held.close()
        call("umount", self.folder / "dev")

    @property
    def point(self):
        return self.folder / "mnt/data"

    @property
    def path(self):
        return f"{self.folder / 'bin'}:{os.environ['PATH']}:/usr/sbin:/sbin"

    def inside(self, *command):
        """The command that runs this one on the machine."""
        enter = ["unshare", "--mount", "--propagation", "private", "sh", "-c", ENTER, "enter"]
        return [*enter, str(self.folder / "dev"), str(self.folder / "block"), *map(str, command)]

    def disk(self, mib=64):
        """A blank disk that no kernel shows yet: its loop device."""
        image = self.folder / f"disk{len(self._held)}.img"
        with open(image, "wb") as file:
            file.truncate(mib << 20)
        device = call("losetup", "--find", "--show", image).strip()
        # From now on it goes with the last that has it open.
        self._held.append(open(device, "rb"))
        call("losetup", "--detach", device)
        return device

    def plug(self, device, volume, name="nvme1n1"):
        minor = device.removeprefix("/dev/loop")
        call("mknod", self.folder / "dev" / name, "b", "7", minor)
        coming = self.folder / f"coming-{name}"
        (coming / "device").mkdir(parents=True)
        (coming / "dev").write_text(f"7:{minor}\n")
        (coming / "size").write_text(f"{os.path.getsize(self.folder / 'disk0.img') // 512}\n")
        (coming / "device/model").write_text(f"{MODEL}       \n")
        (coming / "device/serial").write_text(volume.replace("-", "") + "\n")
        coming.rename(self.folder / "block" / name)

    def units(self):
        return sorted(unit.name for unit in (self.folder / "bin/units").iterdir())


def call(*command):
    return subprocess.run(list(map(str, command)), check=True, capture_output=True, text=True).stdout
