package script

import (
	"net"
	"strconv"
	"strings"
	"time"

	"github.com/rogpeppe/go-internal/testscript"
)

// got is the command got.
func got(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) < 2 || of(ts).peers[args[0]] == nil {
		ts.Fatalf("usage: got NAME KEY=VALUE...")
	}
	p := of(ts).peers[args[0]]
	p.quiet(ts)
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.wrong != "" {
		ts.Fatalf("the peer was sent what is wrong: %s", p.wrong)
	}
	only := 0
	for _, a := range args[1:] {
		k, v, _ := strings.Cut(a, "=")
		all, left := 0, 0
		for i, n := range p.data {
			if all += n; i+1 != only {
				left += n
			}
		}
		have := ""
		switch k {
		case "intents":
			have = strconv.Itoa(p.intent)
		case "data":
			have = strconv.Itoa(all)
		case "only":
			only, _ = strconv.Atoi(v)
			have = v
		case "left":
			have = strconv.Itoa(left)
		case "payload":
			var b []byte
			for seq := range int64(len(p.parts)) {
				b = append(b, p.parts[seq]...)
			}
			if string(b) != ts.ReadFile(v) {
				ts.Fatalf("the payload of %d bytes is not %s", len(b), v)
			}
			have = v
		default:
			ts.Fatalf("unknown key %s", k)
		}
		if have != v {
			ts.Fatalf("%s is %s instead of %s", k, have, v)
		}
	}
}

// asked is the command asked: it waits for an intent.
func asked(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 1 || of(ts).peers[args[0]] == nil {
		ts.Fatalf("usage: asked NAME")
	}
	p := of(ts).peers[args[0]]
	select {
	case <-p.intents:
	case <-time.After(patience):
		ts.Fatalf("nobody asks the peer")
	}
}

// quiet waits until every socket has read what was sent to it before: a datagram of our
// own comes behind all of that. Without it a count would depend on how far the
// goroutines have come.
func (p *peer) quiet(ts *testscript.TestScript) {
	for _, c := range p.socks {
		_, err := p.other.WriteToUDPAddrPort([]byte("mark"), c.LocalAddr().(*net.UDPAddr).AddrPort())
		ts.Check(err)
		select {
		case <-p.marks:
		case <-time.After(patience):
			ts.Fatalf("the peer hangs")
		}
	}
}
