package status

import (
	"cmp"
	"time"
)

// A View is a State as JSON and the page tell it. Bytes are of payload, rates are bytes a
// second, times are RFC 3339's in UTC; null is what is not known.
type View struct {
	Schema        string     `json:"schema"`
	Version       string     `json:"version"`
	At            time.Time  `json:"at"`
	Started       time.Time  `json:"started"`
	Uptime        float64    `json:"uptime_seconds"`
	Draining      bool       `json:"draining"`
	Open          OpenView   `json:"open"`
	Verdicts      EndedView  `json:"verdicts"`
	Receivers     []LoadView `json:"receivers"`
	MoreReceivers int        `json:"receivers_not_shown"`
	Sockets       []Dropping `json:"sockets"`
	Drops         uint64     `json:"dropped_by_kernel"`
	Store         *StoreView `json:"store"`
	Counters      Counters   `json:"counters"`
	Rate          float64    `json:"bytes_per_second"`
}

// An OpenView is what is not settled.
type OpenView struct {
	Transactions int            `json:"transactions"`
	Placed       int            `json:"places_taken"`
	Places       int            `json:"places"`
	Waiting      int            `json:"waiting_intents"`
	Shown        []Transferring `json:"shown"`
}

// A Transferring is one open transaction. Of its number only the end is told: whoever knows
// all of it may put segments into it.
type Transferring struct {
	TID       string      `json:"tid_ends_with"`
	Client    string      `json:"client"`
	IP        string      `json:"ip_address"`
	Name      *string     `json:"name"`
	Stage     string      `json:"stage"`
	Protocol  string      `json:"protocol"`
	Key       *string     `json:"key"` // the name of the key that it is sealed with
	Recovered bool        `json:"recovered"`
	Begun     *time.Time  `json:"begun"`
	Age       float64     `json:"age_seconds"`
	Silent    float64     `json:"silent_seconds"`
	Bytes     int64       `json:"bytes"`
	Size      *int64      `json:"size_bytes"`
	Rate      float64     `json:"bytes_per_second"`
	Segments  int64       `json:"segments"`
	Repeated  int64       `json:"repeated_segments"`
	Lost      *int64      `json:"lost_datagrams"`
	Receivers []ShareView `json:"receivers"`
}

// A ShareView is what a receiver took of a transaction.
type ShareView struct {
	Name     string  `json:"name"`
	Addr     string  `json:"address"`
	Bytes    int64   `json:"bytes"`
	Segments int64   `json:"segments"`
	Repeated int64   `json:"repeated_segments"`
	Share    float64 `json:"share"` // of the bytes of all, 0 to 1
}

// Label is what the page calls the receiver.
func (s ShareView) Label() string { return cmp.Or(s.Name, s.Addr) }

// An EndedView is what is settled, the newest first.
type EndedView struct {
	Outcomes map[string]uint64 `json:"outcomes"`
	Kept     int               `json:"kept"`
	Shown    []VerdictView     `json:"shown"`
}

// A VerdictView is one verdict.
type VerdictView struct {
	TID      int64     `json:"tid"`
	Client   string    `json:"client"`
	IP       string    `json:"ip_address"`
	Status   bool      `json:"status"`
	Comment  string    `json:"comment"`
	Outcome  string    `json:"outcome"`
	At       time.Time `json:"at"`
	Name     *string   `json:"name"`
	Protocol string    `json:"protocol"`
	Key      *string   `json:"key"`
	Bytes    int64     `json:"bytes"`
	Segments int64     `json:"segments"`
	Elapsed  float64   `json:"elapsed_seconds"`
	Settle   float64   `json:"settle_seconds"`
	SHA256   *string   `json:"sha256"`
	Error    *string   `json:"error"`
}

// A LoadView is what a receiver has taken since the start.
type LoadView struct {
	Name     string  `json:"name"`
	Addr     string  `json:"address"`
	Bytes    int64   `json:"bytes"`
	Segments int64   `json:"segments"`
	Repeated int64   `json:"repeated_segments"`
	Share    float64 `json:"share"`
	Drops    *uint64 `json:"dropped_by_kernel"` // of its socket, which others may share
}

// A Dropping is a socket.
type Dropping struct {
	Addr  string `json:"address"` // "others" for those beyond the first
	Drops uint64 `json:"dropped_by_kernel"`
}

// A StoreView is the store's directory, in bytes.
type StoreView struct {
	Path     string `json:"path"`
	Held     int64  `json:"held_bytes"`
	Promised int64  `json:"promised_bytes"`
	Max      *int64 `json:"bound_bytes"`
	Room     *int64 `json:"room_bytes"`
	Free     *int64 `json:"disk_free_bytes"`
	Disk     *int64 `json:"disk_bytes"`
	Reserve  int64  `json:"reserve_bytes"`
}

// Counters are what was counted since the start.
type Counters struct {
	Datagrams uint64            `json:"datagrams"`
	Bytes     uint64            `json:"bytes"`
	Offers    uint64            `json:"offers"`
	Acks      uint64            `json:"acknowledgements"`
	Stalls    uint64            `json:"stalls"`
	Intents   map[string]uint64 `json:"intents"`
	Segments  map[string]uint64 `json:"segments"`
	Sealed    map[string]uint64 `json:"sealed"`
}
