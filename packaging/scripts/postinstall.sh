#!/bin/sh
# Runs after installation and upgrade, by dpkg, rpm or apk. It must be in the shell that
# every such system has.
set -e

case "$1" in
abort-*) exit 0 ;; # dpkg: nothing was installed
esac

# Raw sockets for pings, for every user; nothing else. A filesystem without extended
# attributes is no reason to fail: mdalp then goes on as well as it can, and says so.
if ! setcap cap_net_raw+ep /usr/bin/mdalp; then
	echo "mdalp: no capability for pings; 'mdalp doctor' tells what to do" >&2
fi

# The service is neither enabled nor started: it opens a port. But where it runs, the new
# program takes the place of the old one.
if [ -d /run/systemd/system ]; then
	systemctl daemon-reload || :
	systemctl --quiet try-restart mdalpd.service || :
fi
