package stranger_test

import (
	"crypto/sha256"
	"fmt"
	"math/rand/v2"
	"net"
	"os"
	"strings"
	"time"
)

// patience is how long an answer is waited for that must come.
const patience = 2 * time.Minute

// A client sends one payload. It has a socket for the orchestrator and one for each
// receiver, as if a translator of addresses gave each destination another port.
type client struct {
	orch    *net.UDPConn
	tid     int64
	to      []*receiver
	payload []byte
	size    int64 // of a segment
	asked   int64 // SEQ of the next manifest
	rng     *rand.Rand
	stored  map[int64]bool // acknowledged
}

// A receiver as the client sees it.
type receiver struct {
	conn  *net.UDPConn
	win   int64
	short bool
	next  int64           // NUM
	acks  int64           // SEQ of the next acknowledgement, if none is lost
	sent  map[int64]int64 // SEQ by NUM
	acked map[int64]bool
}

func dial(to string) (*net.UDPConn, error) {
	addr, err := net.ResolveUDPAddr("udp", to)
	if err != nil {
		return nil, err
	}
	return net.DialUDP("udp", nil, addr)
}

// hear reads one datagram.
func hear(c *net.UDPConn, wait time.Duration) (m message, err error) {
	b := make([]byte, 1<<16)
	c.SetReadDeadline(time.Now().Add(wait))
	n, err := c.Read(b)
	if err != nil {
		return m, err
	}
	return parse(b[:n])
}

// open asks for an offer.
func open(orchestrator string, payload []byte, segment int64) (*client, error) {
	c := &client{payload: payload, rng: rand.New(rand.NewPCG(7, 7)), stored: map[int64]bool{}}
	var err error
	if c.orch, err = dial(orchestrator); err != nil {
		return nil, err
	}
	fmt.Fprint(c.orch, "Type:0;")
	m, err := hear(c.orch, patience)
	if err != nil {
		return nil, err
	}
	c.tid, c.size = m.tid, segment
	for _, d := range dicts(m.data) {
		port := natural(d, "port")
		if port < 0 {
			port = 4650
		}
		r := &receiver{win: natural(d, "win"), short: natural(d, "short") == 1, sent: map[int64]int64{}, acked: map[int64]bool{}}
		seg := natural(d, "seg")
		if seg < 100 || seg > 65000 || r.win < 1 || r.win > 1<<20 {
			return nil, fmt.Errorf("the offer is not extended: %q", m.data)
		}
		c.size = min(c.size, seg)
		if r.conn, err = dial(net.JoinHostPort(d["ip_address"], fmt.Sprint(port))); err != nil {
			return nil, err
		}
		c.to = append(c.to, r)
	}
	return c, nil
}

func (c *client) close() {
	c.orch.Close()
	for _, r := range c.to {
		r.conn.Close()
	}
}

func (c *client) total() int64 { return (int64(len(c.payload)) + c.size - 1) / c.size }

// ask sends a manifest with more keys, and gives the state that answers it.
func (c *client) ask(more string) (map[string]string, error) {
	seq := c.asked
	c.asked++
	// Other quotes, other order, a key of tomorrow, no ";" at the end.
	if _, err := fmt.Fprintf(c.orch, `Type:4;TID:%d;SEQ:%03d;DATA:{"seg":%d,"tomorrow":[1,(2,),{}],"bytes":%d%s}`,
		c.tid, seq, c.size, len(c.payload), more); err != nil {
		return nil, err
	}
	for {
		m, err := hear(c.orch, patience)
		if err != nil {
			return nil, err
		}
		if m.typ != 5 || m.tid != c.tid || m.seq > seq {
			return nil, fmt.Errorf("no state in answer to %d: %+v", seq, m)
		}
		if m.seq == seq {
			return dicts(m.data)[0], nil
		}
	}
}

// digest asks for the verdict on b.
func digest(b []byte) string { return fmt.Sprintf(`,"sha256":"%x"`, sha256.Sum256(b)) }

// transmit sends a segment to receiver i, twice when it is doubled, or lets it be lost.
func (c *client) transmit(i int, seq int64, doubled, lost bool) error {
	r := c.to[i]
	num := r.next
	r.next++
	if lost {
		return nil
	}
	r.sent[num] = seq
	b := fmt.Appendf(nil, "Type:2;TID:%d;SEQ:%d;NUM:%05d;DATA:", c.tid, seq, num)
	if r.short && num%2 == 0 { // each on its own may have the short form
		b = fmt.Appendf(nil, "2;%s;%s;%s;", written(c.tid, 11), written(seq, 1), written(num, 3))
	}
	b = append(b, c.payload[seq*c.size:min(int64(len(c.payload)), (seq+1)*c.size)]...)
	for n := 0; n < 1 || doubled && n < 2; n++ {
		if _, err := r.conn.Write(b); err != nil {
			return err
		}
	}
	return nil
}

// collect reads acknowledgements of receiver i until all that was sent to it is
// acknowledged, and holds them against the page.
func (c *client) collect(i int) error {
	r := c.to[i]
	for len(r.acked) < len(r.sent) {
		m, err := hear(r.conn, patience)
		if err != nil {
			return fmt.Errorf("%d of %d acknowledged: %w", len(r.acked), len(r.sent), err)
		}
		rs, err := spans(m.data, true)
		switch {
		case err != nil:
			return err
		case m.typ != 3 || m.tid != c.tid || m.num < 0 || !m.hasData || len(rs) == 0 || len(rs) > 32 || rs[0].last != m.num:
			return fmt.Errorf("no acknowledgement: %+v", m)
		case m.seq != r.acks:
			return fmt.Errorf("acknowledgement %d instead of %d", m.seq, r.acks)
		}
		r.acks++
		for _, x := range rs {
			for num := x.first; num <= x.last; num++ {
				seq, was := r.sent[num]
				if !was {
					return fmt.Errorf("NUM %d was never sent", num)
				}
				r.acked[num] = true
				c.stored[seq] = true
			}
		}
	}
	return nil
}

// send sends segments in any order, a window at a time; lose says how many of a hundred
// are lost, and as many come twice.
func (c *client) send(seqs []int64, lose int) error {
	seqs = append([]int64(nil), seqs...)
	c.rng.Shuffle(len(seqs), func(i, j int) { seqs[i], seqs[j] = seqs[j], seqs[i] })
	for len(seqs) > 0 {
		for i, r := range c.to {
			n := min(int64(len(seqs)), r.win, 16)
			for _, seq := range seqs[:n] {
				if err := c.transmit(i, seq, c.rng.IntN(100) < lose, c.rng.IntN(100) < lose); err != nil {
					return err
				}
			}
			seqs = seqs[n:]
		}
		for i := range c.to {
			if err := c.collect(i); err != nil {
				return err
			}
		}
	}
	return nil
}

// missing is what is not acknowledged.
func (c *client) missing() (seqs []int64) {
	for k := range c.total() {
		if !c.stored[k] {
			seqs = append(seqs, k)
		}
	}
	return seqs
}

// verdict asks until the server knows.
func (c *client) verdict(b []byte) (string, error) {
	for {
		st, err := c.ask(digest(b))
		if err != nil || st["state"] != "busy" {
			return st["state"], err
		}
		wait := natural(st, "wait")
		if wait < 10 || wait > 10_000 {
			return "", fmt.Errorf("wait of %d ms", wait)
		}
		// What comes in the meantime is nothing.
		if _, err := hear(c.orch, time.Duration(wait)*time.Millisecond); !os.IsTimeout(err) && err != nil {
			return "", err
		}
	}
}

// has asks for everything that the server says it has, in as many parts as it takes.
func (c *client) has() (map[int64]bool, int, error) {
	got, parts := map[int64]bool{}, 0
	for from := int64(0); ; parts++ {
		st, err := c.ask(fmt.Sprintf(`,"from":%d`, from))
		if err != nil {
			return nil, 0, err
		}
		if !strings.Contains("open incomplete", st["state"]) {
			return nil, 0, fmt.Errorf("state %v", st)
		}
		rs, err := spans(st["have"], false)
		if err != nil {
			return nil, 0, err
		}
		for _, x := range rs {
			for k := x.first; k <= x.last; k++ {
				got[k] = true
			}
		}
		upto := natural(st, "upto")
		if upto < 0 {
			return got, parts + 1, nil
		}
		if upto <= from {
			return nil, 0, fmt.Errorf("up to %d from %d", upto, from)
		}
		from = upto
	}
}
