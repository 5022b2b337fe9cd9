// Quic sends a file over one stream of quic-go, so that its cost can be put beside that of
// mdalp: the receiver keeps nothing, and confirms the whole at the end.
//
//	quic -serve 127.0.0.1:5702
//	quic -send 127.0.0.1:5702 -f FILE
//
// The server ends after one transfer. Each prints the CPU time of its own process.
package main

import (
	"context"
	"crypto/ed25519"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"flag"
	"fmt"
	"io"
	"math/big"
	"os"
	"syscall"
	"time"

	"github.com/quic-go/quic-go"
)

// protocol is what both ends name in their greeting.
const protocol = "mdalp-bench"

// window is how much may be under way: enough to keep loopback busy.
const window = 16 << 20

var config = &quic.Config{
	InitialStreamReceiveWindow: window, MaxStreamReceiveWindow: window,
	InitialConnectionReceiveWindow: window, MaxConnectionReceiveWindow: window,
}

func main() {
	serving := flag.String("serve", "", "`address` to take one transfer at")
	sending := flag.String("send", "", "`address` to send to")
	file := flag.String("f", "", "`file` to send")
	flag.Parse()
	ctx, cancel := context.WithTimeout(context.Background(), 2*time.Minute)
	defer cancel()
	var n int64
	var err error
	switch {
	case *serving != "":
		n, err = serve(ctx, *serving)
	case *sending != "" && *file != "":
		n, err = send(ctx, *sending, *file)
	default:
		flag.Usage()
		os.Exit(2)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "quic:", err)
		os.Exit(1)
	}
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		panic(err)
	}
	cpu := time.Duration(u.Utime.Nano() + u.Stime.Nano())
	fmt.Printf("%d bytes, %.3f CPU s/GB\n", n, cpu.Seconds()/float64(n)*1e9)
}

// serve takes all bytes of one stream, and answers their end with one byte.
func serve(ctx context.Context, addr string) (int64, error) {
	cert, err := certificate()
	if err != nil {
		return 0, err
	}
	l, err := quic.ListenAddr(addr,
		&tls.Config{Certificates: []tls.Certificate{cert}, NextProtos: []string{protocol}}, config)
	if err != nil {
		return 0, err
	}
	defer l.Close()
	c, err := l.Accept(ctx)
	if err != nil {
		return 0, err
	}
	s, err := c.AcceptStream(ctx)
	if err != nil {
		return 0, err
	}
	n, err := io.CopyBuffer(struct{ io.Writer }{io.Discard}, s, make([]byte, 256<<10))
	if err != nil {
		return n, err
	}
	if _, err := s.Write([]byte{1}); err != nil {
		return n, err
	}
	<-c.Context().Done() // the client has it, and closes
	return n, s.Close()
}

// send sends a file, and waits until the other end has all of it.
func send(ctx context.Context, addr, file string) (n int64, err error) {
	f, err := os.Open(file)
	if err != nil {
		return 0, err
	}
	defer f.Close()
	// The certificate was made for this transfer, and nobody knows it.
	c, err := quic.DialAddr(ctx, addr, &tls.Config{InsecureSkipVerify: true, NextProtos: []string{protocol}},
		config)
	if err != nil {
		return 0, err
	}
	defer func() {
		if e := c.CloseWithError(0, ""); err == nil {
			err = e
		}
	}()
	s, err := c.OpenStreamSync(ctx)
	if err != nil {
		return 0, err
	}
	if n, err = io.CopyBuffer(s, struct{ io.Reader }{f}, make([]byte, 256<<10)); err != nil {
		return n, err
	}
	if err := s.Close(); err != nil {
		return n, err
	}
	_, err = io.ReadFull(s, make([]byte, 1))
	return n, err
}

// certificate is one for this process alone.
func certificate() (tls.Certificate, error) {
	public, private, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		return tls.Certificate{}, err
	}
	t := &x509.Certificate{SerialNumber: big.NewInt(1), NotAfter: time.Now().Add(time.Hour)}
	der, err := x509.CreateCertificate(rand.Reader, t, t, public, private)
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: private}, err
}
