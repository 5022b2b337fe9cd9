package seal

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"testing/iotest"
)

// counting gives 0, 1, 2 and so on: a source whose key is known.
func counting() io.Reader {
	b := make([]byte, 256)
	for i := range b {
		b[i] = byte(i)
	}
	return bytes.NewReader(b)
}

// The key of counting as it stands in a file, and its ID: sha256sum of the bytes 0 to 31.
const (
	countingLine = "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8="
	countingID   = "630dcd29"
)

func countingKey(t *testing.T) Key {
	t.Helper()
	k, err := NewKey(counting())
	if err != nil {
		t.Fatal(err)
	}
	return k
}

func TestNewKey(t *testing.T) {
	k := countingKey(t)
	if got := k.ID(); got != countingID {
		t.Errorf("ID %s, want %s", got, countingID)
	}
	if got, want := string(FormatKey(k, "one\ntwo\r\n")), "# one\n# two\n"+countingLine+"\n"; got != want {
		t.Errorf("file %q, want %q", got, want)
	}
	broken := errors.New("broken")
	if k, err := NewKey(iotest.ErrReader(broken)); !errors.Is(err, broken) || k != (Key{}) {
		t.Errorf("of a broken source came %v, %v", k, err)
	}
	if k, err := NewKey(strings.NewReader("short")); !errors.Is(err, io.ErrUnexpectedEOF) || k != (Key{}) {
		t.Errorf("of a short source came %v, %v", k, err)
	}
}

func TestKeyIsNotPrinted(t *testing.T) {
	k := countingKey(t)
	in := struct{ Key *Key }{&k}
	text, err := json.Marshal(in)
	if err != nil {
		t.Fatal(err)
	}
	for _, got := range []string{
		fmt.Sprint(k), fmt.Sprintf("%v %+v %#v %s %q %d %x", k, k, k, k, k, k, k), fmt.Sprintf("%v", &k), string(text),
	} {
		if !strings.Contains(got, countingID) {
			t.Errorf("%q does not name the key", got)
		}
		for _, secret := range []string{"AAECAw", "000102", "0 1 2", "0x0, 0x1", "0,1,2"} {
			if strings.Contains(got, secret) {
				t.Errorf("%q tells the key", got)
			}
		}
	}
}

func TestParseKey(t *testing.T) {
	for _, c := range []struct {
		name, text string
		err        error
	}{
		{"alone", countingLine, nil},
		{"as written", "# mdalp key\n" + countingLine + "\n", nil},
		{"blanks and comments around", "\n \t# a\n  " + countingLine + " \r\n# b\n\n", nil},
		{"empty", "", errNoKey},
		{"comments alone", "# " + countingLine + "\n", errNoKey},
		{"two", countingLine + "\n" + countingLine + "\n", errTwoKeys},
		{"cut", countingLine[:40] + "\n", errNotKey},
		{"31 bytes", base64.StdEncoding.EncodeToString(make([]byte, 31)), errNotKey},
		{"33 bytes", base64.StdEncoding.EncodeToString(make([]byte, 33)), errNotKey},
		{"not padded", countingLine[:43], errNotKey},
		{"bits after the end", countingLine[:42] + "9=", errNotKey},
		{"of another alphabet", strings.Replace(countingLine, "A", "-", 1), errNotKey},
		{"a file of another kind", "\x7fELF\x02\x01\x01\x00", errNotKey},
		{"comment on the line", countingLine + " # mine", errNotKey},
		{"zeros", base64.StdEncoding.EncodeToString(make([]byte, 32)), errWeak},
		{"one byte", base64.StdEncoding.EncodeToString(bytes.Repeat([]byte{'k'}, 32)), errWeak},
	} {
		want := countingKey(t)
		if c.err != nil {
			want = Key{}
		}
		if k, err := ParseKey([]byte(c.text)); !errors.Is(err, c.err) || k != want {
			t.Errorf("%s: %v, %v, want %v, %v", c.name, k, err, want, c.err)
		}
	}
}

func FuzzParseKey(f *testing.F) {
	for _, s := range []string{countingLine, "# c\n" + countingLine + "\n", "", "#", "AAAA\nAAAA", "\r\n \t"} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, text []byte) {
		k, err := ParseKey(text)
		if err != nil {
			if k != (Key{}) {
				t.Error("a key beside an error")
			}
			return
		}
		if again, err := ParseKey(FormatKey(k, "c")); err != nil || again != k {
			t.Errorf("written and read again it is %v, %v", again, err)
		}
	})
}

func TestReadKeyFile(t *testing.T) {
	dir := t.TempDir()
	put := func(name, text string, mode os.FileMode) string {
		p := filepath.Join(dir, name)
		if err := os.WriteFile(p, []byte(text), mode); err != nil {
			t.Fatal(err)
		}
		if err := os.Chmod(p, mode); err != nil { // whatever the umask
			t.Fatal(err)
		}
		return p
	}
	good := "# mine\n" + countingLine + "\n"
	pipe := filepath.Join(dir, "pipe")
	if err := syscall.Mkfifo(pipe, 0o600); err != nil {
		t.Fatal(err)
	}
	again := "; copy it again, or make a new key for both ends with mdalp key"
	for _, c := range []struct{ path, want string }{
		{put("good", good, 0o600), ""},
		{put("readonly", good, 0o400), ""},
		{put("world", good, 0o644), "PATH: others may read or write it (mode 0644); if nobody did: chmod 600 PATH"},
		{put("group", good, 0o640), "PATH: others may read or write it (mode 0640); if nobody did: chmod 600 PATH"},
		{put("writable", good, 0o620), "PATH: others may read or write it (mode 0620); if nobody did: chmod 600 PATH"},
		{put("a b'c", good, 0o604), "PATH: others may read or write it (mode 0604); if nobody did: chmod 600 'DIR/a b'\\''c'"},
		{filepath.Join(dir, "none"), "PATH: no such file or directory; make a key with: mdalp key PATH"},
		{filepath.Join(dir, "good", "x"), "PATH: not a directory; name a key file, as mdalp key makes it"},
		{dir, "PATH: it is a directory; name the key file in it"},
		{pipe, "PATH: there is no key in it" + again},
		{put("empty", "", 0o600), "PATH: there is no key in it" + again},
		{put("two", good+good, 0o600), "PATH: there is more than one key in it, and a file holds one" + again},
		{put("cut", good[:30], 0o600), "PATH: a line of it is no comment (#) and no key, which is 44 characters of base64" + again},
		{put("large", strings.Repeat("#\n", maxKeyFile), 0o600), "PATH: it is too large for a key file; name one that mdalp key made"},
	} {
		k, err := ReadKeyFile(c.path)
		if c.want == "" {
			if err != nil || k != countingKey(t) {
				t.Errorf("%s: %v, %v", c.path, k, err)
			}
			continue
		}
		want := strings.NewReplacer("PATH", c.path, "DIR", dir).Replace(c.want)
		if err == nil || err.Error() != want || k != (Key{}) {
			t.Errorf("%s: %v, %v\nwant %s", c.path, k, err, want)
		}
	}
}

func TestReadKeyFileCredential(t *testing.T) {
	dir := t.TempDir()
	for _, c := range []struct {
		mode os.FileMode
		is   string // the directory of credentials
		ok   bool
	}{
		{0o440, dir, true}, {0o440, dir + "/", true}, // an access control list's mask
		{0o440, "", false}, {0o440, filepath.Dir(dir), false},
		{0o444, dir, false}, {0o460, dir, false},
	} {
		t.Setenv("CREDENTIALS_DIRECTORY", c.is)
		p := filepath.Join(dir, "key")
		if err := os.WriteFile(p, []byte(countingLine), 0o600); err != nil {
			t.Fatal(err)
		}
		if err := os.Chmod(p, c.mode); err != nil {
			t.Fatal(err)
		}
		if _, err := ReadKeyFile(p); (err == nil) != c.ok {
			t.Errorf("mode %04o, credentials in %q: %v", c.mode, c.is, err)
		}
		if err := os.Remove(p); err != nil {
			t.Fatal(err)
		}
	}
}

func TestKeyring(t *testing.T) {
	var r Keyring
	a, b := countingKey(t), Key{1}
	for _, c := range []struct {
		name string
		key  Key
		want string
	}{
		{"office", a, ""},
		{"office", b, "key name office: it is there twice; give each key a name of its own"},
		{"lab", a, "key name lab: it is the same key as office; make each client's with mdalp key"},
		{"Lab-2_x.y", b, ""},
		{"", Key{2}, "key name: it is empty; name the client that has the key, as in office=FILE"},
		{"a b", Key{2}, `key name "a b": a name is at most 64 letters, digits, dots, hyphens and underscores`},
		{"a\nb", Key{2}, `key name "a\nb": a name is at most 64 letters, digits, dots, hyphens and underscores`},
		{"ü", Key{2}, `key name "ü": a name is at most 64 letters, digits, dots, hyphens and underscores`},
	} {
		if err := r.Add(c.name, c.key); c.want == "" && err != nil || c.want != "" && (err == nil || err.Error() != c.want) {
			t.Errorf("%q: %v, want %s", c.name, err, c.want)
		}
	}
	if err := r.Add(strings.Repeat("x", 65), Key{2}); err == nil {
		t.Error("a name of 65 bytes was taken")
	}
	if got := r.Names(); r.Len() != 2 || !slices.Equal(got, []string{"office", "Lab-2_x.y"}) {
		t.Errorf("%d keys: %q", r.Len(), got)
	}
	if k, ok := r.Key("office"); !ok || k != a {
		t.Errorf("office is %v, %v", k, ok)
	}
	if _, ok := r.Key("lab"); ok {
		t.Error("lab is there")
	}
	if got := r.with([]byte(countingID)); !slices.Equal(got, []int{0}) {
		t.Errorf("of ID %s there are %v", countingID, got)
	}
	if got := r.with([]byte("00000000")); len(got) != 0 {
		t.Errorf("of an ID that is not there: %v", got)
	}
	id := []byte(countingID)
	if n := testing.AllocsPerRun(10, func() { r.with(id) }); n != 0 {
		t.Errorf("looking for an ID allocates %v times", n)
	}
}

// A key has the name that it is given, or that of its file.
func TestReadNamedKey(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "a=b")
	if err := os.Mkdir(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(dir, "office.key")
	if err := os.WriteFile(path, []byte(countingLine), 0o600); err != nil {
		t.Fatal(err)
	}
	for given, want := range map[string]string{path: "office", "home=" + path: "home"} {
		name, k, err := ReadNamedKey(given)
		if err != nil || name != want || k != countingKey(t) {
			t.Errorf("%s: %q, %v", given, name, err)
		}
	}
	if _, _, err := ReadNamedKey("home=" + dir + "/none"); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("a file that is not there: %v", err)
	}
}
