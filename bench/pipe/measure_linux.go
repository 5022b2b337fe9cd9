package main

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"
)

// port is that of the protocol, for intents and segments alike: every address is a host of
// its own.
const port = "4650"

// random writes a payload of some size, that of the row before if it is the same one.
func (b *bench) random(size int64) (err error) {
	if b.payload != "" && b.size == size {
		return nil
	}
	b.payload, b.size = filepath.Join(b.data, "payload"), 0
	f, err := os.Create(b.payload)
	if err != nil {
		return err
	}
	// Random bytes, so that nothing on the way can make them fewer. The same seed gives the
	// same payload, and with it the same digest.
	w := bufio.NewWriterSize(f, 1<<20)
	_, err = io.CopyN(w, rand.NewChaCha8([32]byte{byte(b.seed)}), size)
	if err = errors.Join(err, w.Flush(), f.Close()); err != nil {
		return fmt.Errorf("payload of %d bytes: %w", size, err)
	}
	b.size = size
	return nil
}

// serveTCP starts a server of iperf3 for one flow, and gives the arguments of its client.
// CUBIC is asked for by name: what a kernel takes by default is its administrator's choice.
func (b *bench) serveTCP(
	ctx context.Context, n *network, at netip.Addr, seconds int,
) (s *program, client []string, err error) {
	// Into a pipe iperf3 says nothing before it ends, unless it is told to flush.
	if s, err = run(ctx, n.far, b.iperf, "-s", "-1", "-B", at.String(), "--forceflush"); err != nil {
		return nil, nil, err
	}
	if err = s.says(ctx, "Server listening"); err != nil {
		s.stop()
		return nil, nil, err
	}
	return s, []string{"-c", at.String(), "-t", strconv.Itoa(seconds), "-C", "cubic", "-J"}, nil
}

// A flow is what a client of iperf3 says of its flow. What was received counts, as what was
// sent may still be in a socket's buffer or in the queue.
type flow struct {
	End struct {
		Received struct {
			Bytes   int64
			Seconds float64
		} `json:"sum_received"`
		Sent struct{ Retransmits int64 } `json:"sum_sent"`
	}
}

// flowOf waits for a client and reads what it says.
func flowOf(p *program) (f flow, err error) {
	if err := p.wait(); err != nil {
		return f, err
	}
	if err := json.Unmarshal(p.stdout.Bytes(), &f); err != nil {
		return f, fmt.Errorf("iperf3 -J: %w", err)
	}
	if f.End.Received.Bytes == 0 || f.End.Received.Seconds == 0 {
		return f, errors.New("iperf3 -J: nothing was received")
	}
	return f, nil
}

// tcp measures TCP alone, a flow for each path: with several paths one flow could not use
// them all, and would be no measure for who can. Its luck is that of the run of mdalp.
func (b *bench) tcp(ctx context.Context, p *profile, r *row) (res result, err error) {
	ctx, cancel := context.WithTimeout(ctx, 2*r.span()+time.Minute)
	defer cancel()
	n, err := newNetwork(p, r.receivers, b.seed)
	if err != nil {
		return res, err
	}
	defer func() { err = errors.Join(err, n.close()) }()
	var clients, servers []*program
	// The programs have to be gone before the network is closed, and so this comes after.
	defer func() {
		cancel() // kills what still runs
		for _, c := range slices.Concat(clients, servers) {
			<-c.ended
		}
	}()
	var args [][]string
	for i := range p.paths {
		s, a, err := b.serveTCP(ctx, n, receiver(i), r.seconds)
		if err != nil {
			return res, err
		}
		servers, args = append(servers, s), append(args, a)
	}
	// All servers are ready: the flows begin together.
	for _, a := range args {
		c, err := run(ctx, n.near, b.iperf, a...)
		if err != nil {
			return res, err
		}
		clients = append(clients, c)
	}
	for _, c := range clients {
		f, err := flowOf(c)
		if err != nil {
			return res, err
		}
		res.bytes += f.End.Received.Bytes
		res.again += f.End.Sent.Retransmits
		res.span = max(res.span, time.Duration(f.End.Received.Seconds*float64(time.Second)))
	}
	res.who = "TCP"
	res.share = float64(res.bytes) / p.carries(0, res.span)
	res.reading, err = n.read()
	return res, err
}

// serve starts the server of a row, the orchestrator and all receivers in one process. It
// returns when intents are taken, so no time of starting is in any figure.
func (b *bench) serve(ctx context.Context, n *network, r *row) (*program, error) {
	var receivers []string
	for i := range r.receivers {
		receivers = append(receivers, netip.AddrPortFrom(receiver(i), 4650).String())
	}
	// No row shall end because its transaction takes long.
	args := []string{"--listen", orchestrator.String() + ":" + port,
		"--receivers", strings.Join(receivers, ","), "--limit", "24h"}
	if !r.noStore {
		args = append(args, "--store", b.store())
	}
	s, err := run(ctx, n.far, b.mdalpd, args...)
	if err != nil {
		return nil, err
	}
	if err := s.says(ctx, "msg=listening "); err != nil {
		s.stop()
		return nil, err
	}
	return s, nil
}

// store is the server's folder. It goes after every run, as memory holds payload and copy.
func (b *bench) store() string { return filepath.Join(b.data, "store") }

// send starts the client of a row. It must not go on with what a run before it has left, or
// part of the payload would not have to be sent.
func (b *bench) send(ctx context.Context, n *network, r *row) (*program, error) {
	args := []string{"-a", orchestrator.String(), "-p", port, "-f", b.payload, "--json", "--resume", "off"}
	if r.noStore {
		args = append(args, "--no-verify")
	}
	return run(ctx, n.near, b.mdalp, args...)
}

// alone measures mdalp alone. The time is told by the links, so the offer, the pings and the
// verdict are not in it, as opening and closing are not in that of TCP.
func (b *bench) alone(ctx context.Context, p *profile, r *row) (res result, err error) {
	if err := b.random(r.size); err != nil {
		return res, err
	}
	// Time enough for a tenth of what one may hope for.
	ctx, cancel := context.WithTimeout(ctx, 10*r.span()+time.Minute)
	defer cancel()
	n, err := newNetwork(p, r.receivers, b.seed)
	if err != nil {
		return res, err
	}
	defer func() { err = errors.Join(err, n.close(), os.RemoveAll(b.store())) }()
	s, err := b.serve(ctx, n, r)
	if err != nil {
		return res, err
	}
	defer s.stop()
	c, err := b.send(ctx, n, r)
	if err != nil {
		return res, err
	}
	if err := c.wait(); err != nil {
		return res, err
	}
	// Of docs/schema/send.schema.json.
	var finished struct {
		Resent   int64 `json:"resent_datagrams"`
		Verified bool
	}
	if err := json.Unmarshal(c.stdout.Bytes(), &finished); err != nil {
		return res, fmt.Errorf("mdalp --json: %w", err)
	}
	if !finished.Verified && !r.noStore {
		return res, errors.New("mdalp --json: the server has not verified the payload")
	}
	res.who, res.again = "mdalp", finished.Resent
	if res.reading, err = n.read(); err != nil {
		return res, err
	}
	// Were it another number, the share would be of something else than the payload.
	if res.bytes = total(res.arrived); res.bytes != r.size {
		return res, fmt.Errorf("the links carried %d bytes of a payload of %d: "+
			"the client must send IPv4 without fragments", res.bytes, r.size)
	}
	// The last byte of the last link: a receiver that is done early does not shorten it.
	last := slices.Max(res.ended)
	res.span = last - res.began
	res.share = float64(res.bytes) / p.carries(res.began, last)
	return res, nil
}

// fair measures mdalp and one TCP flow that start together and share a queue. mdalp has more
// to send than the time allows, and is cut off at its end: so both have been there for all of
// it. What it had brought by then the links know.
func (b *bench) fair(ctx context.Context, p *profile, r *row) (ours, theirs result, err error) {
	if err := b.random(r.size); err != nil {
		return ours, theirs, err
	}
	ctx, cancel := context.WithTimeout(ctx, 2*r.span()+time.Minute)
	defer cancel()
	n, err := newNetwork(p, r.receivers, b.seed)
	if err != nil {
		return ours, theirs, err
	}
	defer func() { err = errors.Join(err, n.close(), os.RemoveAll(b.store())) }()
	s, err := b.serve(ctx, n, r)
	if err != nil {
		return ours, theirs, err
	}
	defer s.stop()
	ts, args, err := b.serveTCP(ctx, n, orchestrator, r.seconds)
	if err != nil {
		return ours, theirs, err
	}
	defer ts.stop()

	sending, cut := context.WithCancel(ctx)
	defer cut()
	c, err := b.send(sending, n, r)
	if err != nil {
		return ours, theirs, err
	}
	// Both are gone before their servers are, which would else wait for them.
	defer func() { cut(); <-c.ended }()
	tc, err := run(sending, n.near, b.iperf, args...)
	if err != nil {
		return ours, theirs, err
	}
	defer func() { cut(); <-tc.ended }()
	select {
	case <-time.After(r.span()):
	case <-ctx.Done():
		return ours, theirs, ctx.Err()
	case <-c.ended:
		// A flow that had the link for itself at the end would look better than it is.
		// Its payload is what the whole link carries in that time.
		if err = c.wait(); err == nil {
			err = errors.New("mdalp was done before the time was over")
		}
		return ours, theirs, err
	}
	if ours.reading, err = n.read(); err != nil {
		return ours, theirs, err
	}
	_ = c.cmd.Process.Kill() // it has no more to tell, and may even have ended
	<-c.ended
	f, err := flowOf(tc)
	if err != nil {
		return ours, theirs, err
	}
	ours.who, ours.bytes, ours.span, ours.again = "mdalp", total(ours.arrived), ours.at, ours.repeated
	ours.share = float64(ours.bytes) / p.carries(0, ours.at)
	theirs.who, theirs.bytes, theirs.again = "TCP", f.End.Received.Bytes, f.End.Sent.Retransmits
	theirs.span = time.Duration(f.End.Received.Seconds * float64(time.Second))
	theirs.share = float64(theirs.bytes) / p.carries(0, theirs.span)
	theirs.reading = ours.reading // the queue is one, and so are its drops
	return ours, theirs, nil
}
