"""The PostgreSQL that docs/deploying.md sets up, made and started for real, as
far as it can be had without systemd: its unit's own commands are run."""

import os
import shutil
import subprocess
from pathlib import Path

import pytest
from support.process import PATIENCE, PROJECT
from support.template import Template

SETUP = PROJECT / "cloudformation/setup/postgresql.sh"
# Where what it writes is seen by nobody else, with packages that are there already.
ENTER = """
set -eu
mkdir "$WORLD/etc" "$WORLD/bin" && cp -a /etc/. "$WORLD/etc" && mount --bind "$WORLD/etc" /etc
for folder in /usr/local/sbin /srv /run; do mount -t tmpfs none $folder; done
ip link set lo up
mkdir /srv/data
for name in apt-get systemctl; do
    printf '#!/bin/sh\\necho "%s $*" >>"$WORLD/asked"\\n' $name >"$WORLD/bin/$name" && chmod 755 "$WORLD/bin/$name"
done
PATH=$WORLD/bin:$PATH:/usr/sbin
bash -euo pipefail "$SETUP"
"""
# The unit, as systemd would start and stop it.
UNIT = """
unit=/etc/systemd/system/database.service
said() { sed -n "s/^$1=+*//p" $unit; }
starts() {
    $(said ExecStartPre)
    install -d -o "$(said User)" "/run/$(said RuntimeDirectory)"
    runuser -u "$(said User)" -- $(said ExecStart) >>"$WORLD/log" 2>&1 &
    for n in $(seq 300); do pg_isready -q && return; sleep 0.1; done
    cat "$WORLD/log"; exit 9
}
stops() {
    kill -"$(said KillSignal)" "$(head -n 1 /srv/data/pgsql/postmaster.pid)"
    wait
}
sql() { runuser -u postgres -- psql --no-psqlrc --tuples-only --no-align --command "$1"; }
"""


def needed():
    if os.geteuid() != 0:
        return "needs root"
    if not list(Path("/usr/lib/postgresql").glob("*/bin/postgres")):
        return "there is no PostgreSQL as Debian packages it"
    missing = [tool for tool in ("unshare", "ip", "pg_isready", "psql") if not shutil.which(tool)]
    return f"{', '.join(missing)} not installed" if missing else None


def done(folder, script):
    """What the script prints on a machine on which the setup was run."""
    if why := needed():
        pytest.skip(f"LEFT OUT: the setup of PostgreSQL: {why}")
    world = folder / "world"
    world.mkdir()
    command = ["unshare", "--mount", "--net", "--pid", "--fork", "--propagation", "private"]
    command += ["bash", "-c", ENTER + UNIT + script]
    environ = dict(os.environ, WORLD=str(world), SETUP=str(SETUP))
    # Not in the tests' own folder, into which PostgreSQL's user may not look.
    ended = subprocess.run(
        command, env=environ, capture_output=True, text=True, timeout=PATIENCE, stdin=subprocess.DEVNULL, cwd="/"
    )
    assert ended.returncode == 0, ended.stdout + ended.stderr
    return ended.stdout


def test_it_is_a_parameter_of_the_stacks():
    more = {"Setup": SETUP.read_text(), "Units": "database.service", "HealthCommand": "pg_isready,-q"}
    for name in ("stateful-instance", "standby-pair"):
        declared = Template(name).parameters
        assert len(more["Setup"]) <= declared["Setup"]["MaxLength"]
        assert declared["MountPoint"]["Default"] == "/srv/data"
        wrong = Template(name).refusals(more)
        assert not [why for why in wrong if any(parameter in why for parameter in more)], wrong


def test_what_was_written_is_there_on_the_next_machine(tmp_path):
    said = done(
        tmp_path,
        """
        starts
        sql "create table orders (id int)"
        sql "insert into orders values (1), (2)"
        sql "show data_checksums"
        stops
        # There, the user has another number.
        chown -R nobody /srv/data/pgsql
        starts
        sql "select count(*) from orders"
        stops
        """,
    )
    assert said.split()[-2:] == ["on", "2"], said


def test_a_cluster_that_was_not_finished_is_begun_anew(tmp_path):
    said = done(
        tmp_path,
        """
        mkdir /srv/data/pgsql.new && touch /srv/data/pgsql.new/PG_VERSION
        starts
        sql "select 40 + 2"
        stops
        ls /srv/data
        """,
    )
    assert said.split()[-2:] == ["42", "pgsql"], said


def test_no_empty_cluster_is_made_beside_what_is_there(tmp_path):
    said = done(
        tmp_path,
        """
        mkdir /srv/data/lost+found /srv/data/pgsql.old
        /usr/local/sbin/database-files && exit 9
        ls /srv/data
        rmdir /srv/data/pgsql.old
        /usr/local/sbin/database-files >"$WORLD/log"
        ls /srv/data
        """,
    )
    assert said.split()[-4:] == ["lost+found", "pgsql.old", "lost+found", "pgsql"], said


def test_nothing_is_started_or_made_on_the_root_disk(tmp_path):
    said = done(tmp_path, 'cat "$WORLD/asked" /etc/postgresql-common/createcluster.conf; ls /srv/data')
    assert "systemctl start" not in said and "systemctl enable" not in said, said
    assert said.splitlines()[-1] == "create_main_cluster = false", said


def test_systemd_understands_the_unit(tmp_path):
    if not shutil.which("systemd-analyze"):
        pytest.skip("LEFT OUT: the unit of PostgreSQL: there is no systemd-analyze")
    said = done(
        tmp_path,
        'systemd-analyze verify --man=no --recursive-errors=no /etc/systemd/system/database.service 2>&1 || echo "refused"',
    )
    assert "database.service" not in said and "refused" not in said, said
