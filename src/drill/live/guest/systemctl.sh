#!/bin/bash
# As much of systemctl as rehome asks for, with one unit: PostgreSQL on the
# data volume. No systemd runs in a network namespace.
set -u
unit=postgresql.service
data=$DATA_MOUNT/main
state=/run/units/$unit
pid=/run/postgresql/main.pid
options="-c listen_addresses=* -c external_pid_file=$pid -c cluster_name=$(cat /run/name)"

as_postgres() { setpriv --reuid=postgres --regid=postgres --init-groups -- "$@"; }

runs() { [[ -s $pid ]] && kill -0 "$(head -n 1 "$pid")" 2>/dev/null; }

is_active() {
    case $(cat "$state" 2>/dev/null) in
        activating) echo activating ;;
        deactivating) echo deactivating ;;
        *) if runs; then echo active; else echo inactive; fi ;;
    esac
}

# ExecStartPre=: a cluster is made once, and has its name only when it is whole.
make_cluster() {
    [[ -d $data ]] && return
    rm -rf "$data.new"
    install -d -o postgres -g postgres -m 700 "$data.new"
    as_postgres initdb --data-checksums --auth=trust --encoding=UTF8 --locale=C -D "$data.new" >>/run/console.log 2>&1 || return
    echo "host all all all trust" >>"$data.new/pg_hba.conf"
    mv "$data.new" "$data"
    sync -f "$DATA_MOUNT"
}

start() {
    # RequiresMountsFor=: never on the root disk.
    mountpoint -q "$DATA_MOUNT" || { echo "$DATA_MOUNT is not mounted" >&2; return 1; }
    runs && return
    echo activating >"$state"
    if make_cluster && as_postgres pg_ctl -D "$data" -s -w -t 100 -l /run/postgresql/main.log -o "$options" start; then
        echo active >"$state"
    else
        tail -n 5 /run/postgresql/main.log >&2
        echo failed >"$state"
        return 1
    fi
}

stop() {
    if runs; then
        echo deactivating >"$state"
        as_postgres pg_ctl -D "$data" -s -m fast -w -t 100 stop || { echo active >"$state"; return 1; }
    fi
    echo inactive >"$state"
}

verb=
units=()
for word in "$@"; do
    case $word in
        -*) ;;
        *) if [[ $verb ]]; then units+=("$word"); else verb=$word; fi ;;
    esac
done
status=0
for one in "${units[@]}"; do
    if [[ $one != "$unit" ]]; then
        [[ $verb == is-active ]] && echo inactive
        status=5
        continue
    fi
    case $verb in
        is-active) is_active ;;
        start) start || status=1 ;;
        stop) stop || status=1 ;;
        *) echo "systemctl $verb: there is no such thing here" >&2; status=1 ;;
    esac
done
exit "$status"
