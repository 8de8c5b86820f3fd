// Package keyword owns the words by which somebody who got a text message says
// that there should be no more of them, or again some, or asks for help.
//
// It does not own what follows from one (sms).
package keyword

import (
	"strings"
	"unicode"
)

// Command is what a text asks for.
type Command uint8

// The commands.
const (
	None  Command = iota // it is an ordinary message
	Stop                 // no more
	Start                // again
	Yes                  // again from somebody who had said stop; to what was asked from one who was asked; others may mean anything by it
	Help
)

// maxLength of the words, in bytes: what is longer is no command.
const maxLength = len("UNSUBSCRIBE")

// Parse reads a text. It is a command if it is one of the words and nothing
// else; case, spaces and punctuation do not matter, so "Stop all!" and "opt-out"
// are. A longer message that begins with one is not, for "End of March suits me"
// ends nothing.
func Parse(text string) Command {
	var word [maxLength]byte
	n := 0
	for _, r := range text {
		if r >= 'Ａ' && r <= 'ｚ' {
			r += 'A' - 'Ａ' // as Asian keyboards write them
		}
		r = unicode.ToUpper(r)
		switch {
		case r >= 'A' && r <= 'Z':
			if n == maxLength {
				return None
			}
			word[n] = byte(r)
			n++
		case unicode.IsLetter(r), unicode.IsNumber(r):
			return None
		}
	}
	switch string(word[:n]) {
	case "STOP", "STOPALL", "UNSUBSCRIBE", "CANCEL", "END", "QUIT", "REVOKE", "OPTOUT":
		return Stop
	case "START", "UNSTOP":
		return Start
	case "YES":
		return Yes
	case "HELP", "INFO":
		return Help
	}
	return None
}

// String names the command.
func (c Command) String() string {
	return strings.Fields("none stop start yes help")[c]
}
