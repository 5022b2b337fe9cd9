package shape

import (
	"time"

	"mdalp"
)

// The JSON that ping prints. Times are null where nothing answered.
type (
	Ping struct {
		Head
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
		Duplicate int64      `json:"duplicate_messages"`
		Foreign   int64      `json:"foreign_messages"`
		Malformed int64      `json:"malformed_messages"`
		Hosts     []HostPing `json:"hosts"`
	}
	HostPing struct {
		Address string `json:"address"`
		Name    string `json:"name"`
		// Of the echoes that were sent, from 0 to 1; 0 if none was.
		Loss float64 `json:"loss_ratio"`
		Echoes
		Error *string `json:"error"`
	}
)

// NewPing makes the JSON of a ping that ended as its head says. r is nil if it did not
// come to pinging; names are what whoever asked calls its hosts.
func NewPing(h Head, names []string, r *mdalp.PingReport) Ping {
	j := Ping{Head: h, Hosts: []HostPing{}}
	if r == nil {
		return j
	}
	j.Socket, j.Elapsed, j.Silent = Ptr(r.Mode.String()), inSeconds(r.Elapsed), r.Silent()
	j.Duplicate, j.Foreign, j.Malformed = r.Duplicate, r.Foreign, r.Malformed
	for i := range r.Hosts {
		h, e := &r.Hosts[i], &r.Hosts[i].Echoes
		x := HostPing{Address: h.Addr.String(), Name: names[i], Echoes: newEchoes(e)}
		// It says nothing more then.
		if x.Name == x.Address {
			x.Name = ""
		}
		if e.Sent > 0 {
			x.Loss = float64(h.Lost()) / float64(e.Sent)
		}
		if h.Err != nil {
			x.Error = Ptr(h.Err.Error())
		}
		j.Hosts = append(j.Hosts, x)
	}
	return j
}

// InMillis gives d in milliseconds.
func InMillis(d time.Duration) float64 { return float64(d) / float64(time.Millisecond) }
