package sample

import (
	"encoding/json"
	"testing"
	"time"

	"heed/internal/event"
	"heed/internal/measure"
)

// TestCampaign reads the ended campaign's numbers out of the past: an outcome of
// each activation, an arm for each person, the cap kept, and a lift to be seen.
func TestCampaign(t *testing.T) {
	type person struct {
		arm    string // of the first outcome
		at     int64
		letter int64 // the latest one
		bought bool
	}
	people := map[string]*person{}
	followed, reasons := map[string]int{}, map[string]int{}
	for e := range (Past{Seed: 1, Users: 8000, Until: until}).Events(products) {
		who := people[e.User()]
		switch e.Name {
		case event.NameDelivery, event.NameOpened, event.NameClicked:
			var d struct{ Status, Reason, Campaign, Activation string }
			if err := json.Unmarshal(e.Properties, &d); err != nil || d.Campaign != Campaign || d.Activation == "" {
				t.Fatalf("%s: %s %v", e.Name, e.Properties, err)
			}
			if age := until.Sub(time.UnixMicro(e.Timestamp)); e.Name == event.NameDelivery && (age > launched || age < ended) {
				t.Errorf("an outcome %s before the end", age)
			}
			if e.Name != event.NameDelivery {
				followed[e.Name]++
				if who == nil || who.letter == 0 {
					t.Errorf("%s: %s without a letter", e.User(), e.Name)
				}
				continue
			}
			reasons[d.Status+" "+d.Reason]++
			if who == nil {
				who = &person{arm: d.Reason, at: e.Timestamp}
				people[e.User()] = who
			}
			if (d.Reason == "holdout") != (who.arm == "holdout") {
				t.Errorf("%s changes arms", e.User())
			}
			if d.Status == "sent" {
				if who.letter != 0 && e.Timestamp-who.letter < capWindow.Microseconds() {
					t.Errorf("%s got two letters within the cap's window", e.User())
				}
				who.letter = e.Timestamp
			}
		case "purchase":
			if who != nil && e.Timestamp-who.at < 3*day.Microseconds() {
				who.bought = true
			}
		}
	}
	var treated, held measure.Arm
	for _, p := range people {
		arm := &treated
		if p.arm == "holdout" {
			arm = &held
		}
		arm.Users++
		if p.bought {
			arm.Converted++
		}
	}
	lift := measure.LiftOf(treated, held)
	t.Logf("outcomes %v, followed %v; bought: %+v, held back %+v; %+v", reasons, followed, treated, held, lift)
	if lift == nil || lift.Low <= 0 {
		t.Errorf("the letters did nothing that can be seen: %+v", lift)
	}
	for _, outcome := range []string{"sent ", "refused holdout", "refused cap"} {
		if reasons[outcome] == 0 {
			t.Errorf("no outcome %q", outcome)
		}
	}
	if o, c := followed[event.NameOpened], followed[event.NameClicked]; o == 0 || c == 0 || c > o {
		t.Errorf("%d opened, %d clicked", o, c)
	}
}
