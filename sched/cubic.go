package sched

import (
	"math"
	"time"
)

// The constants of RFC 9438, sections 4.2, 4.3 and 4.6.
const (
	cubicC    = 0.4
	cubicBeta = 0.7
	// As fair as a flow that adds 1 and halves: 3·(1-β)/(1+β).
	cubicAlpha = 3 * (1 - cubicBeta) / (1 + cubicBeta)
)

// leastWindow is kMinimumWindow (RFC 9002, section 7.2), in segments.
const leastWindow = 2

// curve is what of CUBIC a spurious congestion event restores (RFC 9438, section 4.9).
// Sizes are in bytes, but W_est and all others grow in fractions of them.
type curve struct {
	cwnd     float64
	ssthresh float64
	most     float64 // W_max: where the last congestion was
	prior    float64 // cwnd_prior: the window when it was
	est      float64 // W_est: what a flow as fair as Reno would have
	k        float64 // K: seconds from start until the curve is at most again
	start    time.Duration
	began    bool // start is set: this stage of congestion avoidance has begun
}

// A cubic is the congestion window of one receiver: CUBIC (RFC 9438) with HyStart++
// as its slow start, and with recovery periods as RFC 9002, section 7.3.2, has them.
type cubic struct {
	curve
	segment  float64
	hystart  hystart
	recovery time.Duration // congestion_recovery_start_time, or never
	last     time.Duration // the last call of acked
	rejoin   bool          // the next stage begins at its own window: a slow start or a timeout is over

	// The last congestion event, so that it can be taken back.
	before   curve
	episode  uint8
	lost     int // transmissions whose loss was told since
	spurious int // of these, acknowledged after all
	undo     bool
}

func newCubic(segment int) cubic {
	s := float64(segment)
	return cubic{
		curve: curve{
			// RFC 9002, section 7.2.
			cwnd:     min(10*s, max(2*s, 14720)),
			ssthresh: math.Inf(1),
		},
		segment: s, hystart: newHystart(), recovery: never, rejoin: true,
	}
}

func (c *cubic) slowStart() bool { return c.cwnd < c.ssthresh }

// answered takes the first acknowledgement, which no probe was needed for. Until then only a
// few segments of the initial window were sent. The window becomes twice what it would be
// had all of it been, and been acknowledged: that makes up for the idle round. What is sent
// of it is paced, so that 40 segments are no burst. (RFC 9002, section 7.2, begins with 10
// and has no such round; Chromium's QUIC begins with 32.)
func (c *cubic) answered() { c.cwnd *= 4 }

// round begins a round trip of the flight.
func (c *cubic) round() {
	// RFC 9406, section 4.3: in the first slow start only, which has no threshold yet.
	if !math.IsInf(c.ssthresh, 1) {
		return
	}
	if excess, over := c.hystart.round(); over {
		c.cwnd = max(c.cwnd/excess/leaveRoom, leastWindow*c.segment)
		c.ssthresh = c.cwnd
	}
}

// sample takes a measured round trip.
func (c *cubic) sample(rtt time.Duration) {
	if math.IsInf(c.ssthresh, 1) {
		c.hystart.sample(rtt)
	}
}

// acked grows the window by bytes that were acknowledged and sent after the recovery
// period began. used says that the window was what held the flight back: one that was
// not used says nothing of the path, and does not grow (RFC 9002, section 7.8).
func (c *cubic) acked(now time.Duration, bytes float64, rtt time.Duration, used bool) {
	idle := now - c.last
	c.last = now
	switch {
	case !used:
		// The curve stands still meanwhile (RFC 9438, section 5.8).
		c.start += idle
	case c.slowStart():
		if c.hystart.careful() {
			bytes /= cautious
		}
		c.cwnd = min(c.cwnd+bytes, max(c.ssthresh, c.cwnd))
	case bytes > 0:
		c.avoid(now, bytes, rtt)
	}
}

// avoid is congestion avoidance (RFC 9438, sections 4.2 to 4.5).
func (c *cubic) avoid(now time.Duration, bytes float64, rtt time.Duration) {
	if !c.began {
		c.begin(now)
	}
	// Section 4.3. Once the window is where it was, it may grow as fast as Reno's.
	alpha := cubicAlpha
	if c.est >= c.prior {
		alpha = 1
	}
	c.est += alpha * c.segment * bytes / c.cwnd
	t := (now - c.start).Seconds()
	if c.at(t) < c.est {
		c.cwnd = max(c.cwnd, c.est)
		return
	}
	// Sections 4.4 and 4.5: where the curve is one round trip from now.
	target := min(max(c.at(t+rtt.Seconds()), c.cwnd), 1.5*c.cwnd)
	c.cwnd += (target - c.cwnd) * bytes / c.cwnd
}

// at is W_cubic(t), t in seconds (section 4.2).
func (c *cubic) at(t float64) float64 {
	d := t - c.k
	return cubicC*d*d*d*c.segment + c.most
}

// begin starts a stage of congestion avoidance.
func (c *cubic) begin(now time.Duration) {
	c.began, c.start, c.est = true, now, c.cwnd
	if c.rejoin || c.most <= c.cwnd {
		c.most, c.k = c.cwnd, 0 // sections 4.8 and 4.10
	} else {
		c.k = math.Cbrt((c.most - c.cwnd) / c.segment / cubicC)
	}
	if c.rejoin {
		c.prior = c.cwnd
	}
	c.rejoin = false
}

// inRecovery reports whether what was sent at an instant was sent before the recovery
// period began: its loss is not another one's sign, and its ack grows nothing.
func (c *cubic) inRecovery(sent time.Duration) bool { return sent <= c.recovery }

// congested takes the loss of something sent at an instant (RFC 9002, appendix B.6).
func (c *cubic) congested(now, sent time.Duration) {
	if c.inRecovery(sent) {
		return
	}
	c.before, c.undo = c.curve, true
	c.lost, c.spurious = 0, 0
	c.episode++
	c.recovery = now
	c.prior = c.cwnd
	// Section 4.7, fast convergence: who loses ever earlier makes room for others.
	if c.cwnd < c.most {
		c.most = c.cwnd * (1 + cubicBeta) / 2
	} else {
		c.most = c.cwnd
	}
	c.ssthresh = max(c.cwnd*cubicBeta, leastWindow*c.segment) // section 4.6
	c.cwnd = c.ssthresh
	c.began, c.rejoin = false, false
}

// collapse takes a persistent congestion (RFC 9002, section 7.6.2; RFC 9438, section
// 4.8). It follows congested.
func (c *cubic) collapse() {
	c.cwnd = leastWindow * c.segment
	c.recovery = never
	c.began, c.rejoin, c.undo = false, true, false
}

// mistaken takes the ack of what was said to be lost in an episode. When that is so
// of all that was, nothing was lost (RFC 9438, section 4.9).
func (c *cubic) mistaken(episode uint8) {
	if !c.undo || episode != c.episode {
		return
	}
	if c.spurious++; c.spurious < c.lost {
		return
	}
	c.undo = false
	c.recovery = never
	if c.cwnd < c.before.cwnd {
		c.curve = c.before
	}
}
