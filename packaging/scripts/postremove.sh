#!/bin/sh
# Runs after removal, by dpkg, rpm or apk.
set -e

if [ -d /run/systemd/system ]; then
	systemctl daemon-reload || :
fi

# dpkg alone purges. What the service received is not the package's to delete.
if [ "$1" = purge ] && [ -d /var/lib/private/mdalpd ]; then
	rm -f /var/lib/private/mdalpd/.lock /var/lib/private/mdalpd/.handover # which are there even when nothing came
	if rmdir /var/lib/private/mdalpd 2>/dev/null; then
		rm -f /var/lib/mdalpd
	else
		echo "mdalp: the payloads stay in /var/lib/private/mdalpd"
	fi
fi
