package report

import (
	"os"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

const header = "X-Heed-Delivery"

func read(t testing.TB, file string) string {
	t.Helper()
	b, err := os.ReadFile("testdata/" + file)
	if err != nil {
		t.Fatal(err)
	}
	return strings.ReplaceAll(string(b), "\n", "\r\n")
}

func TestParse(t *testing.T) {
	f := func(message string, want Report) {
		t.Helper()
		got, err := Parse([]byte(message), header)
		if diff := cmp.Diff(want, got); err != nil || diff != "" {
			t.Errorf("%v\n%s", err, diff)
		}
	}
	failed := read(t, "failed.eml")
	const said = "550 5.1.1 <ada@other.example>: Recipient address rejected: User unknown in virtual mailbox table"
	names := []string{"b-abc", "<b-abc@bounces.shop.example>"}
	f(failed, Report{Kind: Failed, Status: "5.1.1", Detail: said, Names: names})
	f(strings.ReplaceAll(failed, "\r\n", "\n"), Report{Kind: Failed, Status: "5.1.1", Detail: said, Names: names})
	f(strings.Replace(failed, "Action: failed", "Action: delayed", 1), Report{Names: names})
	f(strings.Replace(failed, "Action: failed", "Action: DELIVERED", 1), Report{Kind: Delivered, Status: "5.1.1", Detail: said, Names: names})
	f(strings.Replace(failed, "Status: 5.1.1", "Status: 5.2.2 (mailbox full)", 1), Report{Kind: Failed, Status: "5.2.2", Detail: said, Names: names})
	f(strings.Replace(failed, "Status: 5.1.1", "Status: x", 1), Report{Kind: Failed, Detail: said, Names: names})
	f(strings.Replace(failed, "Final-Recipient", "Action: delivered\r\nStatus: 2.0.0\r\n\r\nFinal-Recipient", 1), Report{Kind: Failed, Status: "5.1.1", Detail: said, Names: names})

	complaint := read(t, "complaint.eml")
	f(complaint, Report{Kind: Complaint, Detail: "abuse SomeGenerator/1.0", Names: []string{"<b-abc@bounces.shop.example>", "b-def"}})
	f(strings.Replace(complaint, "Feedback-Type: abuse", "Feedback-Type: not-spam", 1), Report{Detail: "not-spam SomeGenerator/1.0", Names: []string{"<b-abc@bounces.shop.example>", "b-def"}})

	// Answers from people and their machines are no reports.
	f("From: ada@other.example\r\nSubject: Out of office\r\nAuto-Submitted: auto-replied\r\n\r\nI am away. Action: failed\r\n", Report{})
	f("Content-Type: multipart/report\r\n\r\nx", Report{})
	f("Content-Type: ;;;\r\n\r\nx", Report{})
}

func TestWhatCannotBeRead(t *testing.T) {
	for _, message := range []string{
		"", "\r\n", "no header\r\n\r\n", read(t, "failed.eml")[:1000], strings.Repeat("x", MaxBytes+1),
		strings.Replace(read(t, "failed.eml"), "Action: failed", "Action failed", 1),
	} {
		if got, err := Parse([]byte(message), header); err == nil && got.Kind != Other {
			t.Errorf("%.40q is %+v", message, got)
		}
	}
}

// What is made to take long takes no longer than its length: parts in parts, parts and
// headers without number, boundaries everywhere.
func TestBombs(t *testing.T) {
	const head = "Content-Type: multipart/report; report-type=delivery-status; boundary=b\r\n\r\n"
	status := "--b\r\nContent-Type: message/delivery-status\r\n\r\n"
	fill := func(unit string) string { return strings.Repeat(unit, (MaxBytes-len(head)-len(status)-10)/len(unit)) }
	for what, message := range map[string]string{
		"nested":          strings.Repeat("Content-Type: multipart/report; boundary=b\r\n\r\n--b\r\n", 4000),
		"parts":           head + fill("--b\r\nContent-Type: message/delivery-status\r\n\r\n\r\n"),
		"headers":         fill("A: b\r\n") + "\r\n",
		"headers of one":  head + "--b\r\n" + fill("A: b\r\n"),
		"recipients":      head + status + fill("Action: delayed\r\n\r\n"),
		"fields":          head + status + fill("A: b\r\n"),
		"one long field":  head + status + fill("Action"),
		"continued lines": head + status + "Action: x\r\n" + fill(" \r\n"),
		"boundaries":      head + fill("--b"),
		"base64":          head + "--b\r\nContent-Type: message/delivery-status\r\nContent-Transfer-Encoding: base64\r\n\r\n" + strings.Repeat("QQ==", 60_000),
		"quoted":          head + "--b\r\nContent-Type: message/delivery-status\r\nContent-Transfer-Encoding: quoted-printable\r\n\r\n" + strings.Repeat("=\r\n", 60_000),
	} {
		got, err := Parse([]byte(message), header)
		if err == nil && (got.Kind != Other || len(got.Names) > 3*maxParts) {
			t.Errorf("%s is %+v", what, got)
		}
	}
}

func TestHard(t *testing.T) {
	for status, want := range map[string]bool{"5.1.1": true, "5.1.10": true, "5.2.1": true, "5.2.2": false, "5.7.1": false, "4.1.1": false, "": false} {
		if Hard(status) != want {
			t.Errorf("%q is hard: %t", status, !want)
		}
	}
}

func FuzzParse(f *testing.F) {
	for _, file := range []string{"failed.eml", "complaint.eml"} {
		f.Add([]byte(read(f, file)))
	}
	f.Add([]byte("Content-Type: multipart/report; boundary=b\n\n--b\nContent-Type: message/delivery-status\nContent-Transfer-Encoding: base64\n\nQWN0aW9uOiBmYWlsZWQKCg==\n--b--"))
	f.Fuzz(func(t *testing.T, raw []byte) {
		r, err := Parse(raw, header)
		if err == nil && (len(r.Detail) > maxDetail || len(r.Names) > 3*maxParts || r.Kind > Complaint) {
			t.Errorf("%+v", r)
		}
	})
}
