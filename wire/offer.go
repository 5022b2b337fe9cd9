package wire

// MaxReceivers is the most receivers that [ParseReceivers] takes.
const MaxReceivers = 4096

// A Receiver is one entry of an offer.
type Receiver struct {
	Host string // key 'ip_address': an IPv4 or IPv6 address or a host name, as it was written
	Name string // key 'name': for people to read; empty when absent
	Port uint16 // key 'port': UDP port; 0 when absent, which means the protocol's own
	// Seg is the key 'seg': the most bytes that it takes in one segment of the extended
	// protocol; 0 when absent, or not 100 to 65,000.
	Seg int
	// Win is the key 'win': the most segments that it takes before it has acknowledged
	// them; 0 when absent, or not 1 to 1,048,576.
	Win int
	// Short is the key 'short': it takes segments in the short form, see [SegmentHeader].
	// False when absent, or not 1.
	Short bool
}

// Extended reports whether an offer of rs is one of the extended protocol: every entry
// has [Receiver.Seg] and [Receiver.Win].
func Extended(rs []Receiver) bool {
	for i := range rs {
		if rs[i].Seg == 0 || rs[i].Win == 0 {
			return false
		}
	}
	return len(rs) > 0
}

// ParseReceivers reads the DATA of an offer: a list or tuple of dicts, as the
// package comment has its grammar, with white space and one ";" allowed behind
// it. Nothing is evaluated.
//
// Each entry must have an 'ip_address', a string that is not empty. A 'port' must
// be an integer from 1 to 65535. A 'name' that is not a string, None for one,
// counts as absent, and so do 'seg', 'win' and 'short' that are no whole number in their
// range.
// Other keys are stepped over, whatever literal they hold. Of a repeated key the
// last value holds. An empty list is not an error here.
//
// The error is a [*SyntaxError], also where one of the limits [MaxDatagram],
// [MaxReceivers], [MaxDepth], [MaxItems] or [MaxString] is passed. Offsets are
// counted from the start of b.
func ParseReceivers(b []byte) ([]Receiver, error) {
	if len(b) > MaxDatagram {
		return nil, syntaxError("offer", b, MaxDatagram, "at most 65507 bytes")
	}
	return parseReceivers(b)
}

// parseReceivers is ParseReceivers for any length.
func parseReceivers(b []byte) ([]Receiver, error) {
	p := literal{b: b, in: "offer"}
	rs, ok := p.receivers()
	if !ok || !p.end() {
		return nil, p.err
	}
	return rs, nil
}

// receivers reads the list and all its entries.
func (p *literal) receivers() (rs []Receiver, ok bool) {
	p.space()
	closer := closing(p.peek())
	if closer != ']' && closer != ')' {
		return nil, p.fail(p.i, "a list")
	}
	if !p.enter() {
		return nil, false
	}
	for {
		more, ok := p.more(closer, len(rs), MaxReceivers)
		if !ok || !more {
			return rs, ok
		}
		r, ok := p.receiver()
		if !ok {
			return nil, false
		}
		rs = append(rs, r)
	}
}

// receiver reads one entry. It looks at the keys that are known and steps over the
// values of all others.
func (p *literal) receiver() (r Receiver, ok bool) {
	if p.peek() != '{' {
		return r, p.fail(p.i, "a dict")
	}
	ok = p.entries(func(key string) bool {
		at := p.i
		switch key {
		case "ip_address":
			s, ok := p.str()
			if ok && len(s) == 0 {
				return p.fail(at, "an address or host name")
			}
			r.Host = string(s)
			return ok
		case "name":
			r.Name, _, ok = p.text()
			return ok
		case "port":
			port, ok := p.integer()
			if ok && (port < 1 || port > 65535 || p.fractional()) {
				return p.fail(at, "a port from 1 to 65535")
			}
			r.Port = uint16(port)
			return ok
		case "seg":
			return p.within(&r.Seg, MinSegment, MaxSegment)
		case "win":
			return p.within(&r.Win, 1, MaxWindow)
		case "short":
			var is int
			ok := p.within(&is, 1, 1)
			r.Short = is == 1
			return ok
		}
		return p.value()
	})
	if ok && r.Host == "" {
		return r, p.fail(p.i-1, "the key 'ip_address'") // at the closing brace
	}
	return r, ok
}

// within reads a whole number from least to most into n. Anything else counts as absent.
func (p *literal) within(n *int, least, most int64) bool {
	v := int64(Absent)
	if !p.natural(&v, false) {
		return false
	}
	if *n = 0; least <= v && v <= most {
		*n = int(v)
	}
	return true
}

// AppendReceivers appends the DATA of an offer to b, written as Python's repr
// writes a list of dicts:
//
//	[{'ip_address': '192.0.2.1', 'name': 'A', 'port': 5000}, {'ip_address': '192.0.2.2'}]
//
// An empty Name, a Port, Seg or Win of 0 and a Short that is false are left out. Bytes that
// are not UTF-8 become U+FFFD. It sets no limits; [ParseReceivers] does.
func AppendReceivers(b []byte, rs []Receiver) []byte {
	b = append(b, '[')
	for i, r := range rs {
		if i > 0 {
			b = append(b, ", "...)
		}
		b = append(b, "{'ip_address': "...)
		b = appendRepr(b, r.Host)
		if r.Name != "" {
			b = append(b, ", 'name': "...)
			b = appendRepr(b, r.Name)
		}
		if r.Port != 0 {
			b = append(b, ", 'port': "...)
			b = appendNumber(b, int64(r.Port))
		}
		if r.Seg != 0 {
			b = append(b, ", 'seg': "...)
			b = appendNumber(b, int64(r.Seg))
		}
		if r.Win != 0 {
			b = append(b, ", 'win': "...)
			b = appendNumber(b, int64(r.Win))
		}
		if r.Short {
			b = append(b, ", 'short': 1"...)
		}
		b = append(b, '}')
	}
	return append(b, ']')
}
