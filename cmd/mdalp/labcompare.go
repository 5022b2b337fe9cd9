package main

import (
	"bytes"
	"cmp"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"strconv"
	"strings"
	"sync"
	"text/tabwriter"
	"time"

	"mdalp"
	"mdalp/cmd/internal/table"
	"mdalp/cmd/internal/usage"
	"mdalp/internal/lab"
	"mdalp/server"
)

// A trial is one way to send the payload. Each has a goroutine and a socket of its own;
// nothing is shared but the network.
type trial struct {
	// Its place in the trials too.
	server int  // 0: balanced over all
	faulty bool // a receiver in it fails, as the profile has it
	report *mdalp.Report
	err    error
	// What the orchestrator has of the payload, whatever the client thinks; the zero value if no
	// offer came.
	verdict server.Result
}

// faulty reports whether a profile lets receiver n, from 1, fail; or any, if n is 0.
func faulty(p *lab.Profile, n int) bool {
	for i, r := range p.Receivers {
		if (n == 0 || n == i+1) && (r.Dead || r.Refuse || r.DieAfter > 0) {
			return true
		}
	}
	return false
}

// compare sends the same payload balanced and to each receiver alone, all at the same
// time, and prints what each took. The whole takes as long as the slowest receiver
// alone.
func (o *labOptions) compare(ctx context.Context, cfg lab.Config) error {
	payload := sample(sampleSize, o.seed)
	// The modes and the verdicts that are compared are those of the base protocol.
	cfg.Payload, cfg.Base = payload, true
	ctx, stop := cancelBySignal(ctx)
	defer stop()
	asked := newAsked()
	defer asked.stop()
	// A signal ends the sends, by ctx. The network must outlive them, or they would end for want
	// of it.
	l, err := lab.Start(context.WithoutCancel(ctx), cfg)
	if err != nil {
		return err
	}
	where := "in a network namespace of its own"
	if !l.Private() {
		where = "on plain loopback"
	}
	var text bytes.Buffer
	fmt.Fprintf(&text, "profile %s, seed %d, %s: %d bytes over %d receivers and to each alone\n\n",
		l.Profile().Name, // ours: Name
		o.seed, where, len(payload), len(l.Receivers()))

	trials := o.play(ctx, l, cfg, payload, asked)
	err = l.Close() // which settles what is open
	for i := range trials {
		// The verdicts are there only now: an incomplete payload is settled by the Close.
		if r := trials[i].report; r.TID != 0 {
			trials[i].verdict, _ = l.Verdict(ctx, r.TID)
		}
	}
	// An interrupted comparison would compare what did not end.
	if cause := context.Cause(ctx); cause != nil {
		return cause
	}
	if err != nil {
		return err
	}
	err = show(&text, trials, l.Receivers(), sha256.Sum256(payload))
	if o.quiet {
		text.Reset()
	}
	// What a profile makes fail is worth a line, but no error.
	if !o.quiet || err != nil {
		failures(trials)
	}
	return cmp.Or(deliver(ctx, text.Bytes()), err)
}

// play sends the payload in all ways at the same time, until the last has ended.
func (o *labOptions) play(
	ctx context.Context, l *lab.Lab, cfg lab.Config, payload []byte, asked *asked,
) []trial {
	far := newFar(asked, len(l.Receivers())+1, len(payload), o.quiet)
	defer far.stop()
	// The first is balanced, the others to the receiver of that number.
	trials := make([]trial, len(l.Receivers())+1)
	var all sync.WaitGroup
	for i := range trials {
		trials[i].server = i
		trials[i].faulty = faulty(l.Profile(), i)
		// One after the other asks for its offer, so that each is the same flow of the
		// network in every run.
		// offered is closed as soon as the offer is there, or the send has ended without one.
		offered := make(chan struct{})
		var once sync.Once
		all.Go(func() {
			defer once.Do(func() { close(offered) })
			trials[i].send(ctx, l, cfg, payload, func(r *mdalp.Report) {
				far.see(i, r)
				if r.Phase > mdalp.PhaseWaiting {
					once.Do(func() { close(offered) })
				}
			})
		})
		<-offered
	}
	all.Wait()
	return trials
}

// send runs the trial, and waits for the verdict if all was acknowledged.
func (t *trial) send(
	ctx context.Context, l *lab.Lab, cfg lab.Config, payload []byte, progress func(*mdalp.Report),
) {
	c := &mdalp.Config{Base: true, Orchestrator: l.Addr(), Logger: cfg.Log, Progress: progress}
	if t.server > 0 {
		c.Balance, c.Receiver = mdalp.BalanceNone, t.server
		c.Deadline = server.DefaultLimit // the server is silent after that
		if t.faulty {
			c.Deadline = 10 * time.Second // nobody else can take over
		}
	}
	if t.report, t.err = mdalp.Send(ctx, bytes.NewReader(payload), int64(len(payload)), c); t.err == nil {
		l.Verdict(ctx, t.report.TID)
	}
}

// show prints the comparison. It is an error if a payload did not arrive whole, or
// a verdict is not what the rules say.
func show(out io.Writer, trials []trial, receivers []server.Receiver, want [32]byte) error {
	w := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	fmt.Fprintln(w, "mode\tserver\tlatency\tsegments\ttimeouts\telapsed\tsha256\tverdict")
	wrong := 0
	for _, t := range trials {
		r := t.report
		mode, who, delay := "1 balanced", "all", "-"
		if t.server > 0 {
			mode, who = "2 single", receivers[t.server-1].Addr.Addr().String()
			if b := trials[0].report; t.server <= len(b.Receivers) {
				delay = table.Latency(&b.Receivers[t.server-1])
			}
		}
		same := "equal"
		switch {
		case t.err != nil:
			same = "failed"
		case t.verdict.SHA256 != want:
			same = "NOT EQUAL"
		}
		fmt.Fprintf(w, "%s\t%s\t%s\t%s\t%d\t%s\t%s\t%s\n",
			mode, who, delay, counts(r), r.Timeouts(), table.Seconds(r.Elapsed), same,
			usage.Text(t.verdict.Comment))
		balanced := t.server == 0 || len(receivers) == 1
		switch {
		// What a profile makes fail is no failure of the lab.
		case t.server > 0 && (t.faulty || errors.Is(t.err, mdalp.ErrDeadline)): // it may fail, or be too slow
		case t.err != nil || t.verdict.SHA256 != want || t.verdict.Status != balanced && !t.faulty:
			// That sending to one receiver is a violation is the rule, so a verdict that allows it is as
			// wrong as one that forbids balancing.
			wrong++
		}
	}
	w.Flush()
	// A receiver that refuses is done at once, which is not what is meant by fast.
	var best *mdalp.Report
	for _, t := range trials[1:] {
		if t.err == nil && (best == nil || t.report.Elapsed < best.Elapsed) {
			best = t.report
		}
	}
	if best != nil && trials[0].err == nil {
		fmt.Fprintf(out, "\nbalanced is %.1f times as fast as the best single receiver",
			float64(best.Elapsed)/float64(trials[0].report.Elapsed))
		if len(receivers) > 1 {
			fmt.Fprint(out, "; sending to one is a violation by the rules")
		}
		fmt.Fprintln(out)
	}
	if wrong > 0 {
		return fmt.Errorf("%w: %d of %d transactions did not end as they should",
			mdalp.ErrIncomplete, wrong, len(trials))
	}
	return nil
}

// failures tells what trials failed of.
func failures(trials []trial) {
	for _, t := range trials {
		if t.err != nil {
			fmt.Fprintf(stderr, "mdalp: server %d: %s\n", t.server, usage.Line(t.err))
		}
	}
}

// counts lists the segments of each receiver.
func counts(r *mdalp.Report) string {
	var parts []string
	for i := range r.Receivers {
		parts = append(parts, strconv.FormatInt(r.Receivers[i].Acked, 10))
	}
	// More would make the table wider than most terminals.
	if len(parts) > 4 {
		return fmt.Sprintf("%d", r.Segments)
	}
	return strings.Join(parts, "+")
}

// sample makes a payload of words, with every byte value in it.
func sample(size int, seed uint64) []byte {
	// The same payload for the same seed, so that hashes can be compared between runs.
	rng := rand.New(rand.NewPCG(seed, 5000))
	words := strings.Fields("lorem ipsum dolor sit amet consectetur adipiscing elit aliquam " +
		"viverra quis risus sed luctus")
	var b bytes.Buffer
	// Among them are the characters that the protocol's own syntax is made of: a payload must
	// not be read as one.
	for i := range 256 {
		b.WriteByte(byte(i))
	}
	for b.Len() < size {
		b.WriteString(words[rng.IntN(len(words))])
		b.WriteByte(' ')
	}
	return b.Bytes()[:size]
}
