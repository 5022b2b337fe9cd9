package main

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"os/signal"
	"slices"
	"strconv"
	"syscall"

	"github.com/spf13/cobra"

	"mdalp/cmd/internal/shape"
	"mdalp/cmd/internal/table"
	"mdalp/cmd/internal/usage"
	"mdalp/internal/pcapng"
	"mdalp/internal/trace"
	"mdalp/seal"
)

// newDecode is the command that tells what a capture shows.
func newDecode() *cobra.Command {
	asJSON := false
	var keys []string
	c := &cobra.Command{
		Use:   "decode FILE...",
		Short: "Tell the transactions of a capture",
		Long: `Tell the transactions in captures: intent, offer and the wait between them, the
round trips of the pings, and for each receiver its segments, what was sent again,
which first transmissions were lost, how long acknowledgements took, and whether
everything was acknowledged.

FILE is a pcapng or pcap capture, as tcpdump, Wireshark or send --pcap write it, or -
for standard input. Ethernet, Linux cooked captures, PPP, loopback and raw IP are read,
behind VLAN tags, PPPoE and MPLS too; what is not read is counted. A datagram that was
captured on several interfaces counts once. What the capture lacks is left out: a
transaction whose offer is missing is known by its TID.

Of a sealed transaction it tells what shows from outside: who, when, how many segments of
which sizes, and the ID of the key. --key with the key file says whether that is its key, and
opens nothing, as what follows is sealed with keys that were drawn for it alone. --key with
the key log that send --key-log wrote for it opens it.

An ack delay counts from the transmission that the acknowledgement belongs to. Times are
UTC.

The exit code is 0 if all transactions were acknowledged completely, 1 if one was not, if
that does not show, or if there is none, 2 if the command line is wrong, 4 if a file cannot
be read, is no capture, or is damaged, 130 if interrupted; what comes before is told.`,
		Example: `  mdalp decode capture.pcapng
  mdalp decode --json *.pcapng | jq '.transactions[].receivers[].ack_median_ms'
  tcpdump -i any -w - udp or icmp | mdalp decode -`,
		Args: func(_ *cobra.Command, args []string) error {
			if len(args) == 0 {
				return usage.Errorf("name the captures to decode: FILE..., or - for standard input")
			}
			if slices.Contains(args, "") {
				return usage.Errorf("the name of a capture is empty")
			}
			// The second time there would be nothing left, which would look like an empty capture.
			if i := slices.Index(args, "-"); i >= 0 && slices.Contains(args[i+1:], "-") {
				return usage.Errorf("-: standard input can be read only once")
			}
			return nil
		},
		RunE: func(c *cobra.Command, args []string) error {
			if err := fromEnvironment(c.Flags()); err != nil {
				return err
			}
			k, err := traceKeys(keys)
			if err != nil {
				return blame(c.Flags(), err)
			}
			return decode(args, k, asJSON)
		},
	}
	c.Flags().StringArrayVar(&keys, "key", nil,
		"key `file`, or key log of send --key-log, for sealed transactions; again for more")
	c.Flags().BoolVar(&asJSON, "json", false, "print JSON, an object a line for each file")
	return c
}

// traceKeys reads the files of --key.
func traceKeys(files []string) (k trace.Keys, err error) {
	k.Ring = new(seal.Keyring)
	for i, name := range files {
		one, log, err := seal.ReadKeyOrLog(name)
		if err != nil {
			return k, fmt.Errorf("--key %w", err)
		}
		k.Secrets = append(k.Secrets, log...)
		if one != nil {
			k.Ring.Add(strconv.Itoa(i), *one) // the same key twice is no mistake here
		}
	}
	return k, nil
}

// decode tells all files, those after a bad one too. The exit code is the highest of
// all files, as with send.
func decode(files []string, k trace.Keys, asJSON bool) error {
	signal.Ignore(syscall.SIGPIPE)
	code := exitOK
	for i, name := range files {
		t, err := decodeFile(name, k)
		// Each file has an exit code of its own, which its JSON tells.
		if err == nil && !acknowledged(t) {
			err = exited(exitIncomplete)
		}
		var text bytes.Buffer
		switch {
		case asJSON:
			shape.Encode(&text, shape.NewDecode(newHead(shape.DecodeSchema, err), name, t))
		case t != nil:
			if i > 0 {
				text.WriteByte('\n')
			}
			table.Trace(&text, name, t)
		}
		// File by file, so that a long list shows while it is read. A full disk ends it: the rest
		// would be lost as well.
		if e := toStdout(text.Bytes()); e != nil {
			return e
		}
		switch {
		// An exit code alone has been told by the text already.
		case isFailure(err):
			fmt.Fprintf(os.Stderr, "mdalp: %s\n", usage.Line(fmt.Errorf("%s: %w", name, err)))
			code = max(code, exitCode(err))
		case err != nil:
			code = max(code, exitIncomplete)
		}
		if code == exitInterrupted {
			break
		}
	}
	if code != exitOK {
		return exited(code)
	}
	return nil
}

// decodeFile reads one. The trace is nil if there is nothing to tell. With an error and
// a trace, the trace is of what came before the damage.
func decodeFile(name string, k trace.Keys) (*trace.Trace, error) {
	in := newInput(name)
	defer in.close()
	// The cases are from what the user got wrong to what the file has wrong.
	t, err := trace.ReadSealed(in, k)
	var path *fs.PathError
	var sig interrupted
	switch {
	case errors.As(err, &sig): // before the first packet there is nothing to tell
		if t.Stats.Frames == 0 {
			return nil, sig
		}
		return t, fmt.Errorf("%w: it is told up to packet %d", sig, t.Stats.Frames)
	case errors.Is(err, syscall.EISDIR):
		return nil, errors.New("it is a directory: give the captures in it, or - for standard input")
	case errors.As(err, &path) && t.Stats.Frames == 0:
		return nil, path.Err
	case errors.As(err, &path): // a disk that fails
		err = fmt.Errorf("it cannot be read beyond packet %d: %w", t.Stats.Frames, path.Err)
	case err == pcapng.ErrFormat: // one that wraps it knows what the file is
		return nil, fmt.Errorf("%w, as tcpdump -w, Wireshark or mdalp send --pcap write it", err)
	case err != nil && t.Stats.Frames == 0 && errors.Is(err, io.ErrUnexpectedEOF):
		return nil, errors.New("the capture ends before its first packet")
	case err != nil && t.Stats.Frames == 0:
		return nil, err
	case errors.Is(err, io.ErrUnexpectedEOF):
		err = fmt.Errorf("the capture ends in the middle of packet %d: it was cut", t.Stats.Frames+1)
	case err != nil:
		err = fmt.Errorf("the capture is damaged after packet %d: %w", t.Stats.Frames, err)
	}
	return t, err
}

// acknowledged reports whether all that the capture shows was acknowledged. A capture
// without a transaction shows nothing, and nothing is not success: a script that waits
// for exit code 0 may have named the wrong file.
func acknowledged(t *trace.Trace) bool {
	for _, x := range t.Transactions {
		if !x.Complete() {
			return false
		}
	}
	return len(t.Transactions) > 0
}
