package doctor

import (
	"strings"

	"mdalp/seal"
)

// JudgeKey makes the line of a key file, of what came of reading it.
func JudgeKey(path string, k *seal.Key, err error) Check {
	if err == nil {
		return Check{"key file", fine, path + ": key " + k.ID(), ""}
	}
	// The error is the path, what is wrong, and what fixes it.
	text, remedy, _ := strings.Cut(err.Error(), "; ")
	for _, words := range []string{"make a key with: ", "if nobody did: "} {
		remedy = strings.TrimPrefix(remedy, words)
	}
	return Check{"key file", fix, text, remedy}
}
