package keyword_test

import (
	"strings"
	"testing"
	"unicode"

	"heed/internal/channel/sms/keyword"
)

func TestParse(t *testing.T) {
	f := func(want keyword.Command, texts ...string) {
		t.Helper()
		for _, text := range texts {
			if got := keyword.Parse(text); got != want {
				t.Errorf("%q means %v, want %v", text, got, want)
			}
		}
	}
	f(keyword.Stop, "STOP", "stop", "Stop", "STOPALL", "UNSUBSCRIBE", "CANCEL", "END", "QUIT", "REVOKE", "OPTOUT")
	f(keyword.Stop, " stop", "stop ", "\tStop\r\n", "STOP.", "stop!!!", "«STOP»", "\"Stop\"", "(stop)", "stop 🙏", "S.T.O.P.", "Stop all", "STOP-ALL", "opt out", "Opt-Out", "un-subscribe", "ｓｔｏｐ", "\u200bstop\ufeff")
	f(keyword.Start, "START", "start", " Unstop! ", "un stop")
	f(keyword.Yes, "YES", "yes.", " Yes! ")
	f(keyword.Help, "HELP", "help?", "Info", "INFO ")
	f(keyword.None, "", " ", "?", "STOP 2", "stop it now", "please stop", "stopp", "End of March suits me", "quitting", "yes please", "no", "СТОП", "стop", "stop٣", "helpme", "1", "STOPSTOP", "\xff\xfe")
	f(keyword.None, strings.Repeat("stop ", 1000), strings.Repeat(".", 1<<16)+"x")
	f(keyword.Stop, strings.Repeat(" ", 1<<16)+"stop")
}

func FuzzParse(f *testing.F) {
	f.Add("Stop all!")
	f.Add("ｙｅｓ")
	f.Fuzz(func(t *testing.T, text string) {
		got := keyword.Parse(text)
		if again := keyword.Parse("  " + text + "! "); again != got {
			t.Errorf("%q means %v, and louder %v", text, got, again)
		}
		if got != keyword.None && strings.ContainsFunc(text, unicode.IsNumber) {
			t.Errorf("%q means %v", text, got)
		}
		_ = got.String()
	})
}
