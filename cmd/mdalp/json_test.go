package main

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"io"
	"os"
	"os/exec"
	"reflect"
	"slices"
	"strings"
	"syscall"
	"testing"

	"mdalp"
	"mdalp/cmd/internal/halfway"
	"mdalp/cmd/internal/shape"
)

// result reads one finished object strictly.
func result(t *testing.T, line []byte) *shape.Result {
	t.Helper()
	d := json.NewDecoder(bytes.NewReader(line))
	d.DisallowUnknownFields()
	r := new(shape.Result)
	if err := d.Decode(r); err != nil {
		t.Fatalf("%v: %s", err, line)
	}
	return r
}

// events splits output into lines, each of which must be as the schema says.
func events(t *testing.T, out []byte) (names []string, lines [][]byte) {
	t.Helper()
	top := published(t, "send")
	in := bufio.NewScanner(bytes.NewReader(out))
	in.Buffer(nil, 1<<20)
	for in.Scan() {
		var v map[string]any
		if err := json.Unmarshal(in.Bytes(), &v); err != nil {
			t.Fatalf("%v: %s", err, in.Bytes())
		}
		if f := top.check(top, "$", v); f != "" {
			t.Errorf("%s\n%s", f, in.Bytes())
		}
		names, lines = append(names, v["event"].(string)), append(lines, bytes.Clone(in.Bytes()))
	}
	return names, lines
}

// command runs mdalp with one more variable in its environment, or "".
func command(t *testing.T, env string, args ...string) (stdout, stderr string, code int) {
	t.Helper()
	c := exec.Command("mdalp", args...)
	var out, errs bytes.Buffer
	c.Stdout, c.Stderr = &out, &errs
	c.Env = append(slices.DeleteFunc(os.Environ(), func(v string) bool { return strings.HasPrefix(v, "MDALP_") }), "GORACE=atexit_sleep_ms=0", env)
	if err := c.Run(); err != nil && c.ProcessState == nil {
		t.Fatal(err)
	}
	return out.String(), errs.String(), c.ProcessState.ExitCode()
}

// TestJSON sends, and fails in every way; what comes out fits the schema, and tells
// what happened.
func TestJSON(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	f := payloadFile(t, dir, "f", 250)
	good := newReceivers(t, 2)
	bad := newReceivers(t, 1)
	bad.say("Type:1;TID:7;DATA:[1];")
	deaf := newReceivers(t, 2)
	deaf.hold(1, 0)
	silent := newReceivers(t, 1)
	silent.say("-")
	for name, c := range map[string]struct {
		args   []string
		code   int
		status string
		kind   string
		tid    int64
		bytes  int64
	}{
		"complete":   {[]string{"-p", good.port, "-f", f, "--balance", "equal"}, 0, "complete", "", 3740, 250},
		"pinged":     {[]string{"-p", good.port, "-f", f}, 0, "complete", "", 3740, 250},
		"single":     {[]string{"-p", good.port, "-f", f, "-m2", "-s2"}, 0, "complete", "", 3740, 250},
		"empty":      {[]string{"-p", good.port, "-f", payloadFile(t, dir, "empty", 0)}, 0, "complete", "", 0, 0},
		"quiet":      {[]string{"-p", good.port, "-f", f, "-q"}, 0, "complete", "", 3740, 250},
		"server":     {[]string{"-p", good.port, "-f", f, "-m2", "-s9"}, 2, "failed", "usage", 3740, 0},
		"mode":       {[]string{"-p", good.port, "-f", f, "-m3"}, 2, "failed", "usage", 0, 0},
		"no file":    {[]string{"-p", good.port}, 2, "failed", "usage", 0, 0},
		"no port":    {[]string{"-f", f}, 2, "failed", "usage", 0, 0},
		"missing":    {[]string{"-p", good.port, "-f", dir + "/missing"}, 4, "failed", "system", 0, 0},
		"name":       {[]string{"-p", good.port, "-f", f, "-4", "-a", "::1"}, 4, "failed", "system", 0, 0},
		"bind":       {[]string{"-p", good.port, "-f", f, "--bind", "192.0.2.77"}, 4, "failed", "system", 0, 0},
		"refused":    {[]string{"-p", noPort, "-f", f}, 3, "failed", "no_offer", 0, 0},
		"bad offer":  {[]string{"-p", bad.port, "-f", f}, 3, "failed", "bad_offer", 0, 0},
		"timeout":    {[]string{"-p", silent.port, "-f", f, "--intent-timeout", "10ms"}, 3, "failed", "no_offer", 0, 0},
		"deadline":   {[]string{"-p", deaf.port, "-f", f, "--balance", "equal", "--deadline", "3s", "--rto", "fixed"}, 1, "incomplete", "incomplete", 3740, 125},
		"no address": {[]string{"-p", good.port, "-f", f, "-a", ""}, 2, "failed", "usage", 0, 0},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if name == "pinged" {
				needPings(t)
			}
			args := append([]string{"-a", "127.0.0.1"}, c.args...)
			for _, mode := range []string{"--json", "--json-stream"} {
				out, errs, code := command(t, "", append(args, mode)...)
				if code != c.code || (errs == "") != (c.code == 0) {
					t.Errorf("exit code %d: %s", code, errs)
				}
				names, lines := events(t, []byte(out))
				if n := len(names); n == 0 || names[n-1] != "finished" || mode == "--json" && n != 1 {
					t.Fatalf("%s: %v", mode, names)
				}
				r := result(t, lines[len(lines)-1])
				kind, tid := "", int64(0)
				if r.Error != nil {
					kind = r.Error.Kind
					if !strings.Contains(errs, r.Error.Message) {
						t.Errorf("%q is not on standard error: %s", r.Error.Message, errs)
					}
				}
				if r.TID != nil {
					tid = *r.TID
				}
				if r.ExitCode != c.code || r.Status != c.status || kind != c.kind || tid != c.tid || r.Bytes != c.bytes {
					t.Errorf("%s", lines[len(lines)-1])
				}
				if r.Bytes > 0 && (len(r.Receivers) == 0 || r.Elapsed <= 0 || r.Segments != r.Acked+int64(missing(r))) {
					t.Errorf("%s", lines[len(lines)-1])
				}
			}
		})
	}
}

// missing counts the segments in the ranges.
func missing(r *shape.Result) (n int64) {
	for _, m := range r.Missing {
		n += m.Last - m.First + 1
	}
	return n
}

// TestJSONInterrupted ends a transfer by a signal.
func TestJSONInterrupted(t *testing.T) {
	t.Parallel()
	p := newReceivers(t, 2)
	p.hold(1, 0)
	c := exec.Command("mdalp", "-a", "127.0.0.1", "-p", p.port, "-f", payloadFile(t, t.TempDir(), "f", 250), "--balance", "equal", "--json-stream", "--rto", "fixed")
	pipe, err := c.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := c.Start(); err != nil {
		t.Fatal(err)
	}
	var all []byte
	in := bufio.NewReader(pipe)
	for err == nil {
		var line []byte
		line, err = in.ReadBytes('\n')
		all = append(all, line...)
		// The first receiver's two segments are through, the other one is deaf.
		if bytes.Contains(line, []byte(`"progress"`)) && bytes.Contains(line, []byte(`"acknowledged_segments":2,`)) {
			c.Process.Signal(syscall.SIGINT)
		}
	}
	if err != io.EOF {
		t.Fatal(err)
	}
	c.Wait()
	names, lines := events(t, all)
	r := result(t, lines[len(lines)-1])
	if c.ProcessState.ExitCode() != exitInterrupted || r.ExitCode != exitInterrupted || r.Status != "interrupted" ||
		r.Error == nil || r.Error.Message != "interrupted (SIGINT)" || !reflect.DeepEqual(r.Missing, []shape.Range{{First: 2, Last: 3}}) {
		t.Errorf("%s", lines[len(lines)-1])
	}
	if want := []string{"started", "offer", "split"}; !reflect.DeepEqual(names[:3], want) {
		t.Errorf("%v", names)
	}
}

// TestJSONEvents follows losses and a dead receiver in the stream.
func TestJSONEvents(t *testing.T) {
	t.Parallel()
	needPings(t)
	p := newReceivers(t, 3)
	p.hold(1, 0)
	out, _, code := command(t, "", "-a", "127.0.0.1", "-p", p.port, "-f", payloadFile(t, t.TempDir(), "f", 900), "--json-stream", "--max-tries", "2", "--rto", "fixed")
	names, lines := events(t, []byte(out))
	if code != 0 {
		t.Fatalf("%d: %s", code, out)
	}
	// Progress comes before, between and behind, as time has it; and a busy machine may be
	// late for a receiver that answers.
	var kept []string
	for i, n := range names {
		var x shape.Peer
		json.Unmarshal(lines[i], &x)
		if n != "progress" && (x.Address == "" || x.Address == "127.0.0.2") {
			kept = append(kept, n)
		}
	}
	if want := []string{"started", "offer", "pinged", "split", "retransmission", "dead", "finished"}; !reflect.DeepEqual(kept, want) {
		t.Errorf("%v instead of %v", kept, want)
	}
	var last float64
	for _, l := range lines[:len(lines)-1] {
		var e shape.Event
		json.Unmarshal(l, &e)
		if e.At < last {
			t.Errorf("back in time: %s", l)
		}
		last = e.At
	}
	r := result(t, lines[len(lines)-1])
	x := r.Receivers[1]
	if r.Bytes != 900 || x.Error == nil || *x.Error != "no acknowledgement" || x.Resent != 1 || x.Gave == 0 || x.Acked != 0 {
		t.Errorf("%s", lines[len(lines)-1])
	}
}

// TestJSONStreamBehind fills the pipe: progress is left out, and told when there is room
// again.
func TestJSONStreamBehind(t *testing.T) {
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	defer w.Close()
	s := shape.NewStream(w, await)
	report := halfway.Report(3, "192.0.2.1")
	s.See(report) // offer, split, dead...
	text := make([]byte, 1<<16)
	n, err := r.Read(text)
	if err != nil {
		t.Fatal(err)
	}
	names, _ := events(t, text[:n])
	if want := []string{"offer", "split", "retransmission", "dead", "progress"}; !slices.Equal(names, want) {
		t.Errorf("%v", names)
	}
	<-s.Taken()
	full := bytes.Repeat([]byte{'x'}, 1<<16) // pipe(7)
	if _, err := w.Write(full); err != nil {
		t.Fatal(err)
	}
	x := &report.Receivers[2]
	for range 3 {
		x.Acked, x.Sent = x.Acked+1, x.Sent+1
		s.See(report) // must not block; the first one waits for room, the others are left out
	}
	if n, err := io.ReadFull(r, text); err != nil || !bytes.Equal(text[:n], full) {
		t.Fatal(err)
	}
	for _, want := range []struct {
		names []string
		acked int64
	}{{[]string{"progress"}, 11}, {[]string{"revived", "progress"}, 13}} {
		if n, err = r.Read(text); err != nil {
			t.Fatal(err)
		}
		names, lines := events(t, text[:n])
		var p shape.Progress
		json.Unmarshal(lines[len(lines)-1], &p)
		if !slices.Equal(names, want.names) || len(p.Receivers) != 1 || p.Receivers[0].Acked != want.acked {
			t.Errorf("%s", text[:n])
		}
		<-s.Taken()
		report.Receivers[1].Err = nil
		s.See(report)
	}
}

// TestJSONStreamStuck ends a stream that nobody reads: the end of ctx is not waited
// beyond.
func TestJSONStreamStuck(t *testing.T) {
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer w.Close()
	defer r.Close()
	s := shape.NewStream(w, await)
	report := halfway.Report(1000, "192.0.2.1")
	s.See(report) // more than a pipe holds
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	s.End(ctx, report)
	if s.Flush() {
		t.Error("all was written, to nobody")
	}
}

// TestJSONStreamMany tells of more receivers than a pipe holds, to a reader that takes
// nothing until the end. It hears everything that stays true.
func TestJSONStreamMany(t *testing.T) {
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	s := shape.NewStream(w, await)
	report := halfway.Report(1000, "192.0.2.1")
	for i := range 5 {
		for k := range report.Receivers {
			report.Receivers[k].Acked++
		}
		report.Receivers[2].Err = nil
		if i%2 == 1 {
			report.Receivers[2].Err = io.ErrUnexpectedEOF
		}
		s.See(report) // must not block
	}
	told := make(chan []byte)
	go func() {
		text, _ := io.ReadAll(r)
		told <- text
	}()
	s.End(t.Context(), report)
	w.Close()
	names, lines := events(t, <-told)
	if len(names) < 4 || names[0] != "offer" || names[1] != "split" || names[len(names)-1] != "progress" {
		t.Errorf("%v", names)
	}
	var p shape.Progress
	if err := json.Unmarshal(lines[len(lines)-1], &p); err != nil || len(p.Receivers) != 1000 || p.Receivers[7].Acked != report.Receivers[7].Acked {
		t.Errorf("%v: %.500s", err, lines[len(lines)-1])
	}
}

// TestJSONStreamAnew has a session begin again with another offer, of more receivers: that is
// told from the start.
func TestJSONStreamAnew(t *testing.T) {
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	s := shape.NewStream(w, await)
	told := make(chan []byte)
	go func() {
		text, _ := io.ReadAll(r)
		told <- text
	}()
	first, second := halfway.Report(2, "192.0.2.1"), halfway.Report(3, "192.0.2.7")
	second.TID++
	pinging, finishing := *second, *second
	pinging.Phase, pinging.Segments = mdalp.PhasePinging, 0
	finishing.Phase = mdalp.PhaseFinishing
	waiting := mdalp.Report{Phase: mdalp.PhaseWaiting, TID: first.TID}
	for _, r := range []*mdalp.Report{first, &waiting, &pinging, second, &finishing} {
		s.End(t.Context(), r)
	}
	w.Close()
	names, lines := events(t, <-told)
	of := []string{"offer", "split", "retransmission", "dead", "progress"}
	if want := slices.Concat(of, of, []string{"finishing"}); !slices.Equal(names, want) {
		t.Fatalf("%v", names)
	}
	var offer shape.Offer
	if err := json.Unmarshal(lines[len(of)], &offer); err != nil || offer.TID != second.TID || len(offer.Receivers) != 3 {
		t.Errorf("%v: %s", err, lines[len(of)])
	}
}
