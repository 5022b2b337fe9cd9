package status

import (
	"encoding/json"
	"fmt"
	"net/http"
	"time"
)

const (
	// mostLive is how many pages are kept up to date at once.
	mostLive = 32
	// beat is how often such a page hears of what is new.
	beat = time.Second
	// sending is how long it may take to take it.
	sending = 10 * time.Second
)

// A news is what a live page is told: the parts that are new, and what a screen reader says.
type news struct {
	Parts map[string]string `json:"parts"`
	Say   string            `json:"say,omitempty"`
	Stale bool              `json:"stale,omitempty"` // the loop does not answer
}

// stream is /v1/live: server-sent events (HTML, 9.2), one a second at most.
func (p *Page) stream(w http.ResponseWriter, r *http.Request) {
	select {
	case p.live <- struct{}{}:
		defer func() { <-p.live }()
	default:
		w.Header().Set("Retry-After", "30")
		refuse(
			w,
			http.StatusServiceUnavailable,
			fmt.Sprintf("%d pages are kept up to date already, which are the most", mostLive),
		)
		return
	}
	w.Header().Set("Content-Type", "text/event-stream")
	if r.Method == http.MethodHead {
		return
	}
	c := http.NewResponseController(w)
	unread(c)
	tick := time.NewTicker(beat)
	defer tick.Stop()
	var had *rendered
	for {
		s, fresh := p.state(r.Context())
		if r.Context().Err() != nil {
			return
		}
		n := news{Stale: !fresh}
		if s != nil {
			x, err := p.render(s)
			if err != nil {
				return
			}
			n.Parts, n.Say = x.since(had)
			had = x
		}
		b, err := json.Marshal(n)
		if err != nil {
			return
		}
		if c.SetWriteDeadline(time.Now().Add(sending)) != nil {
			return
		}
		if _, err := fmt.Fprintf(w, "data: %s\n\n", b); err != nil || c.Flush() != nil {
			return
		}
		select {
		case <-tick.C:
		case <-r.Context().Done():
			return
		}
	}
}

// since gives the parts that differ from those that a page has, which may be nil, and a
// sentence about new verdicts: the rest changes too often to be told.
func (x *rendered) since(had *rendered) (changed map[string]string, say string) {
	changed = make(map[string]string)
	for name, text := range x.parts {
		if had == nil || had.parts[name] != text {
			changed[name] = text
		}
	}
	if had == nil || len(x.state.Verdicts) == 0 {
		return changed, ""
	}
	var was, is uint64
	for o := range x.state.Outcomes {
		if Outcome(o) != Unused {
			was += had.state.Outcomes[o]
			is += x.state.Outcomes[o]
		}
	}
	v := &x.state.Verdicts[len(x.state.Verdicts)-1]
	switch is - was {
	case 0:
	case 1:
		say = fmt.Sprintf("Verdict of transaction %d: %v", v.TID, v.Outcome)
	default:
		say = fmt.Sprintf("%d new verdicts, the last of transaction %d: %v", is-was, v.TID, v.Outcome)
	}
	return changed, say
}
