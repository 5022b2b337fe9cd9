package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/netip"
	"os"
	"sync"

	"mdalp"
	"mdalp/cmd/internal/shape"
	"mdalp/cmd/internal/usage"
)

// targets are the hosts to ping. addrs and names belong together by their places, as do
// the hosts of the report.
type targets struct {
	addrs      []netip.Addr
	names      []string       // as the user, or the offer, calls them
	asked      netip.AddrPort // the orchestrator that named them, or the zero value
	tid        int64          // the transaction that it opened for that
	unresolved int            // names that are left out
}

// json makes the JSON of a ping of them that ended with err. r is nil if it did not come to
// pinging.
func (t *targets) json(r *mdalp.PingReport, err error) shape.Ping {
	j := shape.NewPing(newHead(shape.PingSchema, err), t.names, r)
	j.Unresolved = t.unresolved
	if t.asked.IsValid() {
		j.Orchestrator = shape.Ptr(t.asked.String())
	}
	if t.asked.IsValid() && len(t.addrs) > 0 {
		j.TID = &t.tid
	}
	return j
}

// receivers asks the orchestrator whom to ping.
func (o *pingOptions) receivers(ctx context.Context, log *slog.Logger, on *asked) (targets, error) {
	s := &o.orchestrator
	switch {
	case s.addr == "" && s.port == 0:
		return targets{}, usage.Errorf("say whom to ping: " +
			"HOST..., - for standard input, -f FILE, or -a ADDR -p PORT")
	case s.addr == "":
		return targets{}, usage.Errorf("the orchestrator's address is needed: -a ADDR (or MDALP_ADDR)")
	case s.port == 0:
		return targets{}, usage.Errorf("the orchestrator's port, 1 to 65535, is needed: " +
			"-p PORT (or MDALP_PORT)")
	}
	// The family of --bind is the orchestrator's here; for the echoes it is looked at again.
	c := &mdalp.Config{IntentTimeout: o.intentTimeout, Logger: log, Progress: on.report,
		ProgressEvery: lookEvery}
	if err := s.resolve(ctx, c); err != nil {
		return targets{}, err
	}
	offer, err := mdalp.Offer(ctx, c)
	if err != nil {
		// The JSON tells who was asked in vain.
		return targets{asked: c.Orchestrator}, err
	}
	t := targets{asked: offer.Orchestrator, tid: offer.TID}
	seen := make(map[netip.Addr]bool, len(offer.Receivers))
	for i := range offer.Receivers {
		// Receivers may share a host and differ in their ports.
		if r := &offer.Receivers[i]; !seen[r.Addr.Addr()] {
			seen[r.Addr.Addr()] = true
			t.addrs, t.names = append(t.addrs, r.Addr.Addr()), append(t.names, r.Name)
		}
	}
	return t, nil
}

// hosts gives the addresses of the arguments. Names that have none are told, and
// left out.
func (o *pingOptions) hosts(ctx context.Context, args []string) (targets, error) {
	// Whoever is to write the hosts may take as long as it likes.
	all, err := within(ctx, func() ([]string, error) { return expandHosts(args, o.lists, os.Stdin) })
	if err != nil {
		return targets{}, err
	}
	family := 0
	switch {
	case o.orchestrator.ipv4:
		family = 4
	case o.orchestrator.ipv6:
		family = 6
	}
	// By place, so that the goroutines below share nothing, and the order stays the user's.
	addrs, errs := make([]netip.Addr, len(all)), make([]error, len(all))
	var wait sync.WaitGroup
	// At most 16 look-ups at a time: a resolver may take more for a flood.
	free := make(chan struct{}, 16)
	for i, h := range all {
		// With -4 or -6 Resolve says what is wrong with an address of the other family.
		if a, err := netip.ParseAddr(bare(h)); err == nil && family == 0 {
			addrs[i], errs[i] = a.Unmap(), zoned(a)
			continue
		}
		wait.Go(func() {
			free <- struct{}{}
			defer func() { <-free }()
			var found netip.AddrPort
			found, errs[i] = mdalp.Resolve(ctx, bare(h), 0, family)
			if addrs[i] = found.Addr(); errs[i] == nil {
				errs[i] = zoned(addrs[i])
			}
		})
	}
	wait.Wait()
	// Else an interrupt would look like thousands of names without an address.
	if cause := context.Cause(ctx); cause != nil {
		return targets{}, cause
	}
	var t targets
	for i, h := range all {
		if errs[i] != nil {
			t.unresolved++
			fmt.Fprintf(stderr, "mdalp: %s\n", usage.Line(fmt.Errorf("%s: %s", h, reason(errs[i]))))
			continue
		}
		t.addrs, t.names = append(t.addrs, addrs[i]), append(t.names, h)
	}
	return t, nil
}

// reason is what a look-up failed of, without what it looked up and where.
func reason(err error) string {
	var dns *net.DNSError
	switch {
	case errors.As(err, &dns) && dns.IsTimeout:
		return "no name server answered in time"
	case dns != nil:
		return dns.Err
	}
	return err.Error()
}
