package main

import (
	"log/slog"
	"reflect"
	"strings"
	"unicode"

	"mdalp/loop"
)

// counters logs what happened so far. It is called in the loop's goroutine.
func (d *daemon) counters() {
	var k loop.Stats // of all sockets together
	for _, s := range d.socks {
		add(&k, s.Stats())
	}
	attrs := []any{"open", d.Open(), "most_open", d.MaxOpen(), "waiting", d.Waiting(), "room_bytes", d.room()}
	// Of the sockets Drops is what the kernel dropped, nearly always for want of a receive buffer.
	d.log.Info("counters", append(attrs, "server", slog.GroupValue(counted(d.Stats())...),
		"sockets", slog.GroupValue(counted(k)...))...)
}

// room is about how many bytes of payload the store may still take in; negative means that
// there is no bound, or no store.
func (d *daemon) room() int64 {
	if d.store == nil {
		return -1
	}
	return d.store.Room()
}

// add adds the counters of x to those of k.
func add(k *loop.Stats, x loop.Stats) {
	to, from := reflect.ValueOf(k).Elem(), reflect.ValueOf(x)
	for i := range to.NumField() {
		to.Field(i).SetUint(to.Field(i).Uint() + from.Field(i).Uint())
	}
}

// counted gives every counter of a struct of them, so that none is forgotten here when one is
// added there. UnknownTID is unknown_tid.
func counted(stats any) (attrs []slog.Attr) {
	v := reflect.ValueOf(stats)
	for i := range v.NumField() {
		attrs = append(attrs, slog.Uint64(key(v.Type().Field(i).Name), v.Field(i).Uint()))
	}
	return attrs
}

// key is a field's name in the form that keys of the log have.
func key(name string) string {
	var b strings.Builder
	lower := false // the letter before was small
	for _, r := range name {
		if unicode.IsUpper(r) && lower {
			b.WriteByte('_')
		}
		lower = unicode.IsLower(r)
		b.WriteRune(unicode.ToLower(r))
	}
	return b.String()
}
