#!/bin/bash
# What an emulated instance does from the moment its power is on: its own
# devices, its own disks in /sys, user data, the service. Process 1 of the
# instance, so its end is the end of everything in it.
set -eu
top=$1
data=$2

mount --rbind "$top/dev" /dev
mount --bind "$top/block" /sys/block
mount -t tmpfs -o mode=755 srv /srv
mount -t tmpfs -o mode=1777 tmp /tmp
# What belongs to the machine that plays this instance stays as it is.
mount -o remount,bind,ro /
mount --rbind "$top/run" /run
cd /

export DATA_MOUNT=$data
# User data.
rehome bootstrap --config /run/rehome.toml >>/run/console.log 2>&1 || true

# The service: Restart=always, RestartSec=1s.
while :; do
    rehome daemon --config /run/rehome.toml >>/run/console.log 2>&1 || true
    sleep 1
done
