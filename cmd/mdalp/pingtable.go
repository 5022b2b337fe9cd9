package main

import (
	"bytes"
	"fmt"
	"net/netip"
	"strconv"
	"time"

	"mdalp"
	"mdalp/cmd/internal/usage"
)

// showPings writes a line for each host, and one for all if there are several.
func showPings(out *bytes.Buffer, t *targets, r *mdalp.PingReport) {
	// Wide enough for the longest, which is known by now: the table is written at the end.
	wide := len("host")
	for i := range t.names {
		wide = max(wide, columns(label(t.names[i], t.addrs[i])))
	}
	out.Write(pingHead(nil, wide))
	var line []byte
	for i := range r.Hosts {
		line = pingLine(line[:0], wide, label(t.names[i], t.addrs[i]), &r.Hosts[i])
		out.Write(line)
	}
	if len(r.Hosts) > 1 {
		pingTotal(out, r)
	}
}

// pingTotal writes the line for all hosts.
func pingTotal(out *bytes.Buffer, r *mdalp.PingReport) {
	sent, received, silent := 0, 0, r.Silent()
	for i := range r.Hosts {
		sent, received = sent+r.Hosts[i].Echoes.Sent, received+r.Hosts[i].Echoes.Received
	}
	fmt.Fprintf(out, "%d hosts: %d answered, %d silent; %d of %d echoes answered", len(r.Hosts), len(r.Hosts)-silent, silent, received, sent)
	if sent > 0 {
		// Rounded down, as above.
		fmt.Fprintf(out, ", %d %% lost", 100*(sent-received)/sent)
	}
	out.WriteByte('\n')
}

// label calls a host by its address, and by its name where that says more.
func label(name string, a netip.Addr) string {
	s := a.String()
	if name == "" || name == s {
		return usage.Name(s)
	}
	return usage.Name(s) + " (" + usage.Name(name) + ")"
}

// column is the width of the columns with figures.
const column = 10

// pingHead appends the line above the table.
func pingHead(b []byte, wide int) []byte {
	b = append(b, "host"...)
	b = pad(b, wide-len("host"))
	for _, s := range []string{"answered", "loss", "min", "median", "mean", "max"} {
		b = right(b, column, s)
	}
	return append(b, "  ms\n"...)
}

// pingLine appends the line of a host. Thousands of lines by package fmt would take
// longer than the echoes.
func pingLine(b []byte, wide int, name string, h *mdalp.HostPing) []byte {
	e := &h.Echoes
	b = append(b, name...)
	b = pad(b, wide-columns(name))
	var cell [24]byte
	c := strconv.AppendInt(cell[:0], int64(e.Received), 10)
	c = append(c, '/')
	b = right(b, column, strconv.AppendInt(c, int64(e.Sent), 10))
	if e.Sent == 0 {
		b = right(b, column, "-")
	} else {
		// Rounded down, so that 100 % says that nothing came at all.
		b = right(b, column, append(strconv.AppendInt(cell[:0], int64(100*h.Lost()/e.Sent), 10), " %"...))
	}
	for _, d := range [...]time.Duration{e.Min, e.Median, e.Mean, e.Max} {
		// A time of 0 would be the best of all.
		if e.Received == 0 {
			b = right(b, column, "-")
			continue
		}
		b = right(b, column, appendMillis(cell[:0], d))
	}
	if h.Err != nil {
		b = append(append(b, "  "...), usage.Line(h.Err)...)
	}
	return append(b, '\n')
}

// appendMillis appends d in milliseconds, to a thousandth.
func appendMillis(b []byte, d time.Duration) []byte {
	us := int64(d.Round(time.Microsecond) / time.Microsecond)
	b = strconv.AppendInt(b, us/1000, 10)
	rest := us % 1000
	return append(b, '.', byte('0'+rest/100), byte('0'+rest/10%10), byte('0'+rest%10))
}

// right appends s, set to the right of a column. What is wider than the column is
// written whole, and shifts the rest of its line.
func right[S string | []byte](b []byte, wide int, s S) []byte {
	return append(pad(b, wide-len(s)), s...)
}

// pad appends n blanks.
func pad(b []byte, n int) []byte {
	for range n {
		b = append(b, ' ')
	}
	return b
}

// The JSON that ping prints. Times are null where nothing answered.
type (
	pingJSON struct {
		headJSON
		// Who named the hosts, and the transaction that was opened to ask; null if they were named
		// on the command line.
		Orchestrator *string `json:"orchestrator"`
		TID          *int64  `json:"tid"`
		Socket       *string `json:"ping_socket"`
		// From the first echo to the end of the wait for answers.
		Elapsed    float64 `json:"elapsed_seconds"`
		Silent     int     `json:"silent_hosts"`
		Unresolved int     `json:"unresolved_hosts"`
		// ICMP messages that were read and measured nothing, by cause.
		Duplicate int64          `json:"duplicate_messages"`
		Foreign   int64          `json:"foreign_messages"`
		Malformed int64          `json:"malformed_messages"`
		Hosts     []hostPingJSON `json:"hosts"`
	}
	hostPingJSON struct {
		Address string `json:"address"`
		Name    string `json:"name"`
		// Of the echoes that were sent, from 0 to 1; 0 if none was.
		Loss float64 `json:"loss_ratio"`
		echoesJSON
		Error *string `json:"error"`
	}
)

// newPingJSON makes the JSON of a ping that ended with err. r is nil if it did not come
// to pinging.
func newPingJSON(t *targets, r *mdalp.PingReport, err error) pingJSON {
	j := pingJSON{headJSON: newHead("mdalp.ping/1", err), Unresolved: t.unresolved, Hosts: []hostPingJSON{}}
	if t.asked.IsValid() {
		j.Orchestrator = ptr(t.asked.String())
	}
	if t.asked.IsValid() && len(t.addrs) > 0 {
		j.TID = &t.tid
	}
	if r == nil {
		return j
	}
	j.Socket, j.Elapsed, j.Silent = ptr(r.Mode.String()), inSeconds(r.Elapsed), r.Silent()
	j.Duplicate, j.Foreign, j.Malformed = r.Duplicate, r.Foreign, r.Malformed
	for i := range r.Hosts {
		h, e := &r.Hosts[i], &r.Hosts[i].Echoes
		x := hostPingJSON{Address: h.Addr.String(), Name: t.names[i], echoesJSON: newEchoes(e)}
		// It says nothing more then.
		if x.Name == x.Address {
			x.Name = ""
		}
		if e.Sent > 0 {
			x.Loss = float64(h.Lost()) / float64(e.Sent)
		}
		if h.Err != nil {
			x.Error = ptr(h.Err.Error())
		}
		j.Hosts = append(j.Hosts, x)
	}
	return j
}

// inMillis gives d in milliseconds.
func inMillis(d time.Duration) float64 { return float64(d) / float64(time.Millisecond) }
