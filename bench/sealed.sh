#!/usr/bin/env bash
# What sealing costs: the same file to the same server, with a key and without, in turns, and with
# quic-go and its encryption beside it:
#
#   bench/sealed.sh [ROUNDS [COMMIT]]
#
# It needs Go, GNU time and 3 GB in /dev/shm, and a machine on which nothing else runs. The server is
# bound to the first CPU, the sender to the second. With COMMIT, one from before sealing, it says by
# how much the client's binary has grown since. Prints each round, and medians of the ratios.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
rounds=${1:-5} before=${2:-}
tmp=$(mktemp -d /dev/shm/sealed-XXXXXX)
server=
finish() {
	[[ -z $server ]] || kill "$server" 2>/dev/null || true
	[[ ! -d $tmp/before ]] || git worktree remove --force "$tmp/before"
	rm -rf "$tmp"
}
trap finish EXIT
# As the README has it.
build() { CGO_ENABLED=0 go build -trimpath -ldflags='-s -w' "$@"; }
build -o "$tmp" ./cmd/mdalp ./cmd/mdalpd
(cd bench/peers && build -o "$tmp/quic" ./quic)
if [[ -n $before ]]; then
	git worktree add -q --detach "$tmp/before" "$before"
	(cd "$tmp/before" && build -o "$tmp/mdalp-before" ./cmd/mdalp)
	stat -c %s "$tmp/mdalp-before" "$tmp/mdalp" | xargs |
		awk '{printf "mdalp: %.2f MB, %.2f MB before sealing: %.2f MB more\n", $2/1e6, $1/1e6, ($2-$1)/1e6}'
fi
size=$((1 << 30))
head -c $size /dev/urandom >"$tmp/payload"
"$tmp/mdalp" key "$tmp/key" >/dev/null

# timed COMMAND... prints the CPU seconds for a gigabyte.
timed() {
	/usr/bin/time -f '%U %S' -o "$tmp/time" taskset -c 1 "$@" >/dev/null
	awk -v size=$size '{printf "%.3f\n", ($1+$2)/(size/1e9)}' "$tmp/time"
}

# used prints what the server has used since it was asked last, likewise.
last=0
used() {
	local now
	now=$(awk -v hz="$(getconf CLK_TCK)" '{printf "%.2f", ($14+$15)/hz}' "/proc/$server/stat")
	awk -v a="$last" -v b="$now" -v size=$size 'BEGIN{printf "%.3f", (b-a)/(size/1e9)}'
	last=$now
}

# pair WHAT OPTION... sends plain and sealed; who comes first changes from round to round.
pair() {
	local what=$1 way plain sealed plainly sealing
	shift
	for way in $order; do
		if [[ $way = plain ]]; then
			plain=$(timed "$tmp/mdalp" -q -a 127.1.0.1 -p 4650 -f "$tmp/payload" --no-verify "$@")
			used >"$tmp/used" && plainly=$(<"$tmp/used")
		else
			sealed=$(timed "$tmp/mdalp" -q -a 127.1.0.1 -p 4650 -f "$tmp/payload" --no-verify --key "$tmp/key" "$@")
			used >"$tmp/used" && sealing=$(<"$tmp/used")
		fi
	done
	awk -v what="$what" -v p="$plain" -v s="$sealed" -v sp="$plainly" -v ss="$sealing" -v q="$quic" \
		'BEGIN{printf "%-22s plain %.3f, sealed %.3f CPU s/GB, ratio %.3f; to quic-go %.3f; server %.3f, %.3f, ratio %.3f\n",
			what, p, s, s/p, s/q, sp, ss, ss/sp}' | tee -a "$tmp/pairs"
}

for ((i = 0; i < rounds; i++)); do
	order="plain sealed"
	((i % 2 == 0)) || order="sealed plain"
	taskset -c 0 "$tmp/quic" -serve 127.0.0.1:5702 >/dev/null &
	peer=$!
	sleep .3
	quic=$(timed "$tmp/quic" -send 127.0.0.1:5702 -f "$tmp/payload")
	wait "$peer"
	for n in 8 3; do
		all=$(seq -s, -f '127.1.0.%g' $n)
		taskset -c 0 "$tmp/mdalpd" --listen 127.1.0.1:4650 --receivers "$all" --key "$tmp/key" 2>"$tmp/log" &
		server=$! last=0
		until grep -q msg=listening "$tmp/log"; do sleep .05; done
		if ((n == 8)); then
			pair "8 of 1,200 bytes" --segment 1200
		else
			pair "3 of the default size"
		fi
		kill "$server"
		wait "$server" || true
		server=
	done
done
for what in 8 3; do
	for field in "ratio" "to quic-go"; do
		grep "^$what " "$tmp/pairs" | sed "s/.*sealed[^;]*$field \([0-9.]*\);.*/\1/; s/.*; $field \([0-9.]*\);.*/\1/" | sort -n |
			awk -v what="$what" -v field="$field" '{r[NR]=$1} END{printf "%s receivers: median %s %.3f\n", what, field, r[int((NR+1)/2)]}'
	done
done
