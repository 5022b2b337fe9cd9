package main

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"log/slog"
	"net/netip"
	"strconv"

	"mdalp"
	"mdalp/wire"
)

// original is a slog.Handler that writes the lines of the original client, for those
// who search logs for them: "LEVEL:__main__:text", as Python's logging has it. What the
// original has no line for comes in the same form, with its attributes behind it.
//
// What the original has lines for comes from the session's trace; the offer, which it prints
// whole, from its reports, and the bytes of segments from the payload.
type original struct {
	w     io.Writer
	level slog.Level
	// Its line of arguments comes from there, as does the mode, which words depend on.
	options *sendOptions

	file string
	// The payload, for the bytes of segments, which the trace does not have.
	data io.ReaderAt
	// The orchestrator.
	from  netip.AddrPort
	tid   int64
	offer bool // has been written
	// A line is written at once: other output may go to the same terminal.
	line bytes.Buffer
}

// begin starts over with another file.
func (o *original) begin(file string, p *payload, c *mdalp.Config) {
	*o = original{w: o.w, level: o.level, options: o.options, file: file, data: p, from: c.Orchestrator}
	// The name that Python's open file has.
	name := file
	if file == "-" {
		name = "<stdin>"
	}
	o.print(slog.LevelInfo, "Parsed args: Namespace(addr=%s, "+
		"file=<_io.TextIOWrapper name=%s mode='r' encoding='UTF-8'>, "+
		"mode=%d, port=%d, server=%d, verbose=%d)",
		quote(o.options.addr), quote(name), o.options.mode, o.options.port,
		o.options.server, o.options.verbose)
}

// trace writes the lines that the original has. They are not logged beside it.
func (o *original) trace() *mdalp.Trace {
	t := &mdalp.Trace{
		Unlogged: true,
		Intent: func(x mdalp.TraceIntent) {
			o.print(slog.LevelDebug, "client -> %s (return 0): %s",
				tuple(x.Orchestrator), appendBytes(nil, wire.AppendIntent(nil)))
			o.print(slog.LevelInfo, "Intent message sent to %s.", tuple(x.Orchestrator))
		},
		Offer: func(mdalp.TraceOffer) {}, // written by see, which knows what is in it
		Share: func(x mdalp.TraceShare) {
			// The original has this line with mode 1 only.
			if o.options.mode == 1 {
				o.print(slog.LevelInfo, "addr: %s, latency: %s, data_len: %d",
					tuple(x.Addr), number(float64(x.Latency)/1e6), x.Segments)
			}
		},
		Repeat: func(x mdalp.TraceSegment) {
			switch {
			case x.Num != wire.Absent: // not by a timeout, most of the time
			case o.options.mode == 1:
				o.print(slog.LevelInfo, "Timeout! %s | seq: %d", tuple(x.Addr), x.Seq)
			default: // with mode 2 the original's words name neither receiver nor segment
				o.print(slog.LevelInfo, "Receive timeout!")
			}
		},
	}
	if o.level <= slog.LevelDebug {
		t.Segment, t.Ack = o.segment, o.ack
	}
	return t
}

// segment writes a segment that is sent, with its bytes.
func (o *original) segment(x mdalp.TraceSegment) {
	data := make([]byte, x.Len)
	n, _ := o.data.ReadAt(data, x.Off)
	b := wire.AppendDataHeader(nil, x.TID, x.Seq)
	if x.Num != wire.Absent {
		b = wire.AppendSegmentHeader(nil, x.TID, x.Seq, x.Num, 1, 1)
	}
	o.print(slog.LevelDebug, "client -> %s (return %d): %s",
		tuple(x.Addr), x.Len, appendBytes(nil, append(b, data[:n]...)))
}

// ack writes an acknowledgement, as the dictionary that the original makes of it.
func (o *original) ack(x mdalp.TraceAck) {
	o.print(slog.LevelDebug, "Parsed data: {'Type': 3, 'TID': %d, 'SEQ': %d, 'DATA': None}", x.TID, x.Seq)
}

// see writes the offer as soon as a report has it.
func (o *original) see(r *mdalp.Report) {
	if o.offer || len(r.Receivers) == 0 {
		return
	}
	o.offer, o.tid = true, r.TID
	var rs []wire.Receiver
	for i := range r.Receivers {
		x := wire.Receiver{Host: r.Receivers[i].Addr.Addr().String(), Name: r.Receivers[i].Name}
		// As the offer has it: without the key the port is 4650.
		if p := r.Receivers[i].Addr.Port(); p != mdalp.Port {
			x.Port = p
		}
		rs = append(rs, x)
	}
	text := fmt.Sprintf("{'Type': 1, 'TID': %d, 'SEQ': None, 'DATA': %s}",
		r.TID, wire.AppendReceivers(nil, rs))
	o.print(slog.LevelDebug, "Parsed data: %s", text)
	o.print(slog.LevelInfo, "Response: %s", text)
}

// end writes what the original says last.
func (o *original) end(r *mdalp.Report) {
	if len(r.Receivers) > 0 {
		for i := range r.Receivers {
			o.print(slog.LevelInfo, "MDALP: %s closed.", tuple(r.Receivers[i].Addr))
		}
		// Pings and segments, without the wait for the offer.
		o.print(slog.LevelInfo, "Send took %ss.", number((r.Probe + r.Transfer).Seconds()))
	}
	o.print(slog.LevelDebug, "return: %d | data length: %d", r.Acked, r.Size)
	o.print(slog.LevelInfo, "MDALP: %s closed.", tuple(o.from))
}

// Enabled implements slog.Handler.
func (o *original) Enabled(_ context.Context, l slog.Level) bool { return l >= o.level }

// WithAttrs implements slog.Handler. The session makes no such loggers.
func (o *original) WithAttrs([]slog.Attr) slog.Handler { return o }

// WithGroup implements slog.Handler. The session makes no such loggers.
func (o *original) WithGroup(string) slog.Handler { return o }

// Handle implements slog.Handler.
func (o *original) Handle(_ context.Context, r slog.Record) error {
	o.other(&r)
	return nil
}

// other writes a line that the original does not have.
func (o *original) other(r *slog.Record) {
	text := []byte(r.Message)
	r.Attrs(func(a slog.Attr) bool {
		v := shorten(nil, a).Value.String()
		text = append(text, ' ')
		text = append(text, a.Key...)
		text = append(text, '=')
		if unquoted(v) {
			text = append(text, v...)
		} else {
			text = strconv.AppendQuote(text, v)
		}
		return true
	})
	o.print(r.Level, "%s", text)
}

// unquoted reports whether v needs no quotes.
func unquoted(v string) bool {
	for _, c := range v {
		if c <= ' ' || c == '"' || !strconv.IsPrint(c) {
			return false
		}
	}
	return v != ""
}

// print writes a line if its level is wanted.
func (o *original) print(level slog.Level, format string, args ...any) {
	// The lines of the offer and the end do not pass by Enabled.
	if level < o.level {
		return
	}
	name := level.String()
	// Python's word for it.
	if level == slog.LevelWarn {
		name = "WARNING"
	}
	o.line.Reset()
	o.line.WriteString(name + ":__main__:")
	fmt.Fprintf(&o.line, format, args...)
	o.line.WriteByte('\n')
	o.w.Write(o.line.Bytes())
}

// tuple writes an address as Python's sockets give it.
func tuple(a netip.AddrPort) string {
	// Flow and scope follow the port of an IPv6 address there.
	if a.Addr().Is6() {
		return fmt.Sprintf("(%s, %d, 0, 0)", quote(a.Addr().WithZone("").String()), a.Port())
	}
	return fmt.Sprintf("('%v', %d)", a.Addr(), a.Port())
}

// number writes a float as Python does, unless it is very large or small.
func number(f float64) string { return strconv.FormatFloat(f, 'f', -1, 64) }

// quote is Python's repr of a text, with all but ASCII escaped.
func quote(s string) string { return string(appendBytes(nil, []byte(s)))[1:] }

// appendBytes appends Python's repr of bytes.
func appendBytes(out, b []byte) []byte {
	// Single quotes, unless that would need escapes which double ones do not.
	mark := byte('\'')
	if bytes.IndexByte(b, '\'') >= 0 && bytes.IndexByte(b, '"') < 0 {
		mark = '"'
	}
	out = append(out, 'b', mark)
	for _, c := range b {
		switch {
		case c == mark || c == '\\':
			out = append(out, '\\', c)
		case c == '\n':
			out = append(out, `\n`...)
		case c == '\r':
			out = append(out, `\r`...)
		case c == '\t':
			out = append(out, `\t`...)
		case c < ' ' || c >= 0x7f:
			out = fmt.Appendf(out, `\x%02x`, c)
		default:
			out = append(out, c)
		}
	}
	return append(out, mark)
}
