package main

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strconv"
	"sync"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"mdalp"
	"mdalp/cmd/internal/usage"
)

const (
	// leastResumed is the size from which on a payload has a record: what is smaller is sent
	// again sooner than a file is written for each of thousands.
	leastResumed = 1 << 20
	// recordsKept is how long a record stays that nobody asks for: as long as servers keep
	// what is unfinished, see mdalpd --keep, and some more.
	recordsKept = 7 * 24 * time.Hour
	recordMost  = 16 << 10 // bytes of one
)

// A record is what is kept of an unfinished transfer, one for each server and file, so that
// the same command can go on with it.
type record struct {
	Server   string    `json:"server"` // as it was given
	Path     string    `json:"path"`
	Size     int64     `json:"size_bytes"`
	Modified time.Time `json:"modified"`
	Device   uint64    `json:"device"`
	Inode    uint64    `json:"inode"`
	TID      int64     `json:"tid"`
	Segment  int       `json:"segment_bytes"`
	When     time.Time `json:"announced"`
}

// changed says what of the file is not as it was, or "".
func (r *record) changed(is *record) string {
	switch {
	case r.Size != is.Size:
		return fmt.Sprintf("it had %d bytes, and has %d", r.Size, is.Size)
	case !r.Modified.Equal(is.Modified):
		return "it was written to since"
	case r.Device != is.Device || r.Inode != is.Inode:
		return "it is another file of that name"
	}
	return ""
}

// stateFolder is where records are ($XDG_STATE_HOME, as the XDG Base Directory
// Specification has it).
func stateFolder() (string, error) {
	dir := os.Getenv("XDG_STATE_HOME")
	if !filepath.IsAbs(dir) { // "should be ignored", says the specification
		home, err := os.UserHomeDir()
		if err != nil {
			return "", err
		}
		dir = filepath.Join(home, ".local", "state")
	}
	return filepath.Join(dir, "mdalp"), nil
}

// A keeper keeps the record of one transfer. Its file is locked as long as the transfer
// goes on, so that no other goes on with the same transaction. The zero value keeps
// nothing.
type keeper struct {
	is   record // the file as it is
	file *os.File

	mu      sync.Mutex // of what follows, as a transfer tells its number beside the loop
	written bool
	closed  bool
	err     error
}

// keep opens the record of a file that is sent to a server. was is what it says, nil if
// there is none. It fails with errBusy when another process is sending that file there.
func keep(server, path string, st os.FileInfo) (k *keeper, was *record, err error) {
	sys, ok := st.Sys().(*syscall.Stat_t)
	if !ok {
		return nil, nil, errors.ErrUnsupported
	}
	if path, err = filepath.Abs(path); err != nil {
		return nil, nil, err
	}
	dir, err := stateFolder()
	if err != nil {
		return nil, nil, err
	}
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, nil, err
	}
	sum := sha256.Sum256([]byte(server + "\x00" + path))
	name := filepath.Join(dir, hex.EncodeToString(sum[:12])+".json")
	k = &keeper{is: record{Server: server, Path: path, Size: st.Size(), Modified: st.ModTime(),
		Device: uint64(sys.Dev), Inode: sys.Ino}} // of 32 bits on some systems
	if k.file, err = lockRecord(name, os.O_RDWR|os.O_CREATE); err != nil {
		return nil, nil, err
	}
	if was, err = readRecord(k.file); err != nil || was.Server != server || was.Path != path {
		return k, nil, nil // empty, torn, or of another form: as if it were not there
	}
	k.written = true
	return k, was, nil
}

// errBusy is the error of a record that another process has.
var errBusy = errors.New("another mdalp is sending it")

// lockRecord opens a record and locks it (flock(2)), until it is closed.
func lockRecord(name string, flags int) (*os.File, error) {
	for {
		f, err := os.OpenFile(name, flags|unix.O_NOFOLLOW, 0o600)
		if err != nil {
			return nil, err
		}
		if err := unix.Flock(int(f.Fd()), unix.LOCK_EX|unix.LOCK_NB); err != nil {
			f.Close()
			if errors.Is(err, unix.EWOULDBLOCK) {
				return nil, errBusy
			}
			return nil, &os.PathError{Op: "lock", Path: name, Err: err}
		}
		// Whoever had it may have removed it: then this is no file that others would find.
		var there os.FileInfo
		here, err := f.Stat()
		if err == nil {
			there, err = os.Lstat(name)
		}
		if err == nil && os.SameFile(here, there) {
			return f, nil
		}
		f.Close()
		if err != nil && !errors.Is(err, os.ErrNotExist) {
			return nil, err
		}
	}
}

// readRecord reads a record from its beginning.
func readRecord(f *os.File) (*record, error) {
	b, err := io.ReadAll(io.NewSectionReader(f, 0, recordMost))
	if err != nil {
		return nil, err
	}
	r := new(record)
	if err := json.Unmarshal(b, r); err != nil {
		return nil, err
	}
	if r.TID < 0 || r.Segment < 1 || r.Size < 1 || r.Path == "" {
		return nil, errors.New("it is no record")
	}
	return r, nil
}

// announced is Config.Announced: it writes the record. It is small, and written over the
// old one: what a crash tears is no record.
func (k *keeper) announced(t mdalp.Transaction) {
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.closed {
		return
	}
	r := k.is
	r.TID, r.Segment, r.When = t.TID, t.Segment, time.Now()
	b, err := json.Marshal(&r)
	if err == nil {
		_, err = k.file.WriteAt(append(b, '\n'), 0)
	}
	if err == nil {
		err = k.file.Truncate(int64(len(b) + 1))
	}
	k.written, k.err = true, err
}

// end lets the record go, and removes it when there is nothing to go on with. The error is
// one of writing it.
func (k *keeper) end(finished bool) error {
	if k == nil {
		return nil
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	k.closed = true
	if finished || !k.written || k.err != nil {
		os.Remove(k.file.Name()) // under the lock
	}
	k.file.Close()
	return k.err
}

// resume opens the record of a file, and says what to go on with. Whatever is wrong with
// records is worth a line, and no reason not to send.
func (s *sender) resume(file string, p *payload) *keeper {
	o, log := &s.o.extended, s.watch.log
	s.cfg.Resume, s.cfg.Announced = nil, nil
	if o.resume.given {
		s.cfg.Resume = &mdalp.Transaction{TID: o.resume.tid}
	}
	if o.base || o.resume.off || p.named == nil || p.size < leastResumed {
		return nil
	}
	server := o.server(s.o)
	k, was, err := keep(server, file, p.named)
	switch {
	case errors.Is(err, errBusy):
		log.Warn("another mdalp sends this file to this server: it is sent a second time", "file", file)
		return nil
	case err != nil:
		log.Warn("this transfer cannot be resumed if it is cut off: no record of it can be kept",
			"err", usage.File(err))
		return nil
	}
	s.cfg.Announced = k.announced
	if was == nil || o.resume.given {
		return k
	}
	if why := was.changed(&k.is); why != "" {
		log.Warn("the file has changed since a transfer of it was cut off: it is sent anew",
			"file", file, "tid", was.TID, "why", why)
		return k
	}
	s.cfg.Resume = &mdalp.Transaction{TID: was.TID, Segment: was.Segment}
	return k
}

// server is how a record names an orchestrator.
func (o *extendedOptions) server(s *sendOptions) string {
	return s.addr + " " + strconv.Itoa(int(s.port))
}

// over reports whether a transfer that ended so leaves nothing to go on with.
func over(err error) bool { return err == nil || errors.Is(err, mdalp.ErrDamaged) }

// A resumption is the value of --resume.
type resumption struct {
	off   bool
	given bool // tid is; else it is what the record says
	tid   int64
}

// Set implements pflag.Value.
func (r *resumption) Set(text string) error {
	switch text {
	case "auto":
		*r = resumption{}
		return nil
	case "off":
		*r = resumption{off: true}
		return nil
	}
	tid, err := strconv.ParseInt(text, 10, 64)
	if err != nil || tid < 0 {
		return errors.New("it is auto, off or the number of a transaction")
	}
	*r = resumption{given: true, tid: tid}
	return nil
}

// String implements pflag.Value.
func (r *resumption) String() string {
	switch {
	case r.off:
		return "off"
	case r.given:
		return strconv.FormatInt(r.tid, 10)
	}
	return "auto"
}

// Type implements pflag.Value.
func (r *resumption) Type() string { return "resume" }
