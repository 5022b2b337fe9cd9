#!/usr/bin/env bash
# What the status page costs a server that is busy: the same transfer without anybody who
# looks, and with a scrape of /metrics and one of /v1/status every second, in turns. It
# prints CPU seconds of the server's process for a gigabyte, and the ratio of each pair.
#
#   bench/status.sh [PAIRS [GIGABYTES]]
#
# It needs Go, curl, taskset and two CPUs. The payload is all holes, and takes no memory.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
pairs=${1:-7} size=${2:-12}
port=24650 http=127.0.0.1:28650
tmp=$(mktemp -d /dev/shm/status.XXXXXX)
server=
scraper=
finish() {
	[[ -z $scraper ]] || kill "$scraper" 2>/dev/null || true
	[[ -z $server ]] || kill -INT "$server" 2>/dev/null || true
	rm -rf "$tmp"
}
trap finish EXIT

go build -o "$tmp/" ./cmd/mdalp ./cmd/mdalpd
truncate -s "${size}G" "$tmp/payload"
taskset -c 0 "$tmp/mdalpd" --listen 127.0.0.1:$port --receivers 127.0.0.1:$port,127.0.0.2:$port,127.0.0.3:$port \
	--http $http 2>"$tmp/log" &
server=$!
until curl -sf $http/healthz >/dev/null; do kill -0 $server; done

# Nanoseconds on a CPU, of all threads (the kernel's Documentation/scheduler/sched-stats.rst).
used() { cat /proc/$server/task/*/schedstat | awk '{ n += $1 } END { printf "%.0f\n", n }'; }
send() {
	local before
	before=$(used)
	taskset -c 1 "$tmp/mdalp" -q -a 127.0.0.1 -p $port -f "$tmp/payload" --no-verify --balance equal >/dev/null
	echo $(($(used) - before))
}
scrape() {
	while sleep 1; do
		curl -s $http/metrics $http/v1/status >/dev/null
	done
}

send >/dev/null # warm
for ((i = 0; i < pairs; i++)); do
	# Who comes first changes, so that neither has the warmer machine.
	if ((i % 2 == 0)); then without=$(send); fi
	taskset -c 1 bash -c "$(declare -f scrape); http=$http; scrape" &
	scraper=$!
	with=$(send)
	kill $scraper
	wait $scraper 2>/dev/null || true
	scraper=
	if ((i % 2 == 1)); then without=$(send); fi
	awk -v a="$without" -v b="$with" -v n="$size" \
		'BEGIN { printf "alone %.4f s/GiB, scraped %.4f s/GiB, ratio %.4f\n", a/1e9/n, b/1e9/n, b/a }'
done | tee "$tmp/pairs"
sort -t' ' -k8 -n "$tmp/pairs" | awk '{ r[NR] = $8 } END { printf "median ratio %.4f\n", r[int((NR + 1) / 2)] }'
