#!/bin/sh
# Runs before removal, by dpkg, rpm or apk. The capability goes with the file.
set -e

case "$1" in
upgrade | failed-upgrade | deconfigure | 1) exit 0 ;; # dpkg and rpm: a new version follows
esac

if [ -d /run/systemd/system ]; then
	systemctl --quiet disable --now mdalpd.socket mdalpd.service || :
fi
