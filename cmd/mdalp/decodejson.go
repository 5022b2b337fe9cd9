package main

import (
	"encoding/json"
	"io"
	"time"

	"mdalp/internal/trace"
	"mdalp/wire"
)

// The JSON that decode prints. Instants are UTC, times in milliseconds; what the capture
// does not show is null.
type (
	decodeJSON struct {
		Schema       string            `json:"schema"` // "mdalp.decode/1"
		File         string            `json:"file"`
		Error        string            `json:"error,omitempty"` // why the rest was not read
		First        *string           `json:"first"`
		Last         *string           `json:"last"`
		Packets      int64             `json:"packets"`
		Messages     int64             `json:"messages"`
		Malformed    int64             `json:"malformed_messages"`
		Echoes       int64             `json:"echo_messages"`
		Copies       int64             `json:"second_copies"`
		Fragments    int64             `json:"fragments"`
		BadPackets   int64             `json:"malformed_packets"`
		UnknownLink  int64             `json:"unknown_link_packets"`
		Cut          int64             `json:"cut_packets"`
		Unanswered   []intentJSON      `json:"unanswered_intents"`
		Transactions []transactionJSON `json:"transactions"`
	}
	intentJSON struct {
		At           *string `json:"at"`
		Client       string  `json:"client"`
		Orchestrator string  `json:"orchestrator"`
		Times        int     `json:"times"`
	}
	transactionJSON struct {
		TID             int64                `json:"tid"`
		Client          string               `json:"client"`
		Orchestrator    string               `json:"orchestrator,omitempty"`
		Acknowledged    bool                 `json:"everything_acknowledged"`
		Intent          *string              `json:"intent"`
		Offer           *string              `json:"offer"`
		BadOffer        string               `json:"bad_offer,omitempty"`
		Begin           *string              `json:"first_segment"`
		End             *string              `json:"end"`
		Intents         int                  `json:"intents"`
		Offers          int                  `json:"offers"`
		WaitMS          *float64             `json:"wait_ms"`
		PingMS          *float64             `json:"ping_ms"`
		DataMS          *float64             `json:"data_ms"`
		Segments        int64                `json:"segments"`
		Bytes           int64                `json:"bytes"`
		Datagrams       int64                `json:"datagrams"`
		Retransmissions int64                `json:"retransmissions"`
		LostFirst       int64                `json:"lost_first_transmissions"`
		Acked           int64                `json:"acknowledged_segments"`
		Duplicate       int64                `json:"duplicate_acks"`
		Moved           int64                `json:"moved_segments"`
		Missing         string               `json:"missing_seq"`
		Unseen          string               `json:"unseen_seq"`
		Finishes        int                  `json:"finish_messages"`
		Verdicts        []string             `json:"verdicts,omitempty"`
		Receivers       []tracedReceiverJSON `json:"receivers"`
	}
	tracedReceiverJSON struct {
		Address         string      `json:"address"`
		Name            string      `json:"name,omitempty"`
		Offered         bool        `json:"offered"`
		EchoesSent      int         `json:"echoes_sent"`
		EchoesMS        []float64   `json:"echoes_ms"`
		EchoMean        *float64    `json:"echo_mean_ms"`
		Segments        int64       `json:"segments"`
		Bytes           int64       `json:"bytes"`
		Datagrams       int64       `json:"datagrams"`
		Retransmissions int64       `json:"retransmissions"`
		LostFirst       int64       `json:"lost_first_transmissions"`
		Acked           int64       `json:"acknowledged_segments"`
		Duplicate       int64       `json:"duplicate_acks"`
		Unsent          int64       `json:"unsent_acks"`
		Delay           *spreadJSON `json:"ack_delay"`
	}
	spreadJSON struct {
		MinMS    float64 `json:"min_ms"`
		MedianMS float64 `json:"median_ms"`
		MeanMS   float64 `json:"mean_ms"`
		MaxMS    float64 `json:"max_ms"`
	}
)

// traceJSON writes what a capture shows as one line of JSON. err is why the rest of it
// could not be read, or nil.
func traceJSON(w io.Writer, name string, t *trace.Trace, err error) error {
	s := &t.Stats
	j := decodeJSON{
		Schema: "mdalp.decode/1", File: name, First: instant(s.First), Last: instant(s.Last),
		Packets: s.Frames, Messages: t.Messages, Malformed: t.Malformed, Echoes: t.Echoes, Copies: t.Copies,
		Fragments: s.Fragments, BadPackets: s.Malformed, UnknownLink: s.Strange, Cut: s.Cut,
		Unanswered: []intentJSON{}, Transactions: []transactionJSON{},
	}
	if err != nil {
		j.Error = err.Error()
	}
	for _, i := range t.Unanswered {
		j.Unanswered = append(j.Unanswered, intentJSON{instant(i.At), i.Client.String(), i.Orchestrator.String(), i.Times})
	}
	for _, x := range t.Transactions {
		j.Transactions = append(j.Transactions, transactionToJSON(x))
	}
	return json.NewEncoder(w).Encode(&j)
}

func transactionToJSON(t *trace.Transaction) transactionJSON {
	j := transactionJSON{
		TID: t.TID, Client: t.Client.String(), Acknowledged: t.Complete(),
		Intent: instant(t.Intent), Offer: instant(t.Offer), Begin: instant(t.Begin), End: instant(t.End),
		Intents: t.Intents, Offers: t.Offers,
		WaitMS: between(t.Intent, t.Offer), PingMS: between(t.Offer, t.Begin), DataMS: between(t.Begin, t.End),
		Segments: t.Segments, Bytes: t.Bytes, Datagrams: t.Datagrams, Retransmissions: t.Again(), LostFirst: t.Lost(),
		Acked: t.Acked, Duplicate: t.Duplicate(), Moved: t.Moved,
		Missing: string(wire.AppendRanges(nil, t.Missing)), Unseen: string(wire.AppendRanges(nil, t.Unseen)),
		Finishes: t.Finishes, Verdicts: t.Verdicts, Receivers: []tracedReceiverJSON{},
	}
	if t.Orchestrator.IsValid() {
		j.Orchestrator = t.Orchestrator.String()
	}
	if t.BadOffer != nil {
		j.BadOffer = t.BadOffer.Error()
	}
	for _, r := range t.Receivers {
		x := tracedReceiverJSON{
			Address: r.Addr.String(), Name: r.Name, Offered: r.Offered, EchoesSent: r.EchoesSent, EchoesMS: []float64{},
			Segments: r.Segments, Bytes: r.Bytes, Datagrams: r.Datagrams, Retransmissions: r.Again(), LostFirst: r.Lost,
			Acked: r.Acked, Duplicate: r.Duplicate, Unsent: r.Unsent,
		}
		for _, d := range r.Echoes {
			x.EchoesMS = append(x.EchoesMS, inMillis(d))
		}
		if len(r.Echoes) > 0 {
			mean := inMillis(trace.SpreadOf(r.Echoes).Mean)
			x.EchoMean = &mean
		}
		if len(r.Delays) > 0 {
			d := r.AckDelays()
			x.Delay = &spreadJSON{inMillis(d.Min), inMillis(d.Median), inMillis(d.Mean), inMillis(d.Max)}
		}
		j.Receivers = append(j.Receivers, x)
	}
	return j
}

// instant writes an instant, or nil for none.
func instant(at time.Time) *string {
	if at.IsZero() {
		return nil
	}
	s := at.UTC().Format("2006-01-02T15:04:05.000000000Z")
	return &s
}

// between is the time from one instant to another in milliseconds, or nil unless both
// are known.
func between(from, to time.Time) *float64 {
	if from.IsZero() || to.IsZero() {
		return nil
	}
	ms := inMillis(to.Sub(from))
	return &ms
}
