package mdalp

import (
	"encoding"
	"encoding/json"
	"errors"
	"net/netip"
	"strings"
	"testing"
	"time"

	"mdalp/icmp"
	"mdalp/loop"
)

// TestKinds has every kind written and read back, as text and in JSON, and what is no name
// refused with all the names that there are.
func TestKinds(t *testing.T) {
	for _, tt := range []struct {
		value encoding.TextMarshaler
		back  encoding.TextUnmarshaler
		names []string // from the value 0 on
	}{
		{BalanceLatency, new(Balance), balanceNames},
		{PhaseWaiting, new(Phase), phaseNames},
		{OpIntent, new(Op), opNames},
		{icmp.Auto, new(icmp.Mode), []string{"auto", "raw", "dgram", "off"}},
		{loop.OffloadAuto, new(loop.Offload), []string{"auto", "off"}},
		{RTOAdaptive, new(RTO), []string{"adaptive", "fixed", "500ms"}},
	} {
		if b, err := json.Marshal(tt.value); err != nil || string(b) != `"`+tt.names[0]+`"` {
			t.Errorf("%T: %s, %v; want %q", tt.value, b, err, tt.names[0])
		}
		for _, name := range tt.names {
			if err := json.Unmarshal([]byte(`"`+name+`"`), tt.back); err != nil {
				t.Errorf("%T: %q: %v", tt.back, name, err)
			}
			if b, err := json.Marshal(tt.back); err != nil || string(b) != `"`+name+`"` {
				t.Errorf("%T: %q came back as %s, %v", tt.back, name, b, err)
			}
		}
		err := tt.back.UnmarshalText([]byte("Nothing"))
		if err == nil || !strings.Contains(err.Error(), `"Nothing"`) || !strings.Contains(err.Error(), tt.names[1]) {
			t.Errorf("%T: %v; want what it is instead", tt.back, err)
		}
	}
	for _, v := range []encoding.TextMarshaler{Balance(9), Phase(9), Op(9), icmp.Mode(9), loop.Offload(9)} {
		if b, err := v.MarshalText(); err == nil || !strings.Contains(err.Error(), "(9)") {
			t.Errorf("%T of 9: %q, %v; want an error that tells the number", v, b, err)
		}
	}
	for _, s := range []string{"", "0s", "-1s", "3"} {
		if r, err := ParseRTO(s); err == nil {
			t.Errorf("rto %q: %v; want an error", s, r)
		}
	}
	if r, err := ParseRTO("3s"); r != RTOFixed || err != nil {
		t.Errorf("rto 3s: %v, %v; want %v", r, err, RTOFixed)
	}
}

// TestConfigError wants the field that is to blame by its name.
func TestConfigError(t *testing.T) {
	home := netip.MustParseAddrPort("127.0.0.1:4651")
	for field, c := range map[string]*Config{
		"Orchestrator": {}, "Receiver": {Orchestrator: home, Receiver: -1}, "Tries": {Orchestrator: home, Tries: -1},
		"Resume": {Orchestrator: home, Resume: &Transaction{TID: -1}}, "RTO": {Orchestrator: home, RTO: -1},
		"Deadline": {Orchestrator: home, Deadline: -time.Second}, "Rate": {Orchestrator: home, Rate: -1},
	} {
		_, err := Send(t.Context(), strings.NewReader("x"), 1, c)
		var wrong *ConfigError
		if !errors.As(err, &wrong) || wrong.Field != field || !errors.Is(err, ErrConfig) {
			t.Errorf("%v; want an ErrConfig of %s", err, field)
		} else if err.Error() != "bad configuration: "+wrong.Err.Error() {
			t.Errorf("%q; want the cause %q behind it", err, wrong.Err)
		}
	}
	_, err := Ping(t.Context(), []netip.Addr{netip.IPv4Unspecified()}, &PingConfig{})
	var wrong *ConfigError
	if !errors.As(err, &wrong) || wrong.Field != "hosts" {
		t.Errorf("%v; want one of hosts", err)
	}
}
