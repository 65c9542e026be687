# PostgreSQL on the volume at /srv/data: the parameter Setup of a stack with
# Units=database.service (docs/deploying.md, "PostgreSQL").
if command -v dnf; then
  dnf install --assumeyes postgresql17-server
  bin=/usr/bin
else
  # Debian, Ubuntu: without the cluster that the package makes on the root disk.
  mkdir -p /etc/postgresql-common
  echo 'create_main_cluster = false' >/etc/postgresql-common/createcluster.conf
  apt-get update
  DEBIAN_FRONTEND=noninteractive apt-get install --yes postgresql
  bin=$(echo /usr/lib/postgresql/*/bin)
fi
systemctl disable --now postgresql.service || true

cat >/usr/local/sbin/database-files <<END
#!/bin/sh
# Before each start, as root: a cluster on an empty volume, whole or not at all;
# and the files are postgres's, whatever number that has here.
set -eu
data=/srv/data/pgsql
if [ ! -e \$data ]; then
  if ls -A /srv/data | grep -vx -e lost+found -e pgsql.new; then
    echo "there is no \$data, but this: no empty cluster beside it" >&2
    exit 1
  fi
  rm -rf \$data.new
  install -d -o postgres -g postgres -m 700 \$data.new
  runuser -u postgres -- $bin/initdb -k -A scram-sha-256 --auth-local=peer -D \$data.new
  mv \$data.new \$data
fi
[ "\$(stat -c %U \$data)" = postgres ] || chown -R postgres: \$data
END
chmod 755 /usr/local/sbin/database-files

cat >/etc/systemd/system/database.service <<END
[Unit]
Description=PostgreSQL, whose files come with the volume
After=network.target
[Service]
Type=notify
User=postgres
RuntimeDirectory=postgresql
ExecStartPre=+/usr/local/sbin/database-files
ExecStart=$bin/postgres -D /srv/data/pgsql -k /run/postgresql
ExecReload=/bin/kill -HUP \$MAINPID
# SIGINT ends the sessions and writes a checkpoint; the fence bounds that. A
# recovery takes the time it takes.
KillMode=mixed
KillSignal=SIGINT
TimeoutSec=infinity
END
systemctl daemon-reload
