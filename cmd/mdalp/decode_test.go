package main

import (
	"bytes"
	"encoding/json"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"mdalp/cmd/internal/shape"
	"mdalp/cmd/internal/table"
	"mdalp/internal/pcapng"
	"mdalp/internal/trace"
)

// continents is a capture with the instants of a real transaction.
const continents = "../../internal/trace/testdata/continents.pcapng"

func TestDecodeContinents(t *testing.T) {
	tr, err := decodeFile(continents, trace.Keys{})
	if err != nil {
		t.Fatal(err)
	}
	var got bytes.Buffer
	table.Trace(&got, "continents.pcapng", tr)
	want := `continents.pcapng: 126 packets, 2021-06-23 20:06:32.451806 to 20:20:13.732535 UTC; 108 MDALP messages, 18 ICMP echoes and answers

transaction 3740 of 172.31.43.71:49710: everything was acknowledged
  intent  20:06:32.451806  to 18.139.29.142:4650, sent once
  offer   20:19:47.485433  after 795.034 s, 3 receivers
  pings   2.348 s, 9 of 9 echoes answered
  data    20:19:49.833796  for 23.899 s: 51 segments, 5000 bytes in 55 datagrams
  resent  4 retransmissions; 4 first transmissions lost
  acks    51 of 51 segments, 0 duplicates

             receiver          name  echoes  rtt mean ms  segments  bytes  resent  lost  acked  duplicate     ack delay min/median/mean/max ms
   177.71.168.45:4650  5th Receiver     3/3      335.133        10    963       2     2     10          0  1704.170/1712.139/1712.124/1720.486
   54.200.52.112:4650  4th Receiver     3/3      162.839        20   1981       1     1     20          0      831.803/853.302/852.567/874.709
  18.134.193.153:4650  2nd Receiver     3/3      156.852        21   2056       1     1     21          0      833.095/860.030/855.075/879.003
`
	if diff := cmp.Diff(want, got.String()); diff != "" {
		t.Error(diff)
	}
	got.Reset()
	shape.Encode(&got, shape.NewDecode(newHead(shape.DecodeSchema, nil), "continents.pcapng", tr))
	if f := published(t, "decode").fault(t, got.Bytes()); f != "" {
		t.Errorf("%s\n%s", f, &got)
	}
	var j shape.Decode
	if err := json.Unmarshal(got.Bytes(), &j); err != nil || strings.Count(got.String(), "\n") != 1 {
		t.Fatal(err, got.String())
	}
	x := j.Transactions[0]
	if !x.Acknowledged || x.Segments != 51 || x.Resent != 4 || x.LostFirst != 4 || *x.Wait != 795.033627123 || *x.Transfer != 23.898739696 {
		t.Errorf("%+v", x)
	}
	if r := x.Receivers[1]; *r.AckMinMS != 831.80299 || *r.AckMaxMS != 874.708958 || *x.Receivers[0].MeanMS != 335.132983 {
		t.Errorf("%+v, %+v", r, x.Receivers[0])
	}
}

// TestDecodeOdd shows what a good transaction does not have.
func TestDecodeOdd(t *testing.T) {
	at := time.Unix(1_700_000_000, 0)
	say := func(s float64, out bool, text string) *pcapng.Datagram {
		d := &pcapng.Datagram{
			At: at.Add(time.Duration(s * 1e9)), Proto: pcapng.UDP, Data: []byte(text),
			Src: netip.MustParseAddrPort("10.0.0.1:7"), Dst: netip.MustParseAddrPort("10.0.0.2:4650"),
		}
		if !out {
			d.Src, d.Dst = d.Dst, d.Src
		}
		return d
	}
	tests := []struct {
		name string
		in   []*pcapng.Datagram
		want []string // lines, in their order
	}{
		{"hostile", []*pcapng.Datagram{say(0, false, "Type:1;TID:1;DATA:[evil()]")}, []string{
			"transaction 1 of 10.0.0.1:7: nothing was sent", "  offer   22:13:20.000000  from 10.0.0.2:4650, bad: offer: byte 1: ",
		}},
		{"no intent, too long, verdict", []*pcapng.Datagram{
			say(0, false, "Type:1;TID:1;DATA:[{'ip_address': '10.0.0.2', 'name': '\\x1b[2J'}]"),
			say(1, true, "Type:2;TID:1;SEQ:0;DATA:a"), say(100, false, "Type:3;TID:1;SEQ:0;"), say(101, false, "Type:5;TID:1;SEQ:0;DATA:{'state': 'refused', 'comment': '\x1b[2J'}"),
		}, []string{
			"NOT COMPLETE, the orchestrator says: refused", "1 receiver; the intent is not in the capture", `  state   22:15:01.000000  refused: "\x1b[2J"`,
			"  limit   it went on for 100.000 s after the offer; receivers may fall silent after 1m30s", `\x1b[2J`,
		}},
		{"late", []*pcapng.Datagram{
			say(0, true, "Type:2;TID:1;SEQ:5;DATA:a"), say(1, false, "Type:3;TID:1;SEQ:5;"), say(2, true, "Type:2"), say(2, true, "Type:;"),
		}, []string{"also there: 2 malformed MDALP messages", "all that is in the capture was acknowledged, but parts are not in it", "  offer   not in the capture", "  unseen  not in the capture: SEQ 0-4"}},
		{"extended", []*pcapng.Datagram{
			say(0, false, "Type:1;TID:1;DATA:[{'ip_address': '10.0.0.2', 'seg': 1200, 'win': 9}]"),
			say(1, true, "Type:4;TID:1;SEQ:0;DATA:{'bytes': 250, 'seg': 100, 'name': 'a b', 'resume': 4}"), say(2, false, "Type:5;TID:1;SEQ:0;DATA:{'state': 'open', 'have': '0-1'}"),
			say(3, true, "Type:2;TID:1;SEQ:2;NUM:0;DATA:a"), say(4, true, "Type:2;TID:1;SEQ:2;NUM:1;DATA:a"), say(5, false, "Type:3;TID:1;SEQ:0;NUM:1;DATA:1"),
			say(6, false, "Type:5;TID:1;SEQ:1;DATA:{'state': 'complete'}"),
		}, []string{
			"transaction 1 of 10.0.0.1:7: complete, the orchestrator says",
			`  payload 22:13:21.000000  250 bytes in segments of 100, named "a b", resumes transaction 4; sent once, answered 2 times`,
			"  state   22:13:22.000000  open, 2 segments stored", "  state   22:13:26.000000  complete", "  resent  1 retransmission; 1 first transmission lost",
			"acks  in flight  bytes/s",
		}},
		{"cut and without times", []*pcapng.Datagram{
			{Proto: pcapng.UDP, Src: netip.MustParseAddrPort("10.0.0.2:4650"), Dst: netip.MustParseAddrPort("10.0.0.1:7"), Data: []byte("Type:1;TID:1;DATA:[{'ip_address': '10.0.0.2'}, {'ip_a"), Cut: true, Missing: 20},
			{Proto: pcapng.UDP, Src: netip.MustParseAddrPort("10.0.0.1:7"), Dst: netip.MustParseAddrPort("10.0.0.2:4650"), Data: []byte("Type:2;TID:1;SEQ:0;DATA:a"), Cut: true, Missing: 99},
			{Proto: pcapng.UDP, Src: netip.MustParseAddrPort("10.0.0.2:4650"), Dst: netip.MustParseAddrPort("10.0.0.1:7"), Data: []byte("Type:3;TID:1;SEQ:0;")},
		}, []string{"everything was acknowledged", "  offer   at no time  from 10.0.0.2:4650, cut short by the capture: 1 receiver of it and perhaps more", "  data    at no time: 1 segment, 100 bytes in 1 datagram", "  acks    1 of 1 segments, 0 duplicates"}},
		{"acks", []*pcapng.Datagram{say(0, false, "Type:3;TID:1;SEQ:5;")}, []string{"only acknowledgements are in the capture"}},
	}
	for _, tt := range tests {
		var a trace.Analyzer
		for _, d := range tt.in {
			a.Add(d)
		}
		var b bytes.Buffer
		tr := a.Finish()
		table.Trace(&b, "x", tr)
		rest := b.String()
		for _, w := range tt.want {
			_, after, ok := strings.Cut(rest, w)
			if !ok {
				t.Errorf("%s: no %q in its place in\n%s", tt.name, w, &b)
			}
			rest = after
		}
		if strings.Contains(b.String(), "\x1b") {
			t.Errorf("%s: an escape sequence reaches the terminal: %q", tt.name, &b)
		}
		b.Reset()
		shape.Encode(&b, shape.NewDecode(newHead(shape.DecodeSchema, exited(exitIncomplete)), "x", tr))
		if f := published(t, "decode").fault(t, b.Bytes()); f != "" {
			t.Errorf("%s: %s\n%s", tt.name, f, &b)
		}
	}
}
