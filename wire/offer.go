package wire

// MaxReceivers is the most receivers that [ParseReceivers] takes.
const MaxReceivers = 4096

// A Receiver is one entry of an offer.
type Receiver struct {
	Host string // key 'ip_address': an IPv4 or IPv6 address or a host name, as it was written
	Name string // key 'name': for people to read; empty when absent
	Port uint16 // key 'port': UDP port; 0 when absent, which means the protocol's own
}

// ParseReceivers reads the DATA of an offer: a list or tuple of dicts, as the
// package comment has its grammar, with white space and one ";" allowed behind
// it. Nothing is evaluated.
//
// Each entry must have an 'ip_address', a string that is not empty. A 'port' must
// be an integer from 1 to 65535. A 'name' that is not a string, None for one,
// counts as absent. Other keys are read and dropped. Of a repeated key the last
// value holds. An empty list is not an error here.
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
	p := literal{b: b}
	rs, ok := p.receivers()
	if !ok {
		return nil, p.err
	}
	p.space()
	if p.peek() == ';' {
		p.i++
		p.space()
	}
	if p.i < len(b) {
		p.fail(p.i, "the end")
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

// receiver reads one entry. It looks at the three keys that are known and steps
// over the values of all others.
func (p *literal) receiver() (r Receiver, ok bool) {
	if p.peek() != '{' {
		return r, p.fail(p.i, "a dict")
	}
	if !p.enter() {
		return r, false
	}
	for n := 0; ; n++ {
		more, ok := p.more('}', n, MaxItems)
		if !ok {
			return r, false
		}
		if !more {
			break
		}
		key, ok := p.str()
		if !ok || !p.colon() {
			return r, false
		}
		at := p.i
		// key is compared before the value is read, which takes its memory.
		switch string(key) {
		case "ip_address":
			s, ok := p.str()
			if !ok {
				return r, false
			}
			if len(s) == 0 {
				return r, p.fail(at, "an address or host name")
			}
			r.Host = string(s)
		case "name":
			r.Name = ""
			if !isQuote(p.peek()) {
				if !p.value() {
					return r, false
				}
				break
			}
			s, ok := p.str()
			if !ok {
				return r, false
			}
			r.Name = string(s)
		case "port":
			port, ok := p.integer()
			if !ok {
				return r, false
			}
			if port < 1 || port > 65535 {
				return r, p.fail(at, "a port from 1 to 65535")
			}
			r.Port = uint16(port)
		default:
			if !p.value() {
				return r, false
			}
		}
	}
	if r.Host == "" {
		return r, p.fail(p.i-1, "the key 'ip_address'") // at the closing brace
	}
	return r, true
}

// AppendReceivers appends the DATA of an offer to b, written as Python's repr
// writes a list of dicts:
//
//	[{'ip_address': '192.0.2.1', 'name': 'A', 'port': 5000}, {'ip_address': '192.0.2.2'}]
//
// An empty Name and a Port of 0 are left out. Bytes that are not UTF-8 become
// U+FFFD. It sets no limits; [ParseReceivers] does.
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
		b = append(b, '}')
	}
	return append(b, ']')
}
