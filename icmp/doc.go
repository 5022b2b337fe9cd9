// Package icmp measures how far away many hosts are: ICMP echoes to all of them
// at once over one socket (RFC 792, RFC 4443 section 4).
//
// [Open] gives the socket: raw with filters in the kernel, or the datagram kind
// that needs less privilege. [Prober] is the program that says what to send on
// it and what the answers mean. The Prober does no I/O and reads no clock: a
// driver sends what [Prober.Transmit] gives and hands what arrives, with the
// instant of its arrival, to [Prober.Receive].
//
// # Echoes
//
// The data of an echo is 16 bytes, in network byte order:
//
//	 0      4      8                16
//	+------+------+----------------+
//	| host | echo |     cookie     |
//	+------+------+----------------+
//
// The cookie is random and different in every echo. A reply counts only when it
// brings back the cookie of an echo that was sent, comes from the host that was
// asked, and is the first to do so. The identifier in the ICMP header is for
// the filter in the kernel; replies are never matched on it, because on a
// datagram socket the kernel puts its own there.
//
// # Instants
//
// With a thousand hosts asked at once, the replies wait in the receive buffer
// for longer than they travelled. A round trip is therefore worth something
// only when it begins right before the system call that sends and ends at the
// kernel's receive stamp (SO_TIMESTAMPNS, socket(7)). Open asks for the stamps.
package icmp
