// Package wireshark_test runs mdalp.lua, the dissector beside it, in tshark.
package wireshark_test

import (
	"bytes"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"mdalp/internal/need"
	"mdalp/internal/pcapng"
)

// tshark has tshark read a capture of datagrams, twice if pass2, and print the fields of
// what the dissector takes: a line for each packet, fields that come several times in
// one cell with commas.
func tshark(t *testing.T, all []pcapng.Datagram, pass2 bool, fields ...string) []string {
	t.Helper()
	if _, err := exec.LookPath("tshark"); err != nil {
		need.Skip(t, "tshark is missing")
	}
	var b bytes.Buffer
	w := pcapng.NewWriter(&b, "mdalp test")
	for i := range all {
		if err := w.Write(&all[i]); err != nil {
			t.Fatal(err)
		}
	}
	if err := w.Flush(); err != nil {
		t.Fatal(err)
	}
	name := filepath.Join(t.TempDir(), "capture.pcapng")
	if err := os.WriteFile(name, b.Bytes(), 0o644); err != nil {
		t.Fatal(err)
	}
	args := []string{"-X", "lua_script:mdalp.lua", "-r", name, "-o", "udp.check_checksum:TRUE", "-o", "ip.check_checksum:TRUE", "-T", "fields", "-E", "separator=|"}
	if pass2 {
		args = append(args, "-2", "-R", "mdalp")
	} else {
		args = append(args, "-Y", "mdalp")
	}
	for _, f := range fields {
		args = append(args, "-e", f)
	}
	c := exec.Command("tshark", args...)
	c.Env = append(os.Environ(), "HOME="+t.TempDir(), "TZ=UTC", "LC_ALL=C") // nobody's own settings
	var stderr bytes.Buffer
	c.Stderr = &stderr
	out, err := c.Output()
	// A mistake in Lua is no error of tshark: it only says so.
	if err != nil || strings.Contains(strings.ToLower(stderr.String()), "lua") || strings.Contains(string(out), "Lua Error") {
		t.Fatalf("%v\n%s%s", err, stderr.String(), out)
	}
	return strings.Split(strings.TrimSuffix(string(out), "\n"), "\n")
}

// say makes a datagram between a client and a peer: ">" or "<", then the text.
func say(ms int, text string) pcapng.Datagram {
	d := pcapng.Datagram{
		At: time.Unix(1_700_000_000, int64(ms)*1e6), Proto: pcapng.UDP,
		Src: netip.MustParseAddrPort("192.0.2.1:50000"), Dst: netip.MustParseAddrPort("192.0.2.2:4650"),
		Data: []byte(text[1:]),
	}
	if text[0] == '<' {
		d.Src, d.Dst = d.Dst, d.Src
	}
	return d
}

// conversation says all of them, a tenth of a second apart.
func conversation(texts ...string) (all []pcapng.Datagram) {
	for i, s := range texts {
		all = append(all, say(100*i, s))
	}
	return all
}

// TestSealed follows a sealed transaction: all that belongs to it is told to be sealed, and
// its acknowledgements find the segment with their number.
func TestSealed(t *testing.T) {
	const tag = "0123456789abcdef"
	got := tshark(t, conversation(
		">Type:0;DATA:{'key': '66687aad', 'noise': 'MTIzNA=='};", "<Type:1;TID:7;DATA:{'noise': 'MTIzNA=='};",
		">Type:4;TID:7;SEQ:0;DATA:{'xyz"+tag, "<Type:5;TID:7;SEQ:0;DATA:xyz"+tag,
		">Type:2;TID:7;SEQ:0;NUM:0;DATA:\x00"+tag, ">Type:2;TID:7;SEQ:1;NUM:1;DATA:\x80"+tag, "<Type:3;TID:7;SEQ:0;NUM:1;DATA:\x02,"+tag,
		">Type:2;TID:8;SEQ:0;NUM:0;DATA:plain, and as long as a tag",
	), true, "mdalp.type", "mdalp.sealed", "mdalp.malformed", "mdalp.acked_in", "mdalp.ack_of", "mdalp.state.manifest")
	want := []string{"0|1||||", "1|1||||", "4|1||||", "5|1||||3", "2|1||||", "2|1||7||", "3|1|||6|", "2|||||"}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
}

func TestFields(t *testing.T) {
	tests := []struct {
		text   string
		fields string
		want   string
	}{
		{">Type:0;", "mdalp.type mdalp.tid _ws.col.Protocol _ws.col.Info ip.checksum.status udp.checksum.status", "0||MDALP|Intent|1|1"},
		{">Type:0", "mdalp.type _ws.expert.message", "0|"},
		{"<Type:1;TID:3740;DATA:[{'ip_address': '177.71.168.45', 'name': '5th Receiver'}, {\"name\": 'it\\'s }{', 'ip_address': 'a.example', 'port': 7, 'seg': 1400, 'win': 8}];",
			"mdalp.tid mdalp.receivers mdalp.receiver.address mdalp.receiver.name mdalp.receiver.port mdalp.receiver.seg mdalp.receiver.win mdalp.extended _ws.expert",
			"3740|2|177.71.168.45,a.example|5th Receiver,it's }{|7|1400|8|0|"},
		{"<Type:1;TID:1;DATA:[{'ip_address': '10.0.0.1', 'seg': 1400, 'win': 8}];", "mdalp.extended mdalp.receiver.seg", "1|1400"},
		{"<Type:1;TID:1;DATA:[]", "mdalp.receivers _ws.expert", "0|"},
		{"<Type:1;TID:1;DATA:[{'name': 'x'}]", "mdalp.receivers _ws.expert.message", "1|A receiver without ip_address"},
		{"<Type:1;TID:1;DATA:[{'ip_address': '10.0.0.1", "mdalp.receivers mdalp.malformed", "|1"},
		{">Type:2;TID:9223372036854775807;SEQ:0030;DATA:a;b", "mdalp.type mdalp.tid mdalp.seq mdalp.data mdalp.data_len mdalp.try mdalp.retransmission", "2|9223372036854775807|30|613b62|3|1|0"},
		{">Type:2;TID:7;SEQ:1234567890123;DATA:", "mdalp.seq mdalp.data_len mdalp.data", "1234567890123|0|"},
		{">Type:2;TID:7;DATA:x", "mdalp.type mdalp.missing_field _ws.expert.message", "2|1|Data without SEQ"},
		{"<Type:3;TID:7;SEQ:41;DATA:30-41,45,47-52;", "mdalp.type mdalp.seq mdalp.range.first mdalp.range.last _ws.col.Info", "3|41|30,45,47|41,45,52|Ack TID=7 SEQ=41 Len=15 Arrived=30-41,45,47-52"},
		{"<Type:3;TID:7;SEQ:41;DATA:5-3", "mdalp.type mdalp.malformed", "3|1"},
		{"<Type:3;TID:7;SEQ:41;DATA:3,", "mdalp.type mdalp.malformed", "3|1"},
		{">Type:4;TID:7;SEQ:51;DATA:{'bytes': 5000, 'seg': 1200, 'name': 'a', 'resume': 9, 'from': 3, 'sha256': 'ab', 'new': [1, 'x']};",
			"mdalp.type mdalp.seq mdalp.manifest.bytes mdalp.manifest.seg mdalp.manifest.name mdalp.manifest.resume mdalp.manifest.from mdalp.manifest.sha256 _ws.expert", "4|51|5000|1200|a|9|3|ab|"},
		{"<Type:5;TID:7;SEQ:2;DATA:{'state': 'incomplete', 'have': '12-40,51', 'upto': 60, 'comment': 'later'};",
			"mdalp.type mdalp.state mdalp.state.have mdalp.state.upto mdalp.state.comment _ws.col.Info", "5|incomplete|12-40,51|60|later|State TID=7 SEQ=2 Len=76 incomplete"},
		{"<Type:5;TID:7;DATA:{'state': 'busy', 'wait': 100};", "mdalp.state mdalp.state.wait _ws.expert.message", "busy|100|State without SEQ"},
		{">Type:2;TID:7;SEQ:041;NUM:57;DATA:abc", "mdalp.seq mdalp.num mdalp.data_len mdalp.try", "41|57|3|1"},
		{">Type:2;TID:7;SEQ:0;NUM:00000000000000000057;DATA:abc", "mdalp.type mdalp.malformed", "2|1"},
		// A train that was not cut yet, and a payload with such text in it.
		{">Type:2;TID:7;SEQ:141;NUM:57;DATA:abcType:2;TID:7;SEQ:142;NUM:58;DATA:defType:2;TID:7;SEQ:143;NUM:59;DATA:g",
			"mdalp.seq mdalp.num mdalp.data mdalp.try mdalp.malformed _ws.col.Info", "141,142,143|57,58,59|616263,646566,67|1,1,1||Data TID=7 SEQ=141 NUM=57 Len=3, and 2 more in a train"},
		{"<Type:3;TID:7;SEQ:41;NUM:57;DATA:57;Type:3;TID:7;SEQ:42;NUM:58;DATA:58;", "mdalp.seq mdalp.range mdalp.malformed", "41,42|57,58|"},
		{">Type:2;TID:7;SEQ:041;NUM:57;DATA:abcType:2;TID:7;SEQ:042;NUM:59;DATA:def", "mdalp.seq mdalp.data_len", "41|39"},
		{"<Type:3;TID:7;SEQ:12;NUM:57;DATA:55-57,30-52;", "mdalp.num mdalp.range.first mdalp.range.last mdalp.malformed", "57|55,30|57,52|"},
		{"<Type:3;TID:7;SEQ:12;NUM:57;DATA:30-52,55-57;", "mdalp.num mdalp.malformed", "57|1"},
		{"<Type:3;TID:7;SEQ:12;NUM:57;DATA:55-57,30-54;", "mdalp.num mdalp.malformed", "57|1"},
		// Short segments, and a train of them.
		{">2;H;Bh;5;abc", "mdalp.type mdalp.tid mdalp.seq mdalp.num mdalp.data _ws.col.Info", "2|7|97|57|616263|Data TID=7 SEQ=97 NUM=57 Len=3"},
		{">2;H__________;A;A;", "mdalp.tid mdalp.data_len", "9223372036854775807|0"},
		{">2;IAAAAAAAAAA;A;A;", "mdalp.type mdalp.malformed", "2|1"},
		{">2;H;A;", "mdalp.type mdalp.malformed", "|1"},
		{">2;M;A;A-;ab2;M;B;A_;cd2;M;C;BA;e", "mdalp.seq mdalp.num mdalp.data", "0,1,2|62,63,64|6162,6364,65"},
		{"<Type:1;TID:1;DATA:[{'ip_address': '10.0.0.1', 'seg': 1400, 'win': 8, 'short': 1}];", "mdalp.receiver.short", "1"},
		{">Type:0;DATA:{'key': '66687aad', 'noise': 'MTIzNA=='};", "mdalp.sealed mdalp.key mdalp.noise mdalp.malformed _ws.col.Info", "1|66687aad|MTIzNA==||Intent Len=41 sealed, key 66687aad"},
		{"<Type:1;TID:7;DATA:{'noise': 'MTIzNA=='};", "mdalp.sealed mdalp.noise mdalp.malformed mdalp.receivers _ws.col.Info", "1|MTIzNA==|||Offer TID=7 Len=22 sealed"},
		{"<Type:1;DATA:{'noise': 'MTIzNA=='};", "mdalp.sealed mdalp.missing_field _ws.col.Info", "1||Offer Len=22 sealed, wait"},
		{"<Type:1;TID:7;DATA:{'noise': 'MT", "mdalp.sealed mdalp.malformed", "|1"},
		{"<Type:5;TID:7;SEQ:0;DATA:\x00\x01\xfe0123456789abcdef", "mdalp.sealed mdalp.tag mdalp.malformed _ws.col.Info", "1|30313233343536373839616263646566||State TID=7 SEQ=0 Len=19 sealed"},
		{"<Type:200;TID:7;", "mdalp.type mdalp.unknown_type mdalp.malformed", "200|1|"},
		{">Type:256;", "mdalp.type mdalp.malformed", "|1"},
		{">hello", "mdalp.type mdalp.malformed", "|1"},
		{">Type:2;SEQ:1;TID:1;", "mdalp.seq mdalp.tid _ws.expert.message", "1||Malformed at byte 13: unexpected text"},
		{">Type:2;TID:9223372036854775808;", "mdalp.type mdalp.tid mdalp.malformed", "2||1"},
		{">Type:2;TID:", "mdalp.type mdalp.tid mdalp.malformed", "2||1"},
	}
	// One run of tshark for all: it takes a second to start.
	var all []pcapng.Datagram
	var fields []string
	place := map[string]int{}
	for i, tt := range tests {
		d := say(100*i, tt.text)
		d.Src = netip.AddrPortFrom(d.Src.Addr(), d.Src.Port()+uint16(i)) // nothing belongs together
		d.Dst = netip.AddrPortFrom(netip.MustParseAddr("192.0.2.9"), 4650)
		all = append(all, d)
		for _, f := range strings.Fields(tt.fields) {
			if _, ok := place[f]; !ok {
				place[f] = len(fields)
				fields = append(fields, f)
			}
		}
	}
	got := tshark(t, all, false, fields...)
	if len(got) != len(tests) {
		t.Fatalf("%d of %d packets are dissected:\n%s", len(got), len(tests), strings.Join(got, "\n"))
	}
	for i, tt := range tests {
		cells := strings.Split(got[i], "|")
		var some []string
		for _, f := range strings.Fields(tt.fields) {
			some = append(some, cells[place[f]])
		}
		if s := strings.Join(some, "|"); s != tt.want {
			t.Errorf("%s\ngot  %s\nwant %s", tt.text, s, tt.want)
		}
	}
}

// TestHeuristic takes the protocol on any port, and leaves the rest alone.
func TestHeuristic(t *testing.T) {
	all := conversation(">Type:0;", ">Type of thing: none", ">Typ", ">Type:2;TID:1;SEQ:1;DATA:x")
	for i := range all {
		all[i].Dst = netip.AddrPortFrom(all[i].Dst.Addr(), 40000)
	}
	if diff := cmp.Diff([]string{"1|0", "4|2"}, tshark(t, all, false, "frame.number", "mdalp.type")); diff != "" {
		t.Error(diff)
	}
}

// TestFollow matches segments with acks, and offers with intents.
func TestFollow(t *testing.T) {
	all := conversation(
		">Type:0;",
		"<Type:1;TID:7;DATA:[{'ip_address': '192.0.2.2'}];",
		">Type:2;TID:7;SEQ:0;DATA:a",
		"<Type:3;TID:7;SEQ:0;",
		">Type:2;TID:7;SEQ:1;DATA:b",
		">Type:2;TID:7;SEQ:1;DATA:b",
		"<Type:3;TID:7;SEQ:1;",
		"<Type:3;TID:7;SEQ:1;",
		"<Type:3;TID:7;SEQ:9;",
		">Type:2;TID:8;SEQ:0;DATA:c",
	)
	// What an ICMP error quotes was not sent again.
	quoted := pcapng.Datagram{At: all[9].At.Add(1), Proto: pcapng.ICMP, Src: all[9].Dst, Dst: all[9].Src, Data: []byte{3, 3, 0, 0, 0, 0, 0, 0}}
	quoted.Src, quoted.Dst = netip.AddrPortFrom(quoted.Src.Addr(), 0), netip.AddrPortFrom(quoted.Dst.Addr(), 0)
	var b bytes.Buffer
	w := pcapng.NewWriter(&b, "")
	w.Write(&all[9])
	w.Flush()
	packet := b.Bytes()[bytes.Index(b.Bytes(), []byte{0x45, 0}):]
	quoted.Data = append(quoted.Data, packet[:int(packet[2])<<8+int(packet[3])]...)
	sum := pcapng.Checksum(quoted.Data)
	quoted.Data[2], quoted.Data[3] = byte(sum>>8), byte(sum)
	all = append(all, quoted)

	fields := []string{"frame.number", "mdalp.offer.intent", "mdalp.offer.wait", "mdalp.try", "mdalp.retransmission", "mdalp.retransmission_of", "mdalp.acked_in", "mdalp.ack_of", "mdalp.ack_delay", "mdalp.duplicate_ack", "_ws.expert.message"}
	want := []string{
		"1||||||||||",
		"2|1|0.100000000||||||||",
		"3|||1|0||4||||",
		"4|||||||3|0.100000000|0|",
		"5|||1|0||7||||",
		"6|||2|1|5|7||||Segment sent again",
		"7|||||||6|0.100000000|0|",
		"8|||||||6|0.200000000|1|Segment acknowledged before",
		"9||||||||||Ack of a segment that is not in the capture",
		"10|||1|0||||||",
		"11||||||||||",
	}
	want[8] = "9|||||||||0|Ack of a segment that is not in the capture"
	if diff := cmp.Diff(want, tshark(t, all, true, fields...)); diff != "" {
		t.Error(diff)
	}
}

// TestFollowExtended matches segments with acks by NUM, and states with manifests.
func TestFollowExtended(t *testing.T) {
	all := conversation(
		">Type:4;TID:7;SEQ:0;DATA:{'bytes': 5, 'seg': 2};",
		"<Type:5;TID:7;SEQ:0;DATA:{'state': 'open', 'have': ''};",
		">Type:2;TID:7;SEQ:0;NUM:0;DATA:ab",
		">Type:2;TID:7;SEQ:1;NUM:1;DATA:cd",
		">Type:2;TID:7;SEQ:2;NUM:2;DATA:e",
		"<Type:3;TID:7;SEQ:0;NUM:2;DATA:1-2;",
		">Type:2;TID:7;SEQ:0;NUM:3;DATA:ab",
		"<Type:3;TID:7;SEQ:1;NUM:3;DATA:1-3;",
		"<Type:3;TID:7;SEQ:2;NUM:3;DATA:1-3;",
		"<Type:3;TID:7;SEQ:3;NUM:9;DATA:9,1-3;",
	)
	want := []string{
		"1||||||||||",
		"2|1|0.100000000||||||||",
		"3|||1|0||||||",
		"4|||1|0||6||||",
		"5|||1|0||6||||",
		"6|||||||5|0.100000000|2|",
		"7|||2|1|3|8||||Segment sent again",
		"8|||||||7|0.100000000|1|",
		"9|||||||||0|Segment acknowledged before",
		"10|||||||||0|Ack of a segment that is not in the capture",
	}
	got := tshark(t, all, true, "frame.number", "mdalp.state.manifest", "mdalp.state.delay", "mdalp.try", "mdalp.retransmission", "mdalp.retransmission_of", "mdalp.acked_in", "mdalp.ack_of", "mdalp.ack_delay", "mdalp.newly_acked", "_ws.expert.message")
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
}

// TestComments are those of our writer.
func TestComments(t *testing.T) {
	all := conversation(">Type:0;", ">Type:2;TID:7;SEQ:1;DATA:b")
	all[0].Comment, all[0].Dir = "intent", pcapng.Out
	all[1].Comment, all[1].Dir = "receiver 2, SEQ 30, try 2", pcapng.In
	all[1].Src, all[1].Dst = netip.MustParseAddrPort("[2001:db8::1]:1"), netip.MustParseAddrPort("[2001:db8::2]:4650")
	want := []string{"intent|2|1700000000.000000000|", "receiver 2, SEQ 30, try 2|1|1700000000.100000000|2001:db8::1"}
	got := tshark(t, all, false, "frame.comment", "frame.packet_flags_direction", "frame.time_epoch", "ipv6.src")
	for i := range got {
		got[i] = strings.ReplaceAll(got[i], "0x0000000", "")
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
}
