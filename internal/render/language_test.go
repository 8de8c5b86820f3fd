package render_test

import (
	"strings"
	"testing"

	"heed/internal/render"
)

// Who reads one language is served by what stands in for it, and by nothing that is guessed.
func TestLocales(t *testing.T) {
	f := func(reader, want string) {
		t.Helper()
		if got := strings.Join(render.Locales(reader), " "); got != want {
			t.Errorf("%s: %s, want %s", reader, got, want)
		}
	}
	f("de-AT", "de-AT de de-DE")
	f("de", "de de-DE")
	f("de-DE-u-co-phonebk", "de-DE-u-co-phonebk de-DE de")
	f("en-GB", "en-GB en-001 en en-US")
	f("es-MX", "es-MX es-419 es es-ES")
	// Norwegian is Bokmål unless it says Nynorsk, and CLDR's parent of both
	f("no", "no no-NO nb nb-NO")
	f("nb", "nb nb-NO no no-NO")
	f("nb-NO", "nb-NO nb no no-NO")
	f("nn", "nn nn-NO no no-NO nb nb-NO")
	f("da", "da da-DK")
	// scripts: one that goes without saying is not written, another is no fallback
	f("zh", "zh zh-CN")
	f("zh-Hans-CN", "zh-CN zh")
	f("zh-Hant", "zh-Hant zh-TW")
	f("zh-TW", "zh-TW zh-Hant")
	f("zh-Hant-HK", "zh-HK zh-Hant zh-TW")
	f("sr-Latn", "sr-Latn sr-Latn-RS")
	f("sr-Latn-BA", "sr-Latn-BA sr-Latn sr-Latn-RS")
	f("sr", "sr sr-RS")
	f("pt", "pt pt-BR")
	f("pt-PT", "pt-PT pt pt-BR")
	f("pt-AO", "pt-AO pt-PT pt pt-BR")
	// codes that were given up
	f("iw", "he he-IL")
	f("iw-IL", "he-IL he")
	f("in", "id id-ID")
	f("ji", "yi")
	f("tl", "fil fil-PH")
	f("PT_br", "pt-BR pt")
	for _, none := range []string{"", "und", "english!", strings.Repeat("a", 100)} {
		f(none, "")
	}
}
