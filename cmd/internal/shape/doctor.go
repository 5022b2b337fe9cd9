package shape

// The JSON that doctor prints.
type (
	Doctor struct {
		Head
		OK     bool    `json:"ok"`          // as the exit code says
		Socket *string `json:"ping_socket"` // raw, dgram or off
		Checks []Check `json:"checks"`
	}
	Check struct {
		Name  string  `json:"name"`
		State string  `json:"state"`
		Text  string  `json:"text"`
		Fix   *string `json:"fix"`
	}
)
