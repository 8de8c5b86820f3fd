package sample

import (
	"math/rand/v2"
	"strconv"
	"time"

	"heed/internal/consent"
	"heed/internal/definition"
	"heed/internal/reach"
)

// contact is by what somebody with an account may be written to, and whether.
type contact struct {
	email, phone     string // phone is "" for those who left none
	byEmail, byPhone consent.State
	bounced, stopped reach.Why // what keeps messages from the address, from the number; "" if nothing does
}

// block is a range of telephone numbers: what they begin with, and how many digits
// follow.
type block struct {
	begin  string
	digits int
}

// numbers are the ranges of a country that are kept for films and books, so that
// nobody's telephone can ring. Of countries that keep none, nobody left a number.
func numbers(country string) []block {
	switch country {
	case "DE":
		return []block{{"+493023125", 3}, {"+494066969", 3}, {"+492214710", 3}, {"+496990009", 3}, {"+498999998", 3}}
	case "FR":
		return []block{{"+3363998", 4}}
	case "GB":
		return []block{{"+447700900", 3}}
	case "US": // in New York
		return []block{{"+121255501", 2}, {"+164655501", 2}, {"+171855501", 2}, {"+191755501", 2}, {"+192955501", 2}, {"+134755501", 2}}
	}
	return nil
}

// number is a country's nth number; "" beyond the last one: no two people share one.
func number(country string, n int) string {
	for _, b := range numbers(country) {
		size := 1
		for range b.digits {
			size *= 10
		}
		if n < size {
			return b.begin + strconv.Itoa(size + n)[1:]
		}
		n -= size
	}
	return ""
}

// leave draws what somebody with the address left when they signed up, and what
// became of it. given counts the numbers by country.
func leave(rng *rand.Rand, email, country string, given map[string]int) contact {
	c := contact{email: email}
	answers := []choice[consent.State]{{60, consent.Granted}, {10, consent.Refused}, {30, consent.Unknown}}
	c.byEmail = pick(rng, answers)
	c.byPhone = pick(rng, answers) // also of those who then leave no number
	c.bounced = pick(rng, []choice[reach.Why]{{95, ""}, {2, reach.HardBounce}, {2, reach.Unsubscribed}, {1, reach.Complaint}})
	if rng.Float64() < 0.65 {
		if c.phone = number(country, given[country]); c.phone != "" {
			given[country]++
			c.stopped = pick(rng, []choice[reach.Why]{{96, ""}, {4, reach.Stop}})
		}
	}
	return c
}

// said is what they answered when they signed up, as a trait; nil: nothing.
func (c *contact) said(at time.Time) map[string]statement {
	out := map[string]statement{}
	add := func(key string, state consent.State, wording string) {
		if state != consent.Unknown {
			out[key] = statement{consent.Statement{State: state, Source: "account", Wording: wording, At: at.UnixMicro()}}
		}
	}
	add(definition.ChannelEmail, c.byEmail, "Send me offers by e-mail.")
	add(definition.ChannelSMS, c.byPhone, "Send me offers by text message.")
	return out
}

// statement is a consent.Statement in JSON.
type statement struct{ consent.Statement }

// MarshalJSON writes it as traits hold it.
func (s statement) MarshalJSON() ([]byte, error) { return []byte(s.Value()), nil }

// Suppressed lists the addresses that must not be written to any more: of people
// who signed off, of mailboxes that are gone.
func (p Past) Suppressed() []reach.Heard {
	var out []reach.Heard
	people := p.people()
	for i := range people {
		who := &people[i]
		add := func(channel, address string, why reach.Why) {
			if why != "" {
				at := min(who.born.AddDate(0, 0, 30).UnixMicro(), p.Until.UnixMicro())
				out = append(out, reach.Heard{Type: channel, Address: address, Why: why, Cause: reach.Cause{At: at, Detail: "sample history"}})
			}
		}
		add(definition.ChannelEmail, who.email, who.bounced)
		add(definition.ChannelSMS, who.phone, who.stopped)
	}
	return out
}
