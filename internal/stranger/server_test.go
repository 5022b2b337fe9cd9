package stranger_test

import (
	"crypto/sha256"
	"fmt"
	"net"
	"sync"
)

// A server is an orchestrator and two receivers on loopback, for one transaction.
type server struct {
	mu      sync.Mutex
	conns   []*net.UDPConn // the first is the orchestrator's
	running sync.WaitGroup
	size    int64 // of the payload; 0 before the first manifest
	seg     int64
	asked   int64 // SEQ of the newest manifest
	asks    int   // of the verdict
	payload []byte
	have    map[int64]bool
	nums    [3]map[int64]bool // that came to a receiver, whether it took them or not
	taken   [3]map[int64]bool
	acks    [3]int64
	waits   [3]int // segments that are not acknowledged
	came    int
	wrong   []string // what is not of the page

	short   bool                                // it takes short segments
	loses   bool                                // the first manifest
	refuse  string                              // why the payload is refused
	answers []func(s *server, seq int64) string // states in answer to the verdict being asked for, in this order; then the truth
}

const (
	offered = 1000 // seg
	window  = 8
	number  = 4711 // TID
)

func serve(s *server) (string, error) {
	s.have, s.asked = map[int64]bool{}, -1
	for i := range 3 {
		c, err := net.ListenUDP("udp", &net.UDPAddr{IP: net.IPv4(127, 0, 0, 1)})
		if err != nil {
			return "", err
		}
		s.conns = append(s.conns, c)
		s.nums[i], s.taken[i] = map[int64]bool{}, map[int64]bool{}
	}
	for i, c := range s.conns {
		s.running.Go(func() {
			b := make([]byte, 1<<16)
			for {
				n, from, err := c.ReadFromUDP(b)
				if err != nil {
					return
				}
				s.mu.Lock()
				for _, answer := range s.receive(i, b[:n]) {
					c.WriteToUDP([]byte(answer), from)
				}
				s.mu.Unlock()
			}
		})
	}
	return s.conns[0].LocalAddr().String(), nil
}

func (s *server) close() {
	for _, c := range s.conns {
		c.Close()
	}
	s.running.Wait()
}

func (s *server) fault(format string, args ...any) {
	s.wrong = append(s.wrong, fmt.Sprintf(format, args...))
}

func (s *server) receive(i int, b []byte) []string {
	m, err := parse(b)
	switch {
	case err != nil:
		s.fault("%v", err)
	case i == 0 && m.typ == 0:
		entry := func(k int) string {
			short := ""
			if s.short {
				short = `"short":1,`
			}
			return fmt.Sprintf(`{%s"win":%d,'color':None,'seg':%d,"port":%d,'ip_address':'127.0.0.1'}`, short, window, offered-1+k, s.conns[k].LocalAddr().(*net.UDPAddr).Port)
		}
		return []string{fmt.Sprintf("Type:1;TID:%d;DATA:(%s,%s,)", number, entry(1), entry(2))}
	case i == 0 && m.typ == 4:
		return s.manifest(m, len(b))
	case i > 0 && m.typ == 2:
		return s.segment(i, m)
	default:
		s.fault("not awaited: %.80q", b)
	}
	return nil
}

// manifest answers a manifest.
func (s *server) manifest(m message, length int) []string {
	ds := dicts(m.data)
	if m.tid != number || m.seq != s.asked+1 || length > 1200 || len(ds) != 1 {
		s.fault("manifest %d after %d: %+v", m.seq, s.asked, m)
		return nil
	}
	d := ds[0]
	s.asked = m.seq
	if s.size == 0 {
		s.size, s.seg = natural(d, "bytes"), natural(d, "seg")
		s.payload = make([]byte, max(0, s.size))
	}
	if natural(d, "bytes") != s.size || natural(d, "seg") != s.seg || s.seg < 100 || s.seg > offered {
		s.fault("manifest %v", d)
		return nil
	}
	if s.asked == 0 && s.loses {
		return nil
	}
	state := func(rest string) []string {
		return []string{fmt.Sprintf("Type:5;TID:%d;SEQ:%d;DATA:{%s}", number, m.seq, rest)}
	}
	old := fmt.Sprintf("Type:5;TID:%d;SEQ:%d;DATA:{'state':'refused'};", number, m.seq-1)
	if s.refuse != "" {
		return state(fmt.Sprintf(`"comment":"%s","state":"refused"`, s.refuse))
	}
	from := max(0, natural(d, "from"))
	have := `"have":"` + told(func(k int64) bool { return s.have[k] }, from, s.total(), false) + `"`
	if d["sha256"] == "" {
		// It is followed by one that answers an older manifest, and means nothing.
		return append(state(`"state":"open","tomorrow":{"a":1},`+have), old)
	}
	s.asks++
	if len(s.answers) > 0 {
		answer := s.answers[0](s, from)
		s.answers = s.answers[1:]
		return state(answer)
	}
	switch {
	case int64(len(s.have)) < s.total():
		return state(`"state":"incomplete",` + have)
	case d["sha256"] != fmt.Sprintf("%x", sha256.Sum256(s.payload)):
		return state(`"state":"damaged"`)
	}
	return append(state(`"state":"complete"`), old)
}

func (s *server) total() int64 { return (s.size + s.seg - 1) / s.seg }

// segment takes a segment, or loses it; one of seven is lost on its way here, and one of
// seven acknowledgements on its way there. Every second one is answered at once.
func (s *server) segment(i int, m message) []string {
	if m.tid != number || m.short != s.short || m.num < 0 || s.size == 0 || m.seq >= s.total() ||
		int64(len(m.data)) != min(s.seg, s.size-m.seq*s.seg) {
		s.fault("segment to %d: TID %d, SEQ %d, NUM %d, %d bytes", i, m.tid, m.seq, m.num, len(m.data))
		return nil
	}
	if s.nums[i][m.num] {
		s.fault("NUM %d was used twice at receiver %d", m.num, i)
	}
	s.nums[i][m.num] = true
	if s.came++; s.came%7 == 3 {
		return nil
	}
	copy(s.payload[m.seq*s.seg:], m.data)
	s.have[m.seq], s.taken[i][m.num] = true, true
	if s.waits[i]++; s.waits[i] > window {
		s.fault("%d segments in flight at receiver %d", s.waits[i], i)
	}
	if s.came%2 == 0 && int64(len(s.have)) < s.total() {
		return nil
	}
	s.waits[i] = 0
	seq := s.acks[i]
	s.acks[i]++
	if s.came%7 == 5 {
		return nil
	}
	largest := int64(0)
	for num := range s.taken[i] {
		largest = max(largest, num)
	}
	ranges := told(func(k int64) bool { return s.taken[i][k] }, max(0, largest-60), largest+1, true)
	ack := fmt.Sprintf("Type:3;TID:%d;SEQ:%d;NUM:%d;DATA:%s", number, seq, largest, ranges)
	return []string{ack, ack} // it comes twice
}
