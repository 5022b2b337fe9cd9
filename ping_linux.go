package mdalp

import (
	"context"
	"crypto/rand"
	"net/netip"
	"time"

	"mdalp/icmp"
	"mdalp/loop"
)

// ping opens the sockets that the hosts of r need, drives a pinger over them and
// closes them.
func ping(ctx context.Context, r *PingReport, cfg *PingConfig) error {
	rand.Read(cfg.key[:])
	var need [7]bool // by family
	addrs := make([]netip.Addr, len(r.Hosts))
	for i := range r.Hosts {
		var err error
		if addrs[i], err = onLink("host", r.Hosts[i].Addr); err != nil {
			return err
		}
		if r.Hosts[i].Addr.Is4() {
			need[4] = true
		} else {
			need[6] = true
		}
	}
	var socks []*loop.Socket
	defer func() {
		for _, s := range socks {
			s.Close()
		}
	}()
	if cfg.Bind.IsValid() {
		var err error
		if cfg.Bind, err = onLink("source", cfg.Bind); err != nil {
			return err
		}
	}
	r.Mode = icmp.Off
	for _, family := range []int{4, 6} {
		if !need[family] {
			continue
		}
		s, mode, err := listenEcho(family, cfg.Mode, &cfg.key, cfg.Bind)
		if err != nil {
			return err
		}
		socks = append(socks, s)
		if r.Mode == icmp.Off {
			r.Mode = mode
		}
	}
	if cfg.DropPrivileges {
		if err := dropCapabilities(); err != nil {
			cfg.Logger.Debug("capabilities are kept", "err", err)
		}
	}
	p := newPinger(time.Now(), r, cfg, addrs, len(socks)-1)
	err := loop.Run(ctx, p, socks...)
	p.refresh(time.Now())
	return err
}
