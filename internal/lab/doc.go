// Package lab plays a wide-area network on one machine, in real time, for the
// real client over real sockets.
//
// A [Profile] says who is in the network and how the paths behave: the delays,
// losses, bursts, doubles and so on of internal/sim, which plays the same links in
// virtual time. [Enter] puts the program into a user and network namespace of its
// own, where any address can be played and nothing leaves the machine; no
// privilege is needed. [Start] then runs the orchestrator and the receivers of the
// server package behind that network, and answers pings as late as they would come
// from afar.
//
//	client            this package
//	UDP socket  --->  socket of the address --> forward link --> server
//	            <---                        <-- backward link <--
//	ICMP socket --->  raw socket ------------> ping link --+
//	            <---                        <--------------+
//
// The client may be behind a line of its own (Access), with a rate and a queue that all
// its datagrams share, but for pings, whose links tell the whole way. The lab carries
// several hundred Mbit/s of datagrams of 1,400 bytes.
//
// Where namespaces are refused, as in some containers, plain loopback addresses
// stand for the receivers: the delays then hold for segments only, because the
// kernel answers pings itself.
package lab
