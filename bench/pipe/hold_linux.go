package main

import (
	"context"
	"errors"
	"fmt"
	"io"

	"golang.org/x/sys/unix"
)

// hold makes the network of a row and keeps it until in ends. It says where the two namespaces
// are, for nsenter(1), with the addresses in them:
//
//	near /proc/71/task/75/ns/net 198.18.0.1
//	far /proc/71/task/76/ns/net 198.19.0.1 198.19.0.2
//
// At the end it says what the links did, so that a figure can be doubted.
func hold(ctx context.Context, r *row, seed uint64, in io.Reader, out io.Writer) (err error) {
	p, err := r.complete()
	if err != nil {
		return err
	}
	n, err := newNetwork(p, r.receivers, seed)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, n.close()) }()
	fmt.Fprintln(out, "near", n.near.path(), client)
	fmt.Fprint(out, "far ", n.far.path(), " ", orchestrator)
	for i := range r.receivers {
		fmt.Fprint(out, " ", receiver(i))
	}
	fmt.Fprintln(out)

	// The read itself cannot be interrupted: it ends with this program.
	ended := make(chan error, 1)
	go func() {
		_, err := io.Copy(io.Discard, in)
		ended <- err
	}()
	select {
	case <-ctx.Done():
		return ctx.Err()
	case err = <-ended:
	}
	x, e := n.read()
	if e == nil {
		fmt.Fprintf(out, "packets %d dropped %d lost %d late_ms %.2f worst_ms %.2f tun %d\n",
			x.up.delivered+x.down.delivered, x.up.overflowed+x.down.overflowed, x.up.lost+x.down.lost,
			x.late.Seconds()*1e3, x.worst.Seconds()*1e3, x.near+x.far)
	}
	return errors.Join(err, e)
}

// path is where other programs find the namespace, as long as it is there (setns(2)).
func (n *namespace) path() (path string) {
	_ = n.do(func() error {
		path = fmt.Sprintf("/proc/%d/task/%d/ns/net", unix.Getpid(), unix.Gettid())
		return nil
	})
	return path
}
