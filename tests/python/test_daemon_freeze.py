"""`rehome daemon` with `freeze = true` on a real file system: still while a set
of snapshots is begun, and free again when the daemon is killed at that moment."""

import subprocess
import threading

import pytest
from support.aws import environment, until
from support.disk import Machine
from support.group import Group
from support.moto_world import VOLUME
from support.process import PATIENCE, REHOME, run
from support.proxy import Proxy


@pytest.fixture
def served(region, imds, tmp_path):
    """A member with a mounted disk, and the command that runs something there."""
    group = Group(region)
    member = group.in_state("Pending:Wait")
    imds.become(member, group.describe()["Instances"][0]["AvailabilityZone"])
    with Machine(tmp_path / "machine") as machine:
        file = tmp_path / "rehome.toml"
        policy = '[group.policy]\nfreeze = true\nsnapshot_every = "1s"\n'
        file.write_text(f'[[group]]\nname = "orders-db"\n{VOLUME}mount = "{machine.point}"\n{policy}')
        device = machine.disk()

        def volume():
            filters = [{"Name": "tag:rehome:group", "Values": ["orders-db"]}]
            return region.ec2.describe_volumes(Filters=filters)["Volumes"]

        plugged = threading.Thread(
            target=lambda: machine.plug(device, until(volume, "the blank volume")[0]["VolumeId"])
        )
        plugged.start()
        yield machine, file, region.url, imds.url
        plugged.join()


def test_a_daemon_killed_in_the_middle_leaves_nothing_frozen(served):
    machine, file, region, metadata = served
    seen = {}

    def strike(handler, forward):
        # The one process inside that is not the shell around it.
        daemon = machine.folder / "daemon.pid"
        inside = ["nsenter", "--mount", "--target", daemon.read_text().strip()]
        env = environment(PATH=machine.path)
        seen["frozen"] = run([*inside, "fsfreeze", "--freeze", str(machine.point)], env=env)
        subprocess.run(["kill", "-KILL", daemon.read_text().strip()], check=True)
        handler.hang_up()

    # Stays behind in the machine when the daemon is gone, and writes.
    script = f"""
        "$@" & echo $! >{machine.folder}/daemon.pid
        wait
        echo kept >{machine.point}/after && sync {machine.point}/after && cat {machine.point}/after
    """
    with Proxy(region, only="CreateSnapshot", strike=strike) as proxy:
        env = environment(
            proxy.url,
            AWS_EC2_METADATA_SERVICE_ENDPOINT=metadata,
            AWS_EC2_METADATA_DISABLED=None,
            PATH=machine.path,
        )
        command = machine.inside("sh", "-c", script, "sh", REHOME, "daemon", "--config", file)
        with open(machine.folder / "log", "w+") as log:
            # A group of its own, so that whatever it started ends with it.
            process = subprocess.Popen(
                command,
                env=env,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=log,
                text=True,
                process_group=0,
            )
            try:
                said, _ = process.communicate(timeout=PATIENCE)
            finally:
                subprocess.run(["kill", "-KILL", "--", f"-{process.pid}"], check=False)
                process.wait()
                log.seek(0)
                print(log.read())
    assert "frozen" in seen, f"no set of snapshots was begun: {proxy.asked}"
    assert "busy" in seen["frozen"].stderr.lower(), "it was frozen while the call was on its way"
    assert said == "kept\n"
