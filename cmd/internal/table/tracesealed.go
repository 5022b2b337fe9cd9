package table

import "mdalp/internal/trace"

// sealedIntent is what the line of an intent says of its being sealed.
func sealedIntent(i *trace.Intent) (text string) {
	if i.Key != "" {
		text = ", sealed with " + whose(i.Key, i.Known)
	}
	if i.Waits > 0 {
		text += ", told " + often(i.Waits) + " to wait"
	}
	return text
}

// whose names a key.
func whose(id string, known bool) string {
	if known {
		return "key " + id + ", which is that of --key"
	}
	return "key " + id
}

// aboutSeal is what the line of a sealed transaction says.
func aboutSeal(t *trace.Transaction) string {
	text := "the intent is not in the capture"
	if t.Key != "" {
		text = whose(t.Key, t.Known)
	}
	switch {
	case !t.Opened:
		text += "; only a key log (send --key-log) opens it"
	case t.Unopened > 0:
		text += "; opened, but for " + Count(t.Unopened, "datagram", "datagrams") + " that do not open"
	default:
		text += "; opened"
	}
	return text
}
