//go:build linux

package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"strconv"
	"time"
)

// tftpBlock is how much fits into a packet of 1,500 bytes behind the headers of IPv4, UDP and TFTP.
const tftpBlock = 1428

// A tool is a way to send a file.
type tool struct {
	name, about string
	programs    []string // that have to be there
	root        bool     // and whose server needs root
	// waits says that the next block waits for the answer to the one before; least, that blocks
	// are of 100 bytes at that.
	waits, least bool
	pull         bool // the server has the file
	// server and client are command lines. What arrives has to be b.arrives() then, but for a
	// program that keeps nothing.
	server, client func(b *bench, p *place) []string
	nothing        bool // is kept
	// took is how long it says that it took, of those whose own word counts.
	took func(b *bench, stdout []byte, size int64) (time.Duration, error)
}

// tools are all, in the order of the table.
var tools = []tool{
	{
		name: "mdalp", about: "extended protocol, one receiver, digest compared by the server",
		server: mdalpd(), client: mdalp(),
	},
	{
		name: "mdalp-base", least: true,
		about: "base protocol, one receiver: segments of 100 bytes, one at a time",
		// Silence must not end a payload, as losses make some.
		server: func(b *bench, p *place) []string {
			return mdalpd("--base", "--expect", b.payload)(b, p)
		},
		client: mdalp("--base"),
	},
	{
		name: "scp", about: "over a server of its own, with keys of its own",
		programs: []string{"scp", "sshd", "ssh-keygen"}, server: sshd, client: scp,
	},
	{
		name: "rsync", about: "to a daemon, without ssh", programs: []string{"rsync"},
		server: rsyncd, client: func(b *bench, p *place) []string {
			return []string{"rsync", b.payload,
				fmt.Sprintf("rsync://%s:%d/files/%s", p.far, p.port, filepath.Base(b.arrives()))}
		},
	},
	{
		name: "curl", about: "HTTP from a web server in Go", programs: []string{"curl"}, pull: true,
		server: func(b *bench, p *place) []string {
			return []string{b.self, "serve", filepath.Dir(b.payload), fmt.Sprintf("%s:%d", p.near, p.port)}
		},
		client: func(b *bench, p *place) []string {
			return []string{"curl", "-q", "-sS", "-f", "-o", b.arrives(),
				fmt.Sprintf("http://%s:%d/%s", p.near, p.port, filepath.Base(b.payload))}
		},
	},
	{
		name: "tftp", about: "curl to tftpd-hpa, blocks of 1,428 bytes, one at a time",
		waits: true, root: true,
		programs: []string{"curl", "in.tftpd"},
		server: func(b *bench, p *place) []string {
			return []string{"in.tftpd", "--foreground", "--listen", "--user", "root",
				"--create", "--permissive",
				"--address", fmt.Sprintf("%s:%d", p.far, p.port), "--secure", filepath.Dir(b.arrives())}
		},
		client: func(b *bench, p *place) []string {
			return []string{"curl", "-q", "-sS", "--tftp-blksize", strconv.Itoa(tftpBlock), "-T", b.payload,
				fmt.Sprintf("tftp://%s:%d/%s", p.far, p.port, filepath.Base(b.arrives()))}
		},
	},
	{
		name: "iperf3", about: "plain TCP, by its own clock; no file",
		programs: []string{"iperf3"}, nothing: true,
		server: func(_ *bench, p *place) []string {
			return []string{"iperf3", "-s", "-1", "-B", p.far, "-p", strconv.Itoa(p.port)}
		},
		client: func(b *bench, p *place) []string {
			return []string{"iperf3", "-J", "-c", p.far, "-p", strconv.Itoa(p.port),
				"-n", strconv.FormatInt(b.size, 10)}
		},
		took: iperfTook,
	},
}

// missing says what has to be installed, or got otherwise, for a tool.
func (t *tool) missing() string {
	for _, p := range t.programs {
		if _, err := find(p); err != nil {
			return fmt.Sprintf("there is no %s; Debian: apt-get install openssh-client openssh-server "+
				"rsync tftpd-hpa curl iperf3", p)
		}
	}
	if t.root && os.Geteuid() != 0 {
		return "its server needs root"
	}
	return ""
}

// find looks for a program, servers included: their folders are often in root's PATH alone.
func find(name string) (string, error) {
	if p, err := exec.LookPath(name); err == nil {
		return filepath.Abs(p)
	}
	return exec.LookPath("/usr/sbin/" + name)
}

// mdalpd is the command line of the server, with one receiver. Its store is the folder in which
// the file arrives.
func mdalpd(more ...string) func(*bench, *place) []string {
	return func(b *bench, p *place) []string {
		return append([]string{b.mdalpd, "--listen", fmt.Sprintf("%s:%d", p.far, p.port),
			"--receivers", fmt.Sprintf("%s:%d", p.receiver, p.port),
			"--store", filepath.Dir(b.arrives()), "--first-tid", "1", "--limit", "1h"}, more...)
	}
}

// mdalp is that of the client. It must not go on with what a run before has left.
func mdalp(more ...string) func(*bench, *place) []string {
	return func(b *bench, p *place) []string {
		return append([]string{b.mdalp, "-a", p.far, "-p", strconv.Itoa(p.port), "-f", b.payload,
			"--resume", "off", "-q"}, more...)
	}
}

// sshd is the server of scp. It takes the key of this run, and looks at nothing else.
func sshd(b *bench, p *place) []string {
	config := filepath.Join(b.bin, "sshd_config")
	b.write(config, fmt.Sprintf("ListenAddress %s:%d\nHostKey %s\nAuthorizedKeysFile %s\n"+
		"PidFile none\nUsePAM no\nStrictModes no\n"+
		"PermitRootLogin prohibit-password\nPasswordAuthentication no\n"+
		"Subsystem sftp internal-sftp\nPrintMotd no\n",
		p.far, p.port, filepath.Join(b.bin, "key"), filepath.Join(b.bin, "key.pub")))
	return []string{"sshd", "-D", "-e", "-f", config}
}

// scp is the client. Host keys are those of this run, so there is nobody to ask about them.
func scp(b *bench, p *place) []string {
	me := "root"
	if u, err := user.Current(); err == nil {
		me = u.Username
	}
	return []string{"scp", "-q", "-B", "-F", "none", "-P", strconv.Itoa(p.port),
		"-i", filepath.Join(b.bin, "key"), "-o", "IdentitiesOnly=yes",
		"-o", "StrictHostKeyChecking=no", "-o", "UserKnownHostsFile=/dev/null",
		"-o", "LogLevel=ERROR", b.payload, me + "@" + p.far + ":" + b.arrives()}
}

// rsyncd is the server of rsync. As root it would else become a user who may not write.
func rsyncd(b *bench, p *place) []string {
	config := filepath.Join(b.bin, "rsyncd.conf")
	text := "use chroot = no\nreverse lookup = no\n[files]\npath = " +
		filepath.Dir(b.arrives()) + "\nread only = no\n"
	if os.Geteuid() == 0 {
		text = "uid = root\ngid = root\n" + text
	}
	b.write(config, text)
	return []string{"rsync", "--daemon", "--no-detach", "--config", config,
		"--address", p.far, "--port", strconv.Itoa(p.port)}
}

// iperfTook is how long the file's bytes take at the rate that arrived.
func iperfTook(_ *bench, stdout []byte, size int64) (time.Duration, error) {
	var f struct {
		End struct {
			Received struct {
				Rate float64 `json:"bits_per_second"`
			} `json:"sum_received"`
		}
	}
	if err := json.Unmarshal(stdout, &f); err != nil {
		return 0, fmt.Errorf("iperf3 -J: %w", err)
	}
	if f.End.Received.Rate == 0 {
		return 0, errors.New("iperf3 -J: nothing was received")
	}
	return time.Duration(8 * float64(size) / f.End.Received.Rate * float64(time.Second)), nil
}

// serveWeb is the server of curl, which sends files by sendfile(2).
func serveWeb(dir, address string) error {
	return http.ListenAndServe(address, http.FileServer(http.Dir(dir)))
}
