package seal

import (
	"errors"
	"fmt"
	"strings"
)

// nameLetters is what means nothing to a shell, a log or a browser.
const nameLetters = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._-"

// maxName bounds the name of a key, in bytes.
const maxName = 64

// Keyring holds the keys that a server takes, each under the name of the client that it
// was given to. The zero value is empty. It is not to be changed while it is used.
type Keyring struct {
	keys []named
	byID map[string][]int // places in keys, in the order in which they were added
}

type named struct {
	name string
	key  Key
}

// Add puts a key under a name: 1 to 64 letters, digits, dots, hyphens and underscores, as
// it stands in logs, on the status page and in metrics. A name that is taken is an error,
// and so is a key that is there under another name, because names could not tell the two
// apart. Keys that differ may share an ID.
func (r *Keyring) Add(name string, k Key) error {
	if err := checkName(name); err != nil {
		return err
	}
	for _, o := range r.keys {
		if o.name == name {
			return fmt.Errorf("key name %s: it is there twice; give each key a name of its own", name)
		}
		if o.key == k {
			return fmt.Errorf("key name %s: it is the same key as %s; make each client's with mdalp key",
				name, o.name)
		}
	}
	if r.byID == nil {
		r.byID = make(map[string][]int)
	}
	id := k.ID()
	r.byID[id] = append(r.byID[id], len(r.keys))
	r.keys = append(r.keys, named{name, k})
	return nil
}

// checkName tells whether a name is fit for a log line.
func checkName(name string) error {
	switch {
	case name == "":
		return errors.New("key name: it is empty; name the client that has the key, as in office=FILE")
	case len(name) > maxName || strings.Trim(name, nameLetters) != "":
		return fmt.Errorf("key name %q: a name is at most %d letters, digits, dots, hyphens and underscores",
			name, maxName)
	}
	return nil
}

// Len is the number of keys.
func (r *Keyring) Len() int { return len(r.keys) }

// Names lists the names in the order in which they were added.
func (r *Keyring) Names() []string {
	names := make([]string, len(r.keys))
	for i, n := range r.keys {
		names[i] = n.name
	}
	return names
}

// Key gives the key of a name.
func (r *Keyring) Key(name string) (k Key, ok bool) {
	for _, n := range r.keys {
		if n.name == name {
			return n.key, true
		}
	}
	return Key{}, false
}

// with gives the places in keys of those that have an ID, without allocating. There is
// more than one only by chance, or because somebody looked for such keys.
func (r *Keyring) with(id []byte) []int { return r.byID[string(id)] }
