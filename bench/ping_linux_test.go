package bench

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"math"
	"net"
	"net/netip"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"mdalp"
	"mdalp/icmp"
	"mdalp/internal/need"
)

// BenchmarkPing pings hosts of this machine three times each; an operation is all of
// them. In this process first, so that the start of a program is not in it.
func BenchmarkPing(b *testing.B) {
	for _, n := range []int{1, 10, 1000} {
		b.Run(fmt.Sprint("hosts=", n), func(b *testing.B) {
			hosts := make([]netip.Addr, n)
			for i := range hosts {
				hosts[i] = Address(i)
			}
			b.ReportAllocs()
			cpu := CPU()
			for b.Loop() {
				report, err := mdalp.Ping(context.Background(), hosts, &mdalp.PingConfig{Mode: icmp.Raw})
				if errors.Is(err, os.ErrPermission) {
					need.Skip(b, err)
				}
				if err != nil || report.Silent() != 0 {
					b.Fatal(err)
				}
			}
			b.ReportMetric(float64(CPU()-cpu)/float64(b.N), "cpu-ns/op")
		})
	}
}

// BenchmarkAgainstFping runs both programs in turns, each as fast as it can be told to
// ping 1000 hosts three times with 20 ms between the rounds, and reports medians over the
// rounds of the ratio in each: cpu/fping and time/fping, start of the programs included.
func BenchmarkAgainstFping(b *testing.B) {
	fping, err := exec.LookPath("fping")
	if err != nil {
		need.Skip(b, "fping is not installed")
	}
	if os.Geteuid() != 0 {
		need.Skip(b, "only root may have fping go without pauses (-i 0)")
	}
	const n = 1000
	var hosts strings.Builder
	for i := range n {
		fmt.Fprintln(&hosts, Address(i))
	}
	programs := [2][]string{
		{command(b), "ping", "--ping", "raw", "--interval", "20ms", "-"},
		{fping, "-C", "3", "-q", "-i", "0", "-p", "20"},
	}
	var cpus, times, own, theirs []float64
	for round := range b.N {
		var cpu, took [2]float64
		for k := range programs {
			if round%2 == 1 {
				k = 1 - k
			}
			cmd := exec.Command(programs[k][0], programs[k][1:]...)
			var out bytes.Buffer
			cmd.Stdin, cmd.Stdout, cmd.Stderr = strings.NewReader(hosts.String()), &out, &out
			began := time.Now()
			if err := cmd.Run(); err != nil {
				b.Fatalf("%v: %v\n%s", cmd, err, &out)
			}
			took[k] = float64(time.Since(began))
			u := cmd.ProcessState.SysUsage().(*syscall.Rusage)
			cpu[k] = float64(u.Utime.Nano() + u.Stime.Nano())
		}
		cpus, times = append(cpus, cpu[0]/cpu[1]), append(times, took[0]/took[1])
		own, theirs = append(own, cpu[0]/1e6), append(theirs, cpu[1]/1e6)
	}
	b.ReportMetric(median(cpus), "cpu/fping")
	b.ReportMetric(median(times), "time/fping")
	b.ReportMetric(median(own), "cpu-ms")
	b.ReportMetric(median(theirs), "fping-cpu-ms")
}

// BenchmarkPingError compares the round trips that a Ping of 1000 hosts reports with
// what the kernel's stamps at the loopback device say of the same echoes. error-us is
// the median over the hosts of the difference between both medians, rtt-us the median
// that the kernel saw. The stamps lie inside of ours, so the difference is what the send
// path takes; to look on makes the echoes themselves slower.
func BenchmarkPingError(b *testing.B) {
	const n = 1000
	hosts := make([]netip.Addr, n)
	for i := range hosts {
		hosts[i] = Address(i)
	}
	fd := sniffer(b)
	defer unix.Close(fd)
	var off, seen []float64
	for range b.N {
		report, err := mdalp.Ping(context.Background(), hosts, &mdalp.PingConfig{Mode: icmp.Raw})
		if err != nil || report.Silent() != 0 {
			b.Fatal(err)
		}
		kernel := sniffed(b, fd)
		for i := range report.Hosts {
			h := &report.Hosts[i]
			if len(kernel[h.Addr]) != h.Echoes.Received {
				b.Fatalf("%v: %d echoes seen of %d", h.Addr, len(kernel[h.Addr]), h.Echoes.Received)
			}
			k := median(kernel[h.Addr])
			off, seen = append(off, math.Abs(float64(h.Echoes.Median)-k)/1e3), append(seen, k/1e3)
		}
	}
	b.ReportMetric(median(off), "error-us")
	b.ReportMetric(median(seen), "rtt-us")
}

// sniffer opens a packet socket (packet(7)) that sees all packets on the loopback
// device, with the kernel's stamps.
func sniffer(b *testing.B) int {
	// In network byte order. A socket for one protocol would not see what goes out.
	const protocol = unix.ETH_P_ALL>>8 | unix.ETH_P_ALL&0xff<<8
	lo, err := net.InterfaceByName("lo")
	if err != nil {
		need.Skip(b, err)
	}
	fd, err := unix.Socket(unix.AF_PACKET, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, protocol)
	if errors.Is(err, os.ErrPermission) {
		need.Skip(b, "only root may look at packets")
	}
	err = errors.Join(err,
		unix.Bind(fd, &unix.SockaddrLinklayer{Protocol: protocol, Ifindex: lo.Index}),
		unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_RCVBUFFORCE, 128<<20),
		unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_TIMESTAMPNS, 1))
	if err != nil {
		b.Fatal(err)
	}
	return fd
}

// sniffed gives the round trips in nanoseconds of all echoes that were seen since.
func sniffed(b *testing.B, fd int) map[netip.Addr][]float64 {
	type echo struct {
		host   netip.Addr
		number uint32 // identifier and sequence number
	}
	sent, trips := make(map[echo]int64), make(map[netip.Addr][]float64)
	packet, control := make([]byte, 256), make([]byte, 128)
	for {
		k, c, _, from, err := unix.Recvmsg(fd, packet, control, unix.MSG_DONTWAIT)
		if err == unix.EAGAIN {
			return trips
		}
		cs, bad := unix.ParseSocketControlMessage(control[:c])
		if err := errors.Join(err, bad); err != nil {
			b.Fatal(err)
		}
		if k < 28 || packet[0]>>4 != 4 || packet[9] != unix.IPPROTO_ICMP {
			continue
		}
		var stamp int64
		for _, m := range cs {
			if m.Header.Type == unix.SCM_TIMESTAMPNS {
				stamp = int64(binary.NativeEndian.Uint64(m.Data))*1e9 + int64(binary.NativeEndian.Uint64(m.Data[8:]))
			}
		}
		// The device shows every packet twice: on its way out and on its way in.
		out := from.(*unix.SockaddrLinklayer).Pkttype == unix.PACKET_OUTGOING
		message := packet[packet[0]&15*4 : k]
		number := binary.BigEndian.Uint32(message[4:])
		switch {
		case message[0] == 8 && out:
			sent[echo{netip.AddrFrom4([4]byte(packet[16:])), number}] = stamp
		case message[0] == 0 && !out:
			e := echo{netip.AddrFrom4([4]byte(packet[12:])), number}
			if t, ok := sent[e]; ok {
				trips[e.host] = append(trips[e.host], float64(stamp-t))
				delete(sent, e)
			}
		}
	}
}
