package status

import (
	"context"
	"errors"
	"net/http"
	"runtime"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/client_golang/prometheus/promhttp"

	"mdalp"
	"mdalp/server"
)

// errSilent is what a scrape fails with when the loop does not answer: the server then counts
// as not up.
var errSilent = errors.New("the server's loop does not answer")

// metric describes one metric. No label ever has what a stranger chooses, such as a TID or a
// name: each value would be kept for ever.
func metric(name, help string, labels ...string) *prometheus.Desc {
	return prometheus.NewDesc("mdalpd_"+name, help, labels, nil)
}

var (
	buildInfo = metric(
		"build_info",
		"1; its labels are the version of mdalpd and of Go.",
		"version",
		"goversion",
	)

	datagrams = metric("datagrams_total", "Datagrams that came.")
	ignored   = metric(
		"datagrams_ignored_total",
		"Datagrams that were not of the protocol, not for a server, or too late.",
		"reason",
	)
	intents  = metric("intents_total", "Intents, by what became of them.", "result")
	segments = metric("segments_total", "Segments, by what became of them.", "result")
	sealings = metric(
		"sealed_datagrams_total",
		"Of sealed transactions: intents that opened, what did not open or was replayed, plain "+
			"intents where a key is required, and answers that could not be sealed.",
		"result",
	)
	payload     = metric("bytes_total", "Payload stored, in bytes.")
	offers      = metric("offers_total", "Offers sent, repeated ones too.")
	acks        = metric("acks_total", "Acknowledgements sent.")
	acksDropped = metric(
		"acks_dropped_total",
		"Acknowledgements not sent: too many waited, or their transaction was over.",
	)
	sendErrors = metric("send_errors_total", "Errors of the network or this host about what was sent.")
	stalls     = metric("loop_stalls_total", "Times that the loop stood still for more than 100 ms.")

	transactions = metric("transactions_total", "Transactions that have their verdict.", "status")
	notStarted   = metric(
		"transactions_not_started_total",
		"Transactions given up because the store could not take one.",
	)
	retried = metric("publish_retries_total", "Tries to publish a payload that failed, and are made again.")
	settle  = metric("settle_seconds", "Time from the last segment of a transaction to its verdict.")

	open       = metric("open_transactions", "Transactions without a verdict.")
	placed     = metric("places_taken", "Transactions that hold a place, see --concurrent.")
	places     = metric("places", "How many may, see --concurrent.")
	waiting    = metric("waiting_intents", "Intents that wait for a place.")
	draining   = metric("draining", "1 when no transactions begin any more.")
	livePages  = metric("live_pages", "Status pages that are kept up to date.")
	kernelDrop = metric(
		"rcvbuf_drops_total",
		"Datagrams that the kernel dropped, as a receive buffer was full.",
		"socket",
	)

	receiverBytes = metric(
		"receiver_bytes_total",
		"Payload stored that came to a receiver, in bytes.",
		"receiver",
	)
	receiverSegments = metric(
		"receiver_segments_total",
		"Segments stored that came to a receiver.",
		"receiver",
	)
	receiverRepeats = metric(
		"receiver_repeated_segments_total",
		"Segments that came to a receiver and were stored before.",
		"receiver",
	)

	storeBytes = metric("store_bytes", "What the store holds, in bytes.")
	storeBound = metric(
		"store_bound_bytes",
		"The most that it may hold, see --store-bytes; there only if it is bounded.",
	)
	storeRoom    = metric("store_room_bytes", "What it may still take in, in bytes.")
	storeReserve = metric("store_reserve_bytes", "What stays free on its disk, see --reserve.")
	diskFree     = metric("store_disk_free_bytes", "What is free on its disk, in bytes.")
	diskBytes    = metric("store_disk_bytes", "The size of its disk, in bytes.")

	described = []*prometheus.Desc{
		buildInfo, datagrams, ignored, intents, segments, sealings, payload,
		offers, acks, acksDropped, sendErrors, stalls,
		transactions, notStarted, retried, settle, open, placed, places,
		waiting, draining, livePages, kernelDrop,
		receiverBytes, receiverSegments, receiverRepeats,
		storeBytes, storeBound, storeRoom, storeReserve, diskFree, diskBytes,
	}
)

// metrics is the handler of /metrics, with a registry of its own.
func (p *Page) metrics() http.Handler {
	r := prometheus.NewPedanticRegistry()
	r.MustRegister(
		p.collector(),
		collectors.NewGoCollector(),
		collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}),
	)
	return promhttp.HandlerFor(r, promhttp.HandlerOpts{MaxRequestsInFlight: 4})
}

// collector gives what the server tells of itself.
func (p *Page) collector() prometheus.Collector { return collector{p} }

type collector struct{ p *Page }

// Describe implements prometheus.Collector.
func (collector) Describe(c chan<- *prometheus.Desc) {
	for _, d := range described {
		c <- d
	}
}

// Collect implements prometheus.Collector.
func (k collector) Collect(c chan<- prometheus.Metric) {
	s, fresh := k.p.state(context.Background())
	if !fresh {
		c <- prometheus.NewInvalidMetric(open, errSilent)
		return
	}
	g := gather(c)
	g.gauge(buildInfo, 1, mdalp.Version, runtime.Version())
	g.stats(&s.Now.Stats)
	g.state(s)
	g.gauge(livePages, float64(len(k.p.live)))
	if v := k.p.store(); v != nil {
		g.gauge(storeBytes, float64(v.Held))
		g.gauge(storeReserve, float64(v.Reserve))
		for d, n := range map[*prometheus.Desc]*int64{
			storeBound: v.Max, storeRoom: v.Room, diskFree: v.Free, diskBytes: v.Disk,
		} {
			if n != nil {
				g.gauge(d, float64(*n))
			}
		}
	}
}

// A gather is where metrics go.
type gather chan<- prometheus.Metric

func (g gather) count(d *prometheus.Desc, n float64, labels ...string) {
	g <- prometheus.MustNewConstMetric(d, prometheus.CounterValue, n, labels...)
}

func (g gather) gauge(d *prometheus.Desc, n float64, labels ...string) {
	g <- prometheus.MustNewConstMetric(d, prometheus.GaugeValue, n, labels...)
}

// stats gives the counters of the server.
func (g gather) stats(s *server.Stats) {
	for d, rs := range map[*prometheus.Desc][]counted{
		ignored: ignoredReasons, intents: intentResults, segments: segmentResults, sealings: sealedResults,
	} {
		for _, r := range rs {
			g.count(d, float64(r.of(s)), r.name)
		}
	}
	for d, n := range map[*prometheus.Desc]uint64{
		datagrams: s.Datagrams, payload: s.Bytes, offers: s.Offers, acks: s.Acks, acksDropped: s.AcksDropped,
		sendErrors: s.SendErrors, stalls: s.Stalls, notStarted: s.NotStarted, retried: s.Retried,
	} {
		g.count(d, float64(n))
	}
}

// state gives what is open, what has ended, and what receivers and sockets did.
func (g gather) state(s *State) {
	n := s.Now
	for d, n := range map[*prometheus.Desc]int{
		open: n.Open, placed: n.Placed, places: n.Places, waiting: n.Waiting,
	} {
		g.gauge(d, float64(n))
	}
	drains := 0.0
	if n.Draining {
		drains = 1
	}
	g.gauge(draining, drains)
	for o, n := range s.Outcomes {
		g.count(transactions, float64(n), Outcome(o).String())
	}
	sum, buckets := uint64(0), make(map[float64]uint64)
	for i, n := range s.Settling.Buckets {
		if sum += n; i < len(settleBuckets) {
			buckets[settleBuckets[i]] = sum
		}
	}
	g <- prometheus.MustNewConstHistogram(settle, sum, s.Settling.Seconds, buckets)
	for i := range s.Loads {
		a, l := n.Receivers[i].Receiver.Addr.String(), &s.Loads[i]
		g.count(receiverBytes, float64(l.Bytes), a)
		g.count(receiverSegments, float64(l.Segments), a)
		g.count(receiverRepeats, float64(l.Duplicates), a)
	}
	for _, k := range s.Sockets {
		a := "others"
		if k.Addr.IsValid() {
			a = k.Addr.String()
		}
		g.count(kernelDrop, float64(k.Drops), a)
	}
}
