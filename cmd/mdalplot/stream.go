package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/netip"
	"slices"
	"strings"
	"time"

	"mdalp/cmd/internal/shape"
)

// addr is where a receiver is; the zero value if the file does not tell.
func addr(x *shape.LineReceiver) netip.AddrPort {
	a, _ := netip.ParseAddr(x.Address)
	return netip.AddrPortFrom(a, x.Port)
}

// decode reads the next object. It fills v in only if the object has that schema, as
// the same keys of others hold other things. The error is io.EOF behind the last
// object, io.ErrUnexpectedEOF inside of one, or what encoding/json says.
func decode(d *json.Decoder, want string, v any) (schema string, err error) {
	var raw json.RawMessage
	if err := d.Decode(&raw); err != nil {
		return "", err
	}
	var head struct {
		Schema string `json:"schema"`
	}
	if err := json.Unmarshal(raw, &head); err != nil || head.Schema != want {
		return head.Schema, err
	}
	return head.Schema, json.Unmarshal(raw, v)
}

// readStream reads the events of one or more files that were sent. As with a capture,
// what came before an error is given with it.
func readStream(in io.Reader) ([]*transfer, error) {
	all := []*transfer{}
	var t *transfer
	var began float64 // when the split was made
	lines := json.NewDecoder(in)
	for n := 1; ; n++ {
		var e shape.Line
		schema, err := decode(lines, shape.SendSchema, &e)
		switch {
		case err == io.EOF:
			// A file that got no offer has nothing to draw, and would be in the way of the only one that
			// has.
			return slices.DeleteFunc(all, func(t *transfer) bool { return len(t.receivers) == 0 }), nil
		case errors.Is(err, io.ErrUnexpectedEOF):
			err = fmt.Errorf("it ends in the middle of object %d: it was cut", n)
		case err != nil:
			err = fmt.Errorf("object %d is not the JSON of mdalp: %w", n, bare(err))
		case strings.HasPrefix(schema, "mdalp.bench/"):
			err = errors.New("that is a comparison of mdalp bench: draw it with mdalplot compare")
		case schema != shape.SendSchema:
			err = fmt.Errorf("object %d has the schema %q instead of %q", n, schema, shape.SendSchema)
		}
		if err != nil {
			if len(all) == 0 {
				return nil, err
			}
			return all, err
		}
		// A stream may begin anywhere, or be the objects of --json alone.
		if t == nil || e.Event.Event == "started" {
			t, began = &transfer{events: true, tid: -1}, 0
			all = append(all, t)
		}
		// It may begin again. What was acknowledged before is drawn no more: it counts for nothing,
		// or the split has it.
		if e.Event.Event == "offer" {
			t.receivers = nil
		}
		// Times are told since the transfer began; the picture begins when there is something to
		// send.
		if e.Event.Event == "split" {
			began = e.At
		}
		t.take(&e, e.At-began)
		// The next object belongs to the next file.
		if e.Event.Event == "finished" {
			t = nil
		}
	}
}

// take adds what an event tells. Keys that an event does not have leave what was known
// before: none goes back to 0.
func (t *transfer) take(e *shape.Line, at float64) {
	if e.Size > 0 {
		t.size = e.Size
	}
	if e.TID != nil {
		t.tid = *e.TID
	}
	if e.Segments > 0 {
		t.segments = e.Segments
	}
	switch e.Event.Event {
	// They tell of an instant and not of progress, so the step stays on the height it had.
	case "retransmission", "dead":
		if r := t.find(&e.LineReceiver); r != nil {
			r.steps = append(r.steps,
				step{at, r.acked, e.Event.Event == "retransmission", e.Event.Event == "dead"})
		}
		return
	}
	for i := range e.Receivers {
		x := &e.Receivers[i]
		r := t.find(x)
		if r == nil {
			r = &receiver{addr: addr(x)}
			t.receivers = append(t.receivers, r)
		}
		if x.Name != "" {
			r.name = x.Name
		}
		if x.LatencyMS != nil {
			r.latency, r.guessed = time.Duration(*x.LatencyMS*1e6), x.Guessed
		}
		if x.Share > 0 {
			r.bytes = x.Share
		}
		if e.Event.Event == "split" || e.Event.Event == "progress" {
			r.acked = x.Acked
			r.steps = append(r.steps, step{at: at, acked: x.Acked})
		}
	}
}

// find gives the receiver that is meant, or nil. The address tells them apart; names
// may be equal or empty.
func (t *transfer) find(x *shape.LineReceiver) *receiver {
	at := addr(x)
	i := slices.IndexFunc(t.receivers, func(r *receiver) bool { return r.addr == at })
	if i < 0 {
		return nil
	}
	return t.receivers[i]
}
