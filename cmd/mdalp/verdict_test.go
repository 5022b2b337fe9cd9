package main

import (
	"fmt"
	"net"
	"strconv"
	"strings"
	"testing"
)

// newJudge is an orchestrator that is its own receiver of the extended protocol: it takes
// everything, and answers a digest with the state that is given, or not at all.
func newJudge(t *testing.T, verdict string) (port string) {
	t.Helper()
	c, err := net.ListenUDP("udp4", &net.UDPAddr{IP: net.IPv4(127, 0, 0, 1)})
	if err != nil {
		t.Fatal(err)
	}
	port = strconv.Itoa(c.LocalAddr().(*net.UDPAddr).Port)
	done := make(chan struct{})
	go func() {
		defer close(done)
		b := make([]byte, 65536)
		for {
			n, from, err := c.ReadFromUDPAddrPort(b)
			if err != nil {
				return // closed
			}
			if answer := judgement(string(b[:n]), port, verdict); answer != "" {
				c.WriteToUDPAddrPort([]byte(answer), from)
			}
		}
	}()
	t.Cleanup(func() {
		c.Close()
		<-done
	})
	return port
}

// judgement is its answer to a datagram, "" for none.
func judgement(text, port, verdict string) string {
	var seq, num int64
	switch {
	case strings.HasPrefix(text, "Type:0;"):
		return "Type:1;TID:7;DATA:[{'ip_address': '127.0.0.1', 'port': " + port + ", 'seg': 1000, 'win': 8}];"
	case strings.HasPrefix(text, "Type:4;"):
		fmt.Sscanf(text, "Type:4;TID:7;SEQ:%d;", &seq)
		state := "'open', 'win': 8, 'have': ''"
		if strings.Contains(text, "'sha256'") {
			state = verdict
		}
		if state == "" {
			return ""
		}
		return fmt.Sprintf("Type:5;TID:7;SEQ:%d;DATA:{'state': %s};", seq, state)
	}
	fmt.Sscanf(text, "Type:2;TID:7;SEQ:%d;NUM:%d;", &seq, &num)
	return fmt.Sprintf("Type:3;TID:7;SEQ:%d;NUM:%d;DATA:%d-%d;", seq, num, num, num)
}

// TestVerdicts: what the server says of a payload of which everything was acknowledged
// decides about the end. Only what it calls complete is a success.
func TestVerdicts(t *testing.T) {
	t.Parallel()
	f := payloadFile(t, t.TempDir(), "f", 3500)
	for _, c := range []struct {
		name, verdict string
		options       string
		code          int
		kind, state   string
		says          string
	}{
		{"complete", "'complete'", "", exitOK, "", "complete", ""},
		{"damaged", "'damaged'", "", exitUnverified, "damaged", "DAMAGED", "what arrived has another digest"},
		{"refused", "'refused', 'comment': 'disk full'", "", exitUnverified, "refused", "REFUSED", "the server refuses it: disk full"},
		{"none", "", "--deadline 2s", exitUnverified, "unverified", "NOT VERIFIED", "acknowledged, but not verified: the deadline passed"},
		{"busy", "'busy', 'wait': 50", "--deadline 2s", exitUnverified, "unverified", "NOT VERIFIED", "acknowledged, but not verified: the deadline passed"},
		{"not asked for", "'damaged'", "--no-verify", exitOK, "", "complete", ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			args := append([]string{"-a", "127.0.0.1", "-p", newJudge(t, c.verdict), "-f", f, "--ping", "off"}, strings.Fields(c.options)...)
			out, errs, code := command(t, "", args...)
			if code != c.code || !strings.HasPrefix(out, "transaction 7: "+c.state+", 3500 of 3500 bytes") || !strings.Contains(errs, c.says) ||
				strings.Count(errs, "\n") != min(code, 1) {
				t.Errorf("exit code %d: %s%s", code, out, errs)
			}
			verified := strings.Contains(out, ", verified by the server\n")
			if verified != (c.name == "complete") || verified == strings.Contains(out, "; acknowledged, not verified\n") {
				t.Errorf("%s", out)
			}
			out, errs, code = command(t, "", append(args, "--json")...)
			r := result(t, []byte(out))
			kind := ""
			if r.Error != nil {
				kind = r.Error.Kind
			}
			if code != c.code || r.ExitCode != code || kind != c.kind || !r.Extended || r.Verified != verified ||
				(r.SHA256 == nil) != (c.name == "not asked for") || r.Bytes != 3500 || r.Segment == nil || *r.Segment != 1000 {
				t.Errorf("exit code %d: %s%s", code, out, errs)
			}
		})
	}
}

// TestVerdictEvents: the wait for the verdict is an event of its own.
func TestVerdictEvents(t *testing.T) {
	t.Parallel()
	f := payloadFile(t, t.TempDir(), "f", 3500)
	out, _, code := command(t, "", "-a", "127.0.0.1", "-p", newJudge(t, "'complete'"), "-f", f, "--ping", "off", "--json-stream")
	names, _ := events(t, []byte(out))
	n := len(names)
	if code != exitOK || n < 5 || names[n-2] != "finishing" || names[n-1] != "finished" || !strings.Contains(out, `"extended":true,"segment_bytes":1000`) {
		t.Errorf("exit code %d, %v: %s", code, names, out)
	}
}
