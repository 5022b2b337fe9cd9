package main

import (
	"bufio"
	"encoding/json"
	"io"
	"net/netip"
	"strconv"
	"time"

	"mdalp"
)

// showPings writes what a ping measured: a line for each host, or JSON.
func showPings(w io.Writer, t *targets, r *mdalp.PingReport, asJSON bool) error {
	out := bufio.NewWriter(w)
	if asJSON {
		if err := json.NewEncoder(out).Encode(pingsJSON(t, r)); err != nil {
			return err
		}
		return out.Flush()
	}
	wide := len("host")
	for i := range t.names {
		wide = max(wide, len(label(t.names[i], t.addrs[i])))
	}
	out.Write(pingHead(nil, wide))
	var line []byte
	for i := range r.Hosts {
		line = pingLine(line[:0], wide, label(t.names[i], t.addrs[i]), &r.Hosts[i])
		out.Write(line)
	}
	return out.Flush()
}

// label calls a host by its address, and by its name where that says more.
func label(name string, a netip.Addr) string {
	s := a.String()
	if name == "" || name == s {
		return s
	}
	return s + " (" + name + ")"
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
	b = pad(b, wide-len(name))
	var cell [24]byte
	c := strconv.AppendInt(cell[:0], int64(e.Received), 10)
	c = append(c, '/')
	b = right(b, column, strconv.AppendInt(c, int64(e.Sent), 10))
	if e.Sent == 0 {
		b = right(b, column, "-")
	} else {
		b = right(b, column, append(strconv.AppendInt(cell[:0], int64(100*h.Lost()/e.Sent), 10), " %"...))
	}
	for _, d := range [...]time.Duration{e.Min, e.Median, e.Mean, e.Max} {
		if e.Received == 0 {
			b = right(b, column, "-")
			continue
		}
		b = right(b, column, appendMillis(cell[:0], d))
	}
	if h.Err != nil {
		b = append(append(b, "  "...), h.Err.Error()...)
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

// right appends s, set to the right of a column.
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

// The JSON that ping prints. Times are in milliseconds, null where nothing
// answered.
type (
	pingJSON struct {
		Schema    string         `json:"schema"` // "mdalp.ping/1"
		Socket    string         `json:"socket"`
		TID       int64          `json:"tid,omitempty"`
		ElapsedMS float64        `json:"elapsed_ms"`
		Silent    int            `json:"silent_hosts"`
		Duplicate int64          `json:"duplicate_messages"`
		Foreign   int64          `json:"foreign_messages"`
		Malformed int64          `json:"malformed_messages"`
		Hosts     []hostPingJSON `json:"hosts"`
	}
	hostPingJSON struct {
		Address  string   `json:"address"`
		Name     string   `json:"name,omitempty"`
		Sent     int      `json:"sent"`
		Received int      `json:"received"`
		Loss     float64  `json:"loss_ratio"`
		MinMS    *float64 `json:"min_ms"`
		MedianMS *float64 `json:"median_ms"`
		MeanMS   *float64 `json:"mean_ms"`
		MaxMS    *float64 `json:"max_ms"`
		Error    string   `json:"error,omitempty"`
	}
)

// pingsJSON makes the JSON of a report.
func pingsJSON(t *targets, r *mdalp.PingReport) pingJSON {
	j := pingJSON{
		Schema: "mdalp.ping/1", Socket: r.Mode.String(), TID: t.tid, ElapsedMS: inMillis(r.Elapsed), Silent: r.Silent(),
		Duplicate: r.Duplicate, Foreign: r.Foreign, Malformed: r.Malformed, Hosts: make([]hostPingJSON, len(r.Hosts)),
	}
	for i := range r.Hosts {
		h, e := &r.Hosts[i], &r.Hosts[i].Echoes
		x := hostPingJSON{Address: h.Addr.String(), Name: t.names[i], Sent: e.Sent, Received: e.Received}
		if x.Name == x.Address {
			x.Name = ""
		}
		if e.Sent > 0 {
			x.Loss = float64(h.Lost()) / float64(e.Sent)
		}
		if e.Received > 0 {
			ms := [...]float64{inMillis(e.Min), inMillis(e.Median), inMillis(e.Mean), inMillis(e.Max)}
			x.MinMS, x.MedianMS, x.MeanMS, x.MaxMS = &ms[0], &ms[1], &ms[2], &ms[3]
		}
		if h.Err != nil {
			x.Error = h.Err.Error()
		}
		j.Hosts[i] = x
	}
	return j
}

// inMillis gives d in milliseconds.
func inMillis(d time.Duration) float64 { return float64(d) / float64(time.Millisecond) }
