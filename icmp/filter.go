package icmp

import (
	"golang.org/x/net/bpf"
	"golang.org/x/net/ipv4"
	"golang.org/x/net/ipv6"
)

// replyFilter is a classic BPF program for a raw ICMP socket of the family (4
// or 6). It passes echo replies with the identifier id and drops the rest.
//
// Every raw socket of the host gets a copy of every ICMP message: without the
// filter two clients that probe at the same time fill each other's buffers.
//
// The type is looked at even though the socket has a filter for types too:
// ICMP_FILTER lets types from 32 on through, whatever its bits say (raw(7) and
// icmp_filter in the kernel's net/ipv4/raw.c), and the extended echo reply,
// type 43 (RFC 8335), has an identifier in the same place.
func replyFilter(family int, id uint16) []bpf.Instruction {
	// X is where the ICMP header starts. A raw IPv4 socket shows the IP header,
	// whose length varies; an IPv6 one does not (RFC 3542 section 3).
	start := bpf.Instruction(bpf.LoadMemShift{Off: 0})
	reply := uint32(ipv4.ICMPTypeEchoReply)
	if family == 6 {
		start = bpf.LoadConstant{Dst: bpf.RegX, Val: 0}
		reply = uint32(ipv6.ICMPTypeEchoReply)
	}
	return []bpf.Instruction{
		start,
		bpf.LoadIndirect{Off: 0, Size: 1},
		bpf.JumpIf{Cond: bpf.JumpNotEqual, Val: reply, SkipTrue: 3},
		bpf.LoadIndirect{Off: 4, Size: 2},
		bpf.JumpIf{Cond: bpf.JumpNotEqual, Val: uint32(id), SkipTrue: 1},
		bpf.RetConstant{Val: 1<<32 - 1}, // the whole message
		bpf.RetConstant{Val: 0},
	}
}
