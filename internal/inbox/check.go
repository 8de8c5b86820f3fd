package inbox

import "fmt"

// Limits of a message, in bytes.
const (
	MaxIDBytes   = 1 << 10
	MaxHTMLBytes = 1 << 20
)

// Check tells whether a message can be put. Drivers call it before anything is
// written.
func (m *Message) Check() error {
	switch {
	case m.ID == "" || len(m.ID) > MaxIDBytes:
		return fmt.Errorf("inbox: id of %d bytes", len(m.ID))
	case m.User == "" || len(m.User) > MaxIDBytes:
		return fmt.Errorf("inbox: user of %d bytes for message %.40q", len(m.User), m.ID)
	case len(m.HTML) > MaxHTMLBytes:
		return fmt.Errorf("inbox: content of %d bytes for message %.40q", len(m.HTML), m.ID)
	}
	return nil
}
