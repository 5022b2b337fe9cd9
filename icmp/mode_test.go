package icmp

import "testing"

func TestMode(t *testing.T) {
	tests := []struct {
		m    Mode
		name string
	}{{Auto, "auto"}, {Raw, "raw"}, {Datagram, "dgram"}, {Off, "off"}}
	for _, tt := range tests {
		if got := tt.m.String(); got != tt.name {
			t.Errorf("String of %d: %q, want %q", tt.m, got, tt.name)
		}
		if got, err := ParseMode(tt.name); got != tt.m || err != nil {
			t.Errorf("ParseMode(%q) = %v, %v", tt.name, got, err)
		}
	}
	for _, s := range []string{"", "Raw", "raw ", "mode(4)"} {
		if m, err := ParseMode(s); err == nil {
			t.Errorf("ParseMode(%q) = %v without error", s, m)
		}
	}
	if got, want := Mode(4).String(), "mode(4)"; got != want {
		t.Errorf("String of 4: %q, want %q", got, want)
	}
}

func TestOutcomeString(t *testing.T) {
	names := []string{"counted", "duplicate", "foreign", "malformed", "outcome(4)"}
	for i, want := range names {
		if got := Outcome(i).String(); got != want {
			t.Errorf("String of %d: %q, want %q", i, got, want)
		}
	}
}
