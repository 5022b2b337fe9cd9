#!/bin/sh
# Runs after removal, by dpkg, rpm or apk.
set -e

if [ -d /run/systemd/system ]; then
	systemctl daemon-reload || :
fi
