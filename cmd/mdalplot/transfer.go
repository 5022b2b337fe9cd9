package main

import (
	"bufio"
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net/netip"
	"os"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"

	"mdalp/cmd/internal/usage"
	"mdalp/internal/trace"
)

// A transfer is what is known of one payload on its way.
type transfer struct {
	tid    int64
	events bool  // it is from --json-stream, which does not tell single segments
	size   int64 // bytes
	// Distinct sequence numbers; sent again or not.
	segments  int64
	receivers []*receiver
	// Of a capture: how long a slot of the receivers is.
	slot time.Duration
	// There were too many datagrams to keep them all: only sums are known.
	large bool
}

// A receiver is one receiver's part. Instants are in seconds since the first segment.
type receiver struct {
	addr    netip.AddrPort
	name    string
	latency time.Duration // the mean of the echoes, or what stood in for it; 0: unknown
	guessed bool
	bytes   int64 // that the split gave it, or that were sent to it
	// From a capture, those that the capture shows; from events, what the last one told.
	acked int64 // segments

	shots  []shot          // of a capture, in their order
	delays []time.Duration // of a capture, by segment
	steps  []step          // of events, in their order
	// Of a capture: what went on when, the most segments that were out at once, what the
	// offer says of that, and the acknowledged bytes a second.
	slots  []trace.Slot
	flight int64
	win    int
	rate   float64
	delay  time.Duration // the median of the acks'
}

// A shot is a datagram with a segment.
type shot struct {
	seq int64
	at  float64
	// Of this segment at this receiver: one that was moved counts from 1 again.
	try  int     // from 1
	next float64 // when it was sent again; 0 if it was not
	// Of an answered one; else 0.
	took  time.Duration // until its acknowledgement
	state state
}

// state says what became of a shot. A shot is a datagram: of one segment the first may
// be unanswered and the second answered.
type state uint8

const (
	answered   state = iota
	unanswered       // it or its acknowledgement was lost, as far as the capture shows
	needless         // an earlier one was being acknowledged already
)

// A step is what an event tells of a receiver.
type step struct {
	// In seconds since the split: events do not tell when the first segment left.
	at     float64
	acked  int64
	resent bool // datagrams were sent again
	dead   bool // it is dead
}

// resent and lost count datagrams.
func (t *transfer) resent() (n int) {
	for _, r := range t.receivers {
		for i := range r.shots {
			if r.shots[i].try > 1 {
				n++
			}
		}
	}
	return n
}

func (t *transfer) lost() (n int) {
	for _, r := range t.receivers {
		for i := range r.shots {
			if r.shots[i].state == unanswered {
				n++
			}
		}
	}
	return n
}

// title names the transaction.
func (t *transfer) title(what string) string { return fmt.Sprintf("%s, TID %d", what, t.tid) }

// about is a line that sums up.
func (t *transfer) about() string {
	s := fmt.Sprintf("%s in %s to %s", count(t.size, "byte"), count(t.segments, "segment"),
		count(int64(len(t.receivers)), "receiver"))
	if !t.events && !t.large {
		s += fmt.Sprintf("; %s sent again, %s unanswered", commas(int64(t.resent())), commas(int64(t.lost())))
	}
	return s
}

// single reports an error for a picture of single segments, if they are not known.
func (t *transfer) single() error {
	if t.large {
		return fmt.Errorf("it has more than %s datagrams with segments: draw its window, rate or share",
			commas(maxSendings))
	}
	return nil
}

// label names a receiver in little room. 4650 is the usual port, which would only take
// room.
func (r *receiver) label() string {
	a := r.addr.Addr().String()
	if r.addr.Port() != 4650 {
		a = r.addr.String()
	}
	return a
}

// count gives a number and what it is of.
func count(n int64, what string) string {
	if n != 1 {
		what += "s"
	}
	return commas(n) + " " + what
}

// commas writes thousands apart.
func commas(n int64) string {
	s := strconv.FormatInt(n, 10)
	first := 0
	if n < 0 {
		first = 1
	}
	for i := len(s) - 3; i > first; i -= 3 {
		s = s[:i] + "," + s[i:]
	}
	return s
}

// millis writes a time in milliseconds with three digits or more. Never more than three
// decimals: below a microsecond there is only noise.
func millis(d time.Duration) string {
	ms := float64(d) / 1e6
	decimals := 0
	for limit := 100.0; ms < limit && decimals < 3; limit /= 10 {
		decimals++
	}
	return strconv.FormatFloat(ms, 'f', decimals, 64) + " ms"
}

// pick gives the transaction with that TID, or the only one if it is negative. A TID
// that is there again stands for its first transaction. Errors list the TIDs to choose
// from, so nobody has to look for them with another tool.
func pick(all []*transfer, tid int64) (*transfer, error) {
	var names []string
	for _, t := range all {
		// Without --tid only where there is no choice: a guess could draw the wrong one unseen.
		if t.tid == tid || tid < 0 && len(all) == 1 {
			return t, nil
		}
		names = append(names, strconv.FormatInt(t.tid, 10))
	}
	// The error must fit on a line.
	if len(names) > 8 {
		names = append(names[:8], "...")
	}
	list := strings.Join(names, ", ")
	switch {
	case len(all) == 0:
		return nil, errors.New("it holds no transaction that sent a segment")
	case tid < 0:
		return nil, usage.Errorf("it holds %d transactions: choose one with --tid: %s", len(all), list)
	}
	return nil, usage.Errorf("it holds no transaction %d: --tid is one of %s", tid, list)
}

// open opens a file, or standard input, and tells whether it begins as JSON does. done
// closes it; it is nil if there is an error.
func open(name string) (in *bufio.Reader, isJSON bool, done func() error, err error) {
	f := os.Stdin
	if name != "-" {
		if f, err = os.Open(name); err != nil {
			return nil, false, nil, usage.File(err)
		}
	}
	in = bufio.NewReader(f)
	// One byte is enough: no magic number of a capture is a brace.
	b, err := in.Peek(1)
	if err != nil {
		f.Close()
		// Peek gives it only for a file without a byte.
		if err == io.EOF {
			return nil, false, nil, errors.New("it is empty")
		}
		return nil, false, nil, bare(err)
	}
	// A pcapng file begins with a line feed, not with white space of JSON.
	return in, b[0] == '{', f.Close, nil
}

// bare leaves out of an error what the name in front of it says already.
func bare(err error) error {
	var (
		path   *fs.PathError
		syntax *json.SyntaxError
		value  *json.UnmarshalTypeError
	)
	switch {
	case errors.Is(err, syscall.EISDIR):
		return errors.New("it is a directory: name a file in it")
	case errors.As(err, &path): // a disk that fails
		return path.Err
	case errors.As(err, &syntax):
		return fmt.Errorf("that is no JSON after %d bytes", syntax.Offset)
	case errors.As(err, &value): // whose own words name types of Go
		return fmt.Errorf("its %s cannot be a %s", cmp.Or(value.Field, "whole"), value.Value)
	}
	return err
}

// readTransfers reads the transfers of a capture, or of the events of --json-stream.
// Those before some damage are given together with an error; nil if nothing can be read.
func readTransfers(name string) ([]*transfer, error) {
	in, isJSON, done, err := open(name)
	if err != nil {
		return nil, err
	}
	defer done()
	return readAny(in, isJSON)
}

// readAny reads what is open already.
func readAny(in io.Reader, isJSON bool) ([]*transfer, error) {
	if isJSON {
		return readStream(in)
	}
	return readCapture(in)
}

// byPlace sorts shots by segment, then by try.
func byPlace(a, b shot) int { return cmp.Or(cmp.Compare(a.seq, b.seq), cmp.Compare(a.try, b.try)) }

// link fills in when each shot was followed by the next of the same segment. The
// shots stay in the order of time, which the pictures need; only their places are
// sorted.
func (r *receiver) link() {
	places := make([]int, len(r.shots))
	for i := range places {
		places[i] = i
	}
	slices.SortStableFunc(places, func(a, b int) int { return byPlace(r.shots[a], r.shots[b]) })
	for i := 1; i < len(places); i++ {
		if a, b := &r.shots[places[i-1]], &r.shots[places[i]]; a.seq == b.seq {
			a.next = b.at
		}
	}
}
