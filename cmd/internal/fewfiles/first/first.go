// Package first has mdalpd look whether it may open enough files before packages of others do
// what they do at the start. One of what speaks to Prometheus opens a file there
// (google.golang.org/protobuf/internal/detrand), and where it may not, Go ends the program
// with a dump of goroutines.
//
// Go takes packages in the order of their paths, each as soon as all that it imports is there
// (go.dev/ref/spec, Program initialization; go.dev/doc/go1.21, Language). This one needs
// syscall alone, so it comes before os, and with that before all that can open a file.
package first

import "mdalp/cmd/internal/fewfiles"

func init() { fewfiles.Check("mdalpd") }
