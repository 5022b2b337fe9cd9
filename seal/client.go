package seal

import (
	"errors"
	"io"
	"net/netip"
	"slices"
	"time"

	"mdalp/loop"
	"mdalp/wire"
)

// Why a client's datagram was dropped, beside [ErrForged] and [ErrReplayed].
var (
	// ErrPlain says that a datagram is not sealed, an offer for one.
	ErrPlain = errors.New("it is not sealed")
	// ErrMalformed says that it is no message of the protocol.
	ErrMalformed = errors.New("malformed")
	// ErrStranger says that it is from an address that is none of ours.
	ErrStranger = errors.New("from a stranger")
	// ErrUnwanted says that it is a message that does not belong here.
	ErrUnwanted = errors.New("not awaited")
)

// A Program is what a [Client] wraps: a session that speaks plain, and knows nothing of
// keys but that it has one. Its UDP socket is the first.
type Program interface {
	loop.Handler
	// Place gives the place in the offer of a receiver, from 0; ok is false for any other
	// address.
	Place(addr netip.AddrPort) (n int, ok bool)
	// Wait says that the orchestrator has the key and no offer yet, and wants to be asked
	// again after a time.
	Wait(now time.Time, d time.Duration)
	// Arrived is called before anything in a datagram is looked at that came before the
	// offer.
	Arrived()
	// Drop says that a datagram changed nothing, and why: an error of this package. Past its
	// header b may be overwritten.
	Drop(e *loop.Envelope, b []byte, why error)
}

// A Client is a session with a key: outside of it everything is sealed. An intent of the
// session that follows an offer begins another handshake; any other is a repeat, and so
// the same datagram.
type Client struct {
	in           Program
	key          Key
	random       io.Reader
	orchestrator netip.AddrPort

	// Others are the other orchestrators of a fleet: each may answer an intent, and who did is
	// spoken to until the next intent.
	Others []netip.AddrPort
	// Opened, if not nil, is told what opens each transaction, as soon as its offer did.
	Opened func(*Secret)

	hand    *Initiator // nil before the first intent
	session *Session   // nil until an offer opened
	desk    *Channel   // the orchestrator's
	lines   map[netip.AddrPort]*Channel
	peer    netip.AddrPort // whom a segment was sent to last, or who acknowledged one
	line    *Channel       // its channel
}

// NewClient wraps a session that speaks to one orchestrator. random is a source of
// secrets that does not fail, as crypto/rand's Reader does not: without it no intent is
// sent.
func NewClient(in Program, k Key, orchestrator netip.AddrPort, random io.Reader) *Client {
	return &Client{in: in, key: k, random: random, orchestrator: orchestrator}
}

// Fail implements [loop.Handler]. What an error quotes of a datagram has its header, which
// is as the session wrote it.
func (c *Client) Fail(now time.Time, e *loop.Envelope, err error) { c.in.Fail(now, e, err) }

// Expire implements [loop.Handler].
func (c *Client) Expire(now time.Time) { c.in.Expire(now) }

// Next implements [loop.Handler].
func (c *Client) Next() (time.Time, bool) { return c.in.Next() }

// Transmit implements [loop.Handler]. What cannot be sealed is not sent; to the session it
// is lost.
func (c *Client) Transmit(now time.Time, e *loop.Envelope, b []byte) ([]byte, bool) {
	for {
		out, ok := c.in.Transmit(now, e, b)
		if !ok || e.Sock != 0 {
			return out, ok
		}
		if out, ok = c.seal(e, out); ok {
			return out, true
		}
		*e = loop.Envelope{}
	}
}

// seal seals a datagram of the session.
func (c *Client) seal(e *loop.Envelope, b []byte) (out []byte, ok bool) {
	m, err := wire.Parse(b)
	switch {
	case err != nil:
		return b, false
	case m.Type == wire.Intent:
		return c.intent(b)
	case c.session == nil || m.Data == nil:
		return b, false
	case m.Type == wire.ManifestType && m.Seq != wire.Absent:
		out, err = c.desk.Seal(b, len(b)-len(m.Data), uint64(m.Seq))
		return out, err == nil
	case m.Type == wire.Data && m.Num != wire.Absent && c.dial(e.Peer):
		out, err = c.line.Seal(b, len(b)-len(m.Data), uint64(m.Num))
		return out, err == nil
	}
	return b, false
}

// intent gives the sealed intent in place of the plain one.
func (c *Client) intent(b []byte) (out []byte, ok bool) {
	if c.hand == nil || c.session != nil {
		hand, err := NewInitiator(c.key, c.random)
		if err != nil {
			return b, false
		}
		c.hand, c.session, c.desk = hand, nil, nil
		c.lines, c.peer, c.line = make(map[netip.AddrPort]*Channel), netip.AddrPort{}, nil
	}
	return c.hand.Intent(b[:0]), true
}

// dial makes line the channel of a receiver.
func (c *Client) dial(peer netip.AddrPort) bool {
	if c.line != nil && c.peer == peer || c.known(peer) {
		return true
	}
	n, ok := c.in.Place(peer)
	if ok {
		c.peer, c.line = peer, c.session.Channel(n)
		c.lines[peer] = c.line
	}
	return ok
}

// known makes line the channel of a receiver that a segment was sent to.
func (c *Client) known(peer netip.AddrPort) bool {
	l, ok := c.lines[peer]
	if ok {
		c.peer, c.line = peer, l
	}
	return ok
}

// Receive implements [loop.Handler]. b is opened in place.
func (c *Client) Receive(now time.Time, e *loop.Envelope, b []byte) {
	if e.Sock != 0 {
		c.in.Receive(now, e, b)
		return
	}
	if c.session == nil {
		c.in.Arrived()
		c.finish(now, e, b)
		return
	}
	out, err := c.open(e, b)
	if err != nil {
		c.in.Drop(e, b, err)
		return
	}
	c.in.Receive(now, e, out)
}

// open opens an acknowledgement or a state.
func (c *Client) open(e *loop.Envelope, b []byte) ([]byte, error) {
	from := c.peer == e.Peer && c.line != nil || c.known(e.Peer)
	if !from && e.Peer != c.orchestrator {
		return nil, ErrStranger
	}
	m, err := wire.Parse(b)
	channel := c.line
	switch {
	case err != nil:
		return nil, ErrMalformed
	case m.Type == wire.StateType && e.Peer == c.orchestrator:
		channel = c.desk
	case m.Type != wire.Ack || !from:
		return nil, ErrUnwanted
	}
	if m.Data == nil || m.Seq == wire.Absent {
		return nil, ErrPlain
	}
	return channel.Open(b, len(b)-len(m.Data), uint64(m.Seq))
}

// answered makes the orchestrator that made the offer the one that is spoken to.
func (c *Client) answered(peer netip.AddrPort) {
	if i := slices.Index(c.Others, peer); i >= 0 {
		c.Others = slices.Clone(c.Others) // the caller's
		c.orchestrator, c.Others[i] = peer, c.orchestrator
	}
}

// finish takes what came in answer to an intent.
func (c *Client) finish(now time.Time, e *loop.Envelope, b []byte) {
	if e.Peer != c.orchestrator && !slices.Contains(c.Others, e.Peer) {
		c.in.Drop(e, b, ErrStranger)
		return
	}
	m, err := wire.Parse(b)
	switch {
	case err != nil && !wire.LooksLikeOffer(b):
		c.in.Drop(e, b, ErrMalformed)
		return
	case err == nil && m.Type != wire.Offer || c.hand == nil:
		c.in.Drop(e, b, ErrUnwanted)
		return
	}
	a, err := c.hand.Finish(b)
	switch {
	case errors.Is(err, ErrHandshake):
		c.in.Drop(e, b, ErrPlain)
	case err != nil:
		c.in.Drop(e, b, err)
	case a.Session == nil:
		c.in.Wait(now, a.Wait)
	default:
		c.session, c.desk = a.Session, a.Session.Channel(Orchestrator)
		c.answered(e.Peer)
		if c.Opened != nil {
			c.Opened(a.Session.Secret(m.TID, a.Plain))
		}
		c.in.Receive(now, e, a.Plain)
	}
}
