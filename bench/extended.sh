#!/usr/bin/env bash
# What extended transfers cost, beside TCP and quic-go in the same run, in turns:
#
#   bench/extended.sh [ROUNDS [cpu]]
#
# With cpu, the rows to a store and curl are left out: half a minute for five rounds.
# It needs Go, iperf3, curl, sha256sum, GNU time and 3 GB in /dev/shm, and a machine on which
# nothing else runs. Servers are bound to the first CPU, senders to the second, where a line does
# not say free. Prints each round; medians and ratios are for who reads them.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
rounds=${1:-5}
only=${2:-}
tmp=$(mktemp -d /dev/shm/extended-XXXXXX)
server=
web=
end() {
	[[ -z $server ]] || kill "$server" 2>/dev/null || true
	[[ -z $web ]] || kill "$web" 2>/dev/null || true
	rm -rf "$tmp"
}
trap end EXIT
CGO_ENABLED=0 go build -trimpath -ldflags='-s -w' -o "$tmp" ./cmd/mdalp ./cmd/mdalpd
(cd bench/peers && CGO_ENABLED=0 go build -trimpath -ldflags='-s -w' -o "$tmp/quic" ./quic)
size=$((1 << 30))
head -c $size /dev/urandom >"$tmp/payload"

# A web server for curl, which sends files by sendfile(2).
mkdir "$tmp/web"
cat >"$tmp/web/main.go" <<-'END'
	package main

	import (
		"net/http"
		"os"
	)

	func main() {
		panic(http.ListenAndServe("127.0.0.1:8099", http.FileServer(http.Dir(os.Args[1]))))
	}
END
go build -o "$tmp/web/web" "$tmp/web/main.go"
"$tmp/web/web" "$tmp" &
web=$!

# warm has the next gigabyte that is written land on pages that were used a moment ago. In a
# virtual machine others may have to come from the host first, which takes longer than all else.
warm() {
	cp "$tmp/payload" "$tmp/copy"
	rm "$tmp/copy"
}

# timed WHAT CPUS COMMAND... prints the CPU seconds for a gigabyte, the time and the memory.
timed() {
	local what=$1 cpus=$2
	shift 2
	/usr/bin/time -f '%U %S %e %M' -o "$tmp/time" taskset -c "$cpus" "$@" >/dev/null
	awk -v what="$what" -v gb="$(awk "BEGIN{print $size/1e9}")" \
		'{printf "%-44s %6.3f CPU s/GB  %6.3f s  %6.1f MB\n", what, ($1+$2)/gb, $3, $4/1024}' "$tmp/time"
}

# serve CPUS N OPTION... starts a server with N receivers.
serve() {
	local cpus=$1 all
	all=$(seq -s, -f '127.1.0.%g' "$2")
	shift 2
	taskset -c "$cpus" "$tmp/mdalpd" --listen 127.1.0.1:4650 --receivers "$all" "$@" 2>"$tmp/log" &
	server=$!
	until grep -q msg=listening "$tmp/log"; do sleep .05; done
}

# told prints what the server of another program used, which was timed, and has ended.
told() {
	awk -v gb="$(awk "BEGIN{print $size/1e9}")" \
		'{printf "%-44s %6.3f CPU s/GB            %6.1f MB\n", "  its server", ($1+$2)/gb, $3/1024}' "$tmp/served"
}

# ended prints what the server used, and ends it.
ended() {
	awk -v what="  its server" -v gb="$(awk "BEGIN{print $size/1e9}")" -v hz="$(getconf CLK_TCK)" \
		'{printf "%-44s %6.3f CPU s/GB", what, ($14+$15)/hz/gb}' "/proc/$server/stat"
	awk '/VmHWM/{printf "            %6.1f MB\n", $2/1024}' "/proc/$server/status"
	kill "$server"
	wait "$server" || true
	server=
}

send=("$tmp/mdalp" -a 127.1.0.1 -p 4650 -f "$tmp/payload" -q)
for _ in $(seq "$rounds"); do
	for n in 8 1; do
		serve 0 $n
		timed "$n receivers, 1,200 bytes, no digest" 1 "${send[@]}" --segment 1200 --no-verify
		ended
	done
	serve 0 3
	timed "3 receivers, segments of 8,192, no digest" 1 "${send[@]}" --no-verify
	ended
	/usr/bin/time -f '%U %S %M' -o "$tmp/served" taskset -c 0 iperf3 -s -1 -p 5801 >/dev/null &
	tcp=$!
	sleep .3
	timed "TCP, iperf3 -F" 1 iperf3 -c 127.0.0.1 -p 5801 -F "$tmp/payload" -n $size
	wait "$tcp"
	told
	/usr/bin/time -f '%U %S %M' -o "$tmp/served" taskset -c 0 "$tmp/quic" -serve 127.0.0.1:5702 >/dev/null &
	quic=$!
	sleep .3
	timed "quic-go, one stream, encrypted" 1 "$tmp/quic" -send 127.0.0.1:5702 -f "$tmp/payload"
	wait "$quic"
	told
	[[ $only != cpu ]] || continue
	mkdir "$tmp/store"
	serve 0-1 3 --store "$tmp/store"
	warm
	timed "free: to a store, no digest" 0-1 "${send[@]}" --no-verify
	until compgen -G "$tmp/store/*.bin" >/dev/null; do sleep .05; done # nobody waits for it
	rm "$tmp"/store/*.bin
	warm
	timed "free: to a store, digest and verdict" 0-1 "${send[@]}"
	ended
	rm -r "$tmp/store"
	warm
	timed "free: curl" 0-1 curl -s -o "$tmp/copy" http://127.0.0.1:8099/payload
	timed "free: sha256sum behind it" 0-1 sha256sum "$tmp/copy"
	rm "$tmp/copy"
done
