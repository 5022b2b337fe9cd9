package shape

import (
	"math"
	"time"

	"mdalp/icmp"
	"mdalp/internal/trace"
	"mdalp/wire"
)

// The JSON that decode prints. Instants are UTC; what the capture does not show is null,
// since 0 would be a measurement. Times are told as phases beside the instants, because
// few tools of the shell can subtract instants.
type (
	Decode struct {
		Head
		File string `json:"file"`
		// Of all packets in the capture, whatever they are; null if none tells its time.
		First    *string `json:"first_packet_at"`
		Last     *string `json:"last_packet_at"`
		Packets  int64   `json:"packets"`
		Messages int64   `json:"messages"`
		// They begin as a message of the protocol and do not parse.
		Malformed int64 `json:"malformed_messages"`
		Echoes    int64 `json:"echo_messages"`
		// Datagrams that were captured on several interfaces, and counted once.
		Copies int64 `json:"second_copies"`
		// Others of their datagrams are missing.
		Fragments int64 `json:"fragments"`
		// Headers of link, IP or UDP that contradict themselves, or are cut.
		BadPackets  int64 `json:"malformed_packets"`
		UnknownLink int64 `json:"unknown_link_packets"`
		// The capture kept less than was sent, as with tcpdump's -s.
		Cut int64 `json:"cut_packets"`
		// Of them, and those of which not even the headers are there.
		CutMessages int64 `json:"cut_messages"`
		CutHeaders  int64 `json:"cut_header_packets"`
		Untimed     int64 `json:"untimed_packets"`
		// UDP and ICMP that is none of the protocol.
		Foreign int64  `json:"foreign_datagrams"`
		Skipped []Skip `json:"skipped_packets"`
		// The clock of the capture was set back, and the times behind it are moved on.
		SetBack int64   `json:"clock_set_back"`
		Back    float64 `json:"clock_set_back_seconds"`
		// Without an offer there is no TID, so these are no transactions.
		Unanswered   []Intent      `json:"unanswered_intents"`
		Transactions []Transaction `json:"transactions"`
	}
	// Skip is a kind of packets that are not read.
	Skip struct {
		Kind  string `json:"kind"`
		Count int64  `json:"packets"`
	}
	Intent struct {
		At           *string `json:"intent_at"`
		Client       string  `json:"client"`
		Orchestrator string  `json:"orchestrator"`
		Times        int     `json:"intents"`
		Seal
	}
	// Seal says with which key something was sealed; null if it was not, or the intent is not
	// there.
	Seal struct {
		Key *string `json:"key_id"`
		// It is that of --key.
		Known bool `json:"key_known"`
	}
	Transaction struct {
		TID          int64   `json:"tid"`
		Client       string  `json:"client"`
		Orchestrator *string `json:"orchestrator"`
		// As far as the capture shows; it may have ended early.
		Acknowledged bool    `json:"everything_acknowledged"`
		Intent       *string `json:"intent_at"`
		Offer        *string `json:"offer_at"`
		Begin        *string `json:"first_segment_at"`
		// The last segment, or the last acknowledgement that was news.
		End *string `json:"end_at"`
		// Why the list of receivers cannot be read.
		BadOffer *string `json:"bad_offer"`
		// The capture has only its beginning: there may be more receivers.
		CutOffer bool     `json:"cut_offer"`
		Intents  int      `json:"intents"`
		Offers   int      `json:"offers"`
		Wait     *float64 `json:"wait_seconds"`
		Probe    *float64 `json:"probe_seconds"`
		Transfer *float64 `json:"transfer_seconds"`
		Traced
		// Sent to more than one receiver, as those of a dead one are.
		Moved   int64   `json:"moved_segments"`
		Missing []Range `json:"missing"`
		// Below the greatest SEQ and not in the capture: it lacks them, or the client gave up.
		Unseen []Range `json:"unseen"`
		Announced
		Sealed bool `json:"sealed"`
		// By a key log. Else only what shows from outside is told.
		Opened bool `json:"opened"`
		Seal
		// Sealed and not opened by what opens the others: changed on the way.
		Unopened  int64            `json:"unopened_datagrams"`
		Receivers []TracedReceiver `json:"receivers"`
	}
	// Announced is what an extended transaction says beside its segments; null and empty
	// in the base protocol.
	Announced struct {
		Extended  bool    `json:"extended"`
		At        *string `json:"manifest_at"`
		Size      *int64  `json:"announced_bytes"`
		Unit      *int64  `json:"segment_bytes"`
		Name      *string `json:"payload_name"`
		Resume    *int64  `json:"resumed_tid"`
		Manifests int     `json:"manifest_messages"`
		States    int     `json:"state_messages"`
		Reports   []State `json:"states"`
	}
	// State is a word of the orchestrator that was another than before.
	State struct {
		At      *string `json:"state_at"`
		State   string  `json:"state"`
		Comment string  `json:"comment"`
		Held    int64   `json:"stored_segments"`
	}
	// Traced counts what was sent and acknowledged, by one receiver or all.
	Traced struct {
		Segments int64 `json:"segments"`
		Bytes    int64 `json:"size_bytes"`
		Sent     int64 `json:"sent_datagrams"`
		Resent   int64 `json:"resent_datagrams"`
		// The first transmission, or the answer to it, did not arrive.
		LostFirst int64 `json:"lost_first_datagrams"`
		Acked     int64 `json:"acknowledged_segments"`
		Duplicate int64 `json:"duplicate_acks"`
	}
	TracedReceiver struct {
		Peer
		Name string `json:"name"`
		// Without the offer in the capture receivers are known by what was sent to them.
		Offered bool `json:"offered"`
		Echoes
		EchoesMS []float64 `json:"echoes_ms"`
		Traced
		// Acknowledgements of what the capture does not show being sent.
		Unsent int64 `json:"unsent_acks"`
		// What the offer says that it takes, in the extended protocol.
		Seg *int `json:"seg_bytes"`
		Win *int `json:"win_segments"`
		// Of extended transactions; 0 in the base protocol, but for the most in flight.
		Acks    int64 `json:"ack_messages"`
		Doubled int64 `json:"doubled_datagrams"`
		// Numbers of transmissions that the capture lacks.
		UnseenNums int64    `json:"unseen_datagrams"`
		Flight     int64    `json:"most_in_flight_segments"`
		Rate       *float64 `json:"rate_bytes_per_second"`
		// From the transmission that was answered, not from the first.
		AckMinMS    *float64 `json:"ack_min_ms"`
		AckMedianMS *float64 `json:"ack_median_ms"`
		AckMeanMS   *float64 `json:"ack_mean_ms"`
		AckMaxMS    *float64 `json:"ack_max_ms"`
	}
)

// NewDecode makes the JSON of what a capture shows; t is nil if nothing of it could
// be read. The head says why the rest could not, or the exit code for it. The object is
// printed for a file that cannot be read too: a reader gets one for each.
func NewDecode(h Head, name string, t *trace.Trace) Decode {
	j := Decode{Head: h, File: name, Skipped: []Skip{}, Unanswered: []Intent{}, Transactions: []Transaction{}}
	if t == nil {
		return j
	}
	s := &t.Stats
	j.First, j.Last = instant(s.First), instant(s.Last)
	j.Packets, j.Messages, j.Malformed = s.Frames, t.Messages, t.Malformed
	j.Echoes, j.Copies, j.Fragments = t.Echoes, t.Copies, s.Fragments
	j.BadPackets, j.UnknownLink, j.Cut = s.Malformed, s.Strange, s.Cut
	j.CutMessages, j.CutHeaders, j.Untimed, j.Foreign = t.Cut, s.Short, s.Untimed, t.Foreign
	j.SetBack, j.Back = t.SetBack, t.Back.Seconds()
	for _, x := range s.Skips {
		j.Skipped = append(j.Skipped, Skip{x.String(), x.Count})
	}
	for _, i := range t.Unanswered {
		j.Unanswered = append(j.Unanswered,
			Intent{instant(i.At), i.Client.String(), i.Orchestrator.String(), i.Times,
				newSeal(i.Key, i.Known)})
	}
	for _, x := range t.Transactions {
		j.Transactions = append(j.Transactions, newTransaction(x))
	}
	return j
}

func newTransaction(t *trace.Transaction) Transaction {
	j := Transaction{
		TID: t.TID, Client: t.Client.String(), Acknowledged: t.Complete(),
		Intent: instant(t.Intent), Offer: instant(t.Offer), Begin: instant(t.Begin), End: instant(t.End),
		Intents: t.Intents, Offers: t.Offers, CutOffer: t.CutOffer,
		Wait: known(t.Wait()), Probe: known(t.Probe()), Transfer: known(t.Took()),
		Traced: Traced{t.Segments, t.Bytes, t.Datagrams, t.Again(), t.Lost(), t.Acked, t.Duplicate()},
		Moved:  t.Moved, Missing: ranges(t.Missing), Unseen: ranges(t.Unseen),
		Announced: newAnnounced(t), Sealed: t.Sealed, Opened: t.Opened, Seal: newSeal(t.Key, t.Known),
		Unopened: t.Unopened, Receivers: []TracedReceiver{},
	}
	if t.Orchestrator.IsValid() {
		j.Orchestrator = Ptr(t.Orchestrator.String())
	}
	if t.BadOffer != nil {
		j.BadOffer = Ptr(t.BadOffer.Error())
	}
	for _, r := range t.Receivers {
		e := trace.SpreadOf(r.Echoes)
		x := TracedReceiver{
			Peer: newPeer(r.Addr), Name: r.Name, Offered: r.Offered,
			// The same keys as in the JSON of send, from the same code.
			Echoes: newEchoes(&icmp.Stats{Sent: r.EchoesSent, Received: r.Answered, Min: e.Min,
				Median: e.Median, Mean: e.Mean, Max: e.Max}),
			EchoesMS: []float64{},
			Traced:   Traced{r.Segments, r.Bytes, r.Datagrams, r.Again(), r.Lost, r.Acked, r.Duplicate},
			Unsent:   r.Unsent, Acks: r.Acks, Doubled: r.Doubled, UnseenNums: r.Unseen, Flight: r.Flight,
		}
		if r.Seg > 0 {
			x.Seg = &r.Seg
		}
		if r.Win > 0 {
			x.Win = &r.Win
		}
		if f, ok := r.Rate(); ok {
			x.Rate = Ptr(math.Round(f*1e3) / 1e3)
		}
		for _, d := range r.Echoes {
			x.EchoesMS = append(x.EchoesMS, InMillis(d))
		}
		if len(r.Delays) > 0 {
			d := r.AckDelays()
			x.AckMinMS, x.AckMedianMS = Ptr(InMillis(d.Min)), Ptr(InMillis(d.Median))
			x.AckMeanMS, x.AckMaxMS = Ptr(InMillis(d.Mean)), Ptr(InMillis(d.Max))
		}
		j.Receivers = append(j.Receivers, x)
	}
	return j
}

// newSeal makes the JSON of a key.
func newSeal(id string, known bool) Seal {
	if id == "" {
		return Seal{}
	}
	return Seal{&id, known}
}

// newAnnounced makes what was said beside the segments.
func newAnnounced(t *trace.Transaction) Announced {
	j := Announced{Extended: t.Extended, Manifests: t.Manifests, States: t.States, Reports: []State{}}
	if t.Manifests > 0 {
		j.At = instant(t.Announced)
	}
	if t.Manifests > 0 && (t.Opened || !t.Sealed) {
		j.Size, j.Unit = &t.Size, &t.Unit
	}
	if t.Name != "" {
		j.Name = &t.Name
	}
	if t.Resume != wire.Absent {
		j.Resume = &t.Resume
	}
	for _, r := range t.Reports {
		j.Reports = append(j.Reports, State{instant(r.At), r.Standing.String(), r.Comment, r.Held})
	}
	return j
}

// ranges makes the JSON of ranges of segments, [] if there are none: null would make every
// reader look for it.
func ranges(all []wire.Range) []Range {
	out := []Range{}
	for _, r := range all {
		out = append(out, Range(r))
	}
	return out
}

// instant writes an instant, or nil for none.
func instant(at time.Time) *string {
	if at.IsZero() {
		return nil
	}
	// RFC 3339 with all nine digits, so that instants sort as text.
	s := at.UTC().Format("2006-01-02T15:04:05.000000000Z")
	return &s
}

// known gives a duration in seconds, or nil if it is not known.
func known(d time.Duration, ok bool) *float64 {
	if !ok {
		return nil
	}
	return Ptr(d.Seconds())
}
