package main

import (
	"encoding/json"
	"errors"
	"io"
	"io/fs"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"syscall"
	"time"

	"mdalp/cmd/internal/usage"
	"mdalp/loop"
	"mdalp/server"
)

const (
	// handoverName is the file in the store by which a process tells the next one of clients
	// that have sent no segment: what they have sent stands in spools and journals.
	handoverName = ".handover"
	// mostHandover is far more than a handover has, in bytes.
	mostHandover = 256 << 20
)

// A handover is what is in the file. Sockets are told by their addresses, as the next process
// may have others.
type handover struct {
	At      time.Time `json:"at"`
	Offers  []waiter  `json:"offers"`
	Intents []waiter  `json:"intents"`
}

// A waiter is a client, and where it has asked.
type waiter struct {
	TID     int64          `json:"tid,omitzero"`
	Offered time.Time      `json:"offered,omitzero"`
	Client  netip.AddrPort `json:"client"`
	Local   netip.AddrPort `json:"local"`
	Socket  netip.AddrPort `json:"socket"`
}

// leave tells the next process who waits. It is called once the loop has ended, before Close.
func (d *daemon) leave() {
	if d.dir == "" {
		return
	}
	h := d.Handover()
	if len(h.Offers)+len(h.Intents) == 0 {
		return
	}
	file := handover{At: time.Now()}
	wait := func(a server.Asked) waiter {
		return waiter{Client: a.Client, Local: a.Local, Socket: d.socks[a.Sock].LocalAddr()}
	}
	for _, o := range h.Offers {
		w := wait(o.Asked)
		w.TID, w.Offered = o.TID, o.At
		file.Offers = append(file.Offers, w)
	}
	for _, a := range h.Intents {
		file.Intents = append(file.Intents, wait(a))
	}
	b, err := json.Marshal(file)
	if err == nil {
		// Not in place: half of one would be none.
		name := filepath.Join(d.dir, handoverName)
		if err = os.WriteFile(name+".new", b, 0o600); err == nil {
			err = os.Rename(name+".new", name)
		}
	}
	if err != nil {
		d.log.Warn("clients that wait are not told to the next start",
			"clients", len(h.Offers)+len(h.Intents), "err", usage.File(err))
	}
}

// resume serves those whom the last process has left. It is called before the loop begins.
func (d *daemon) resume(now time.Time, limit time.Duration) {
	if d.dir == "" {
		return
	}
	file, err := readHandover(filepath.Join(d.dir, handoverName))
	if errors.Is(err, fs.ErrNotExist) {
		return
	}
	if err != nil {
		d.log.Warn("clients that the last run left cannot be read", "err", usage.File(err))
		return
	}
	// Nobody waits for so long. A clock that was set back tells nothing.
	if now.Sub(file.At) >= limit {
		return
	}
	var h server.Handover
	asked := func(w waiter) (server.Asked, bool) {
		i := slices.IndexFunc(d.socks, func(k *loop.Socket) bool { return k.LocalAddr() == w.Socket })
		return server.Asked{Client: w.Client, Local: w.Local, Sock: i}, i >= 0
	}
	for _, w := range file.Offers {
		if a, ok := asked(w); ok {
			h.Offers = append(h.Offers, server.Offered{Asked: a, TID: w.TID, At: w.Offered})
		}
	}
	for _, w := range file.Intents {
		if a, ok := asked(w); ok {
			h.Intents = append(h.Intents, a)
		}
	}
	d.front.TakeOver(now, h)
	d.log.Info("clients of the last run are served", "offers", len(h.Offers), "intents", len(h.Intents))
}

// readHandover reads the file, which is good once, and removes it.
func readHandover(name string) (file handover, err error) {
	f, err := os.OpenFile(name, os.O_RDONLY|syscall.O_NOFOLLOW|syscall.O_NONBLOCK, 0)
	if err != nil {
		return file, err
	}
	defer f.Close()
	if err := os.Remove(name); err != nil {
		return file, err
	}
	b, err := io.ReadAll(io.LimitReader(f, mostHandover))
	if err == nil {
		err = json.Unmarshal(b, &file)
	}
	return file, err
}
