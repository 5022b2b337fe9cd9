package pcapng

import "fmt"

// A Skip is a kind of packet that is not read, and how many there were.
type Skip struct {
	// Layer is what Number is of: "link type", "EtherType", "PPP protocol", "address
	// family" or "IP protocol". It is "other kinds" for all beyond a bound.
	Layer  string
	Number uint32
	Count  int64
}

// names has what people call them. The numbers alone can be looked up.
var names = map[Skip]string{
	{Layer: "link type", Number: 105}:         "IEEE 802.11",
	{Layer: "link type", Number: 119}:         "IEEE 802.11 with a Prism header",
	{Layer: "link type", Number: 127}:         "IEEE 802.11 with radiotap",
	{Layer: "link type", Number: 104}:         "Cisco HDLC",
	{Layer: "link type", Number: 107}:         "Frame Relay",
	{Layer: "link type", Number: 109}:         "IPsec, decrypted",
	{Layer: "link type", Number: 192}:         "PPI",
	{Layer: "link type", Number: 195}:         "IEEE 802.15.4",
	{Layer: "link type", Number: 220}:         "USB",
	{Layer: "link type", Number: 239}:         "Netfilter log",
	{Layer: "link type", Number: 253}:         "netlink",
	{Layer: "EtherType", Number: 0x0806}:      "ARP",
	{Layer: "EtherType", Number: 0x8863}:      "PPPoE discovery",
	{Layer: "EtherType", Number: typeMPLS}:    "MPLS that carries no IP",
	{Layer: "EtherType", Number: 0x888e}:      "EAPOL",
	{Layer: "EtherType", Number: 0x88cc}:      "LLDP",
	{Layer: "EtherType", Number: 0x88e5}:      "MACsec",
	{Layer: "PPP protocol", Number: 0xc021}:   "LCP",
	{Layer: "PPP protocol", Number: 0x8021}:   "IPCP",
	{Layer: "PPP protocol", Number: 0x8057}:   "IPV6CP",
	{Layer: "IP protocol", Number: 2}:         "IGMP",
	{Layer: "IP protocol", Number: 4}:         "IPv4 in IP",
	{Layer: "IP protocol", Number: 6}:         "TCP",
	{Layer: "IP protocol", Number: 41}:        "IPv6 in IP",
	{Layer: "IP protocol", Number: 47}:        "GRE",
	{Layer: "IP protocol", Number: 50}:        "ESP",
	{Layer: "IP protocol", Number: 132}:       "SCTP",
	{Layer: "address family", Number: 0x0806}: "ARP",
}

// String gives what it is, such as "EtherType 0x0806 (ARP)", without the count.
func (s Skip) String() string {
	what := s.Layer
	switch s.Layer {
	case "other kinds":
		return what
	case "EtherType", "PPP protocol":
		what = fmt.Sprintf("%s 0x%04x", what, s.Number)
	default:
		what = fmt.Sprintf("%s %d", what, s.Number)
	}
	if name := names[Skip{Layer: s.Layer, Number: s.Number}]; name != "" {
		what += " (" + name + ")"
	}
	return what
}

// skips counts kinds, in the order of their first.
type skips []Skip

// add counts a packet of a kind. The list is short, so it is walked.
func (s *skips) add(k Skip) {
	if s.count(k) {
		return
	}
	if len(*s) >= maxSkips {
		if k = (Skip{Layer: "other kinds"}); s.count(k) {
			return
		}
	}
	k.Count = 1
	*s = append(*s, k)
}

// count counts a packet of a kind that is in the list.
func (s *skips) count(k Skip) bool {
	for i := range *s {
		if x := &(*s)[i]; x.Layer == k.Layer && x.Number == k.Number {
			x.Count++
			return true
		}
	}
	return false
}
