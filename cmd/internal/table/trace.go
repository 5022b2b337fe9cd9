package table

import (
	"fmt"
	"io"
	"net/netip"
	"strings"
	"time"

	"mdalp/cmd/internal/usage"
	"mdalp/internal/trace"
	"mdalp/sched"
	"mdalp/wire"
)

// transactionLimit is how long after the offer real receivers answer. PROTOCOL.md has
// it. Later segments may be sent and never answered, which explains an end that looks
// like a loss.
const transactionLimit = 90 * time.Second

// Trace writes what a capture shows, as text.
func Trace(w io.Writer, name string, t *trace.Trace) {
	s := &t.Stats
	fmt.Fprintf(w, "%s: %s", usage.Text(name), Count(s.Frames, "packet"))
	if !s.First.IsZero() {
		fmt.Fprintf(w, ", %s to %s UTC", s.First.UTC().Format("2006-01-02 15:04:05.000000"), clock(s.Last))
	}
	fmt.Fprintf(w, "; %s, %s\n", Count(t.Messages, "MDALP message"),
		Count(t.Echoes, "ICMP echo or answer", "ICMP echoes and answers"))
	// Only what is there: in most captures nothing is, and a row of zeroes would hide the one
	// that matters.
	var odd []string
	for _, x := range []struct {
		n         int64
		one, many string
	}{
		{t.Malformed, "malformed MDALP message", ""},
		{t.Cut, "MDALP message cut short by the capture", "MDALP messages cut short by the capture"},
		{t.Copies, "further copy", "further copies"},
		{s.Fragments, "fragment without the others of its datagram",
			"fragments without the others of their datagram"},
		{s.Malformed, "malformed packet", ""},
		{s.Short, "packet cut within its headers", "packets cut within their headers"},
		{s.Cut, "packet cut short by the capture", "packets cut short by the capture"},
		{s.Untimed, "packet without a time", "packets without a time"}, {t.Foreign, "other datagram", ""},
	} {
		if x.many == "" {
			x.many = x.one + "s"
		}
		if x.n > 0 {
			odd = append(odd, Count(x.n, x.one, x.many))
		}
	}
	if len(odd) > 0 {
		fmt.Fprintf(w, "also there: %s\n", strings.Join(odd, ", "))
	}
	odd = odd[:0]
	for _, x := range s.Skips {
		odd = append(odd, fmt.Sprintf("%d of %v", x.Count, x))
	}
	if len(odd) > 0 {
		fmt.Fprintf(w, "not read: %s\n", strings.Join(odd, ", "))
	}
	if t.SetBack > 0 {
		fmt.Fprintf(w, "the clock was set back %s, by %s in all: "+
			"later times are told as if it had not been\n", often(t.SetBack), Seconds(t.Back))
	}
	for _, i := range t.Unanswered {
		fmt.Fprintf(w, "\nintent of %v to %v at %s, sent %s%s: no offer in the capture\n",
			i.Client, i.Orchestrator, clock(i.At), often(i.Times), sealedIntent(&i))
	}
	if len(t.Transactions) == 0 {
		fmt.Fprintln(w, "no transaction")
	}
	for _, x := range t.Transactions {
		fmt.Fprintln(w)
		showTransaction(w, x)
	}
}

// showTransaction writes one: its phases, its receivers, and how it ended. What the
// capture lacks has no line, but for the offer, without which nothing is certain.
func showTransaction(w io.Writer, t *trace.Transaction) {
	fmt.Fprintf(w, "transaction %d of %v: %s\n", t.TID, t.Client, outcome(t))
	// All lines of a transaction begin in the same columns, so that eyes and grep find them.
	line := func(what, format string, args ...any) {
		fmt.Fprintf(w, "  %-8s"+format+"\n", append([]any{what}, args...)...)
	}
	if t.Intents > 0 {
		line("intent", "%s  to %v, sent %s", clock(t.Intent), t.Orchestrator, often(t.Intents))
	}
	line("offer", "%s", aboutOffer(t))
	if t.Sealed {
		line("sealed", "%s", aboutSeal(t))
	}
	showAnnounced(line, t)
	// Only an offer, or only acknowledgements: all below would be zero.
	if t.Datagrams == 0 {
		return
	}
	if sent, answered := tracedEchoes(t); sent > 0 {
		took := ""
		if d, ok := t.Probe(); ok {
			took = Seconds(d) + ", "
		}
		line("pings", "%s%d of %d echoes answered", took, answered, sent)
	}
	took := ":"
	if d, ok := t.Took(); ok {
		took = "  for " + Seconds(d) + ":"
	}
	line("data", "%s%s %s, %s in %s", clock(t.Begin), took,
		Count(t.Segments, "segment"), Count(t.Bytes, "byte"), Count(t.Datagrams, "datagram"))
	line("resent", "%s; %s lost", Count(t.Again(), "retransmission"), Count(t.Lost(), "first transmission"))
	if t.Sealed && !t.Opened {
		line("acks", "%d of %d segments show, there may be more", t.Acked, t.Segments)
		showReceivers(w, t)
		return
	}
	line("acks", "%d of %d segments, %s", t.Acked, t.Segments, Count(t.Duplicate(), "duplicate"))
	if t.Moved > 0 {
		line("moved", "%s to more than one receiver", Count(t.Moved, "segment"))
	}
	if len(t.Missing) > 0 {
		line("missing", "not acknowledged: SEQ %s", wire.AppendRanges(nil, t.Missing))
	}
	if len(t.Unseen) > 0 {
		line("unseen", "not in the capture: SEQ %s", wire.AppendRanges(nil, t.Unseen))
	}
	if !t.Extended && !t.Offer.IsZero() && t.End.Sub(t.Offer) > transactionLimit {
		line("limit", "it went on for %s after the offer; receivers may fall silent after %v",
			Seconds(t.End.Sub(t.Offer)), transactionLimit)
	}
	if low := neglected(t); len(low) > 0 {
		line("balance", "a server may see a violation: less than %d bytes to %s",
			sched.MinShare(t.Bytes, int(inOffer(t))), strings.Join(low, ", "))
	}
	showReceivers(w, t)
}

// aboutOffer is what the line of the offer says.
func aboutOffer(t *trace.Transaction) string {
	if t.Offers == 0 {
		return "not in the capture"
	}
	at, what := clock(t.Offer), Count(inOffer(t), "receiver")
	if t.Sealed && inOffer(t) == 0 {
		what = "sealed"
	}
	switch {
	case t.BadOffer != nil:
		return fmt.Sprintf("%s  from %v, bad: %s", at, t.Orchestrator, usage.Line(t.BadOffer))
	case t.CutOffer:
		return fmt.Sprintf("%s  from %v, cut short by the capture: %s of it and perhaps more",
			at, t.Orchestrator, what)
	case t.Intents == 0:
		return fmt.Sprintf("%s  from %v, %s; the intent is not in the capture", at, t.Orchestrator, what)
	}
	if d, ok := t.Wait(); ok {
		return fmt.Sprintf("%s  after %s, %s", at, Seconds(d), what)
	}
	return fmt.Sprintf("%s  %s", at, what)
}

// showAnnounced writes what an extended transaction says beside its segments: the
// manifest, and each word of the orchestrator that differs from the one before.
func showAnnounced(line func(what, format string, args ...any), t *trace.Transaction) {
	if t.Sealed && !t.Opened {
		if t.Manifests > 0 {
			line("payload", "%s  sealed; sent %s, answered %s",
				clock(t.Announced), often(t.Manifests), often(t.States))
		}
		return
	}
	if t.Manifests > 0 {
		text := fmt.Sprintf("%s in segments of %d", Count(t.Size, "byte"), t.Unit)
		if t.Name != "" {
			text += ", named " + usage.Quote(t.Name)
		}
		if t.Resume != wire.Absent {
			text += fmt.Sprintf(", resumes transaction %d", t.Resume)
		}
		line("payload", "%s  %s; sent %s, answered %s",
			clock(t.Announced), text, often(t.Manifests), often(t.States))
	}
	for _, r := range t.Reports {
		text := r.Standing.String()
		if r.Held > 0 {
			text += ", " + Count(r.Held, "segment") + " stored"
		}
		if r.Comment != "" {
			text += ": " + usage.Quote(r.Comment)
		}
		line("state", "%s  %s", clock(r.At), text)
	}
}

// outcome is the verdict in a few words, as far as the capture goes. It never says more
// than the capture shows, which need not be all that was sent.
func outcome(t *trace.Transaction) string {
	switch {
	case t.Standing == wire.Complete:
		return "complete, the orchestrator says"
	case t.Standing == wire.Damaged, t.Standing == wire.Refused, t.Standing == wire.Incomplete:
		return "NOT COMPLETE, the orchestrator says: " + t.Standing.String()
	case t.Sealed && !t.Opened:
		return "sealed, how it ended does not show"
	case t.Datagrams == 0 && t.Offers == 0 && t.Manifests == 0:
		return "only acknowledgements are in the capture"
	case t.Datagrams == 0:
		return "nothing was sent"
	case t.Complete():
		return "everything was acknowledged"
	case t.Acked == t.Segments:
		return "all that is in the capture was acknowledged, but parts are not in it"
	}
	return fmt.Sprintf("NOT COMPLETE, %d of %d segments were acknowledged", t.Acked, t.Segments)
}

// inOffer counts the receivers that the offer names.
func inOffer(t *trace.Transaction) (n int64) {
	for _, r := range t.Receivers {
		if r.Offered {
			n++
		}
	}
	return n
}

// tracedEchoes counts echoes, those to a host once. Receivers that share a host each
// have its echoes, for their own sums.
func tracedEchoes(t *trace.Transaction) (sent, answered int) {
	seen := make(map[netip.Addr]bool, len(t.Receivers))
	for _, r := range t.Receivers {
		if h := r.Addr.Addr(); !seen[h] {
			seen[h] = true
			sent, answered = sent+r.EchoesSent, answered+r.Answered
		}
	}
	return sent, answered
}

// neglected lists the receivers of the offer that got less than the least share. Not if
// the capture lacks segments: what was not captured may have gone to just those.
func neglected(t *trace.Transaction) (low []string) {
	n := inOffer(t)
	// The rule is of the base protocol alone.
	if n == 0 || len(t.Unseen) > 0 || t.CutOffer || t.Extended {
		return nil
	}
	for _, r := range t.Receivers {
		if r.Offered && r.Bytes < sched.MinShare(t.Bytes, int(n)) {
			low = append(low, r.Addr.String())
		}
	}
	return low
}
