package profile

import (
	"slices"
	"strings"

	"heed/internal/consent"
)

// Apart tells that the user's events are not simply applied: the id has moved,
// or waits.
func (p *Profile) Apart() bool { return p.Moved.To != "" || p.Waiting }

// Has tells whether id is one of the user's own.
func (p *Profile) Has(id string) bool { return id == p.UserID || slices.Contains(p.AnonymousIDs, id) }

// Full tells that no further id can be linked to the user.
func (p *Profile) Full() bool { return len(p.AnonymousIDs) >= MaxAnonymousIDs }

// Link notes that id is the user's, if there is room.
func (p *Profile) Link(id string) {
	if id != "" && !p.Full() && !p.Has(id) {
		p.AnonymousIDs = append(p.AnonymousIDs, strings.Clone(id))
	}
}

// Merge unites what is known of another id, which turned out to be the user's,
// with the profile. It depends on the two alone: what is earlier counts for
// acquisition, what is later for everything else; at a tie what the profile
// has. Marks are not merged. from is not changed, its texts are shared.
func (p *Profile) Merge(from *Profile) {
	if from.FirstSeen != 0 {
		if p.FirstSeen == 0 || from.FirstSeen < p.FirstSeen {
			p.FirstSeen, p.Acquisition = from.FirstSeen, from.Acquisition
		}
		if from.LastTouch.At > p.LastTouch.At {
			p.LastTouch = from.LastTouch
		}
		later := from.LastSeen > p.LastSeen
		theirs := from.places()
		for i, have := range p.places() {
			if got := *theirs[i]; got != "" && (later || *have == "") {
				*have = got
			}
		}
		p.LastSeen = max(p.LastSeen, from.LastSeen)
	}
	for _, id := range from.AnonymousIDs {
		p.Link(id)
	}
	merge(&p.Traits, traitsLimit, from.Traits)
	merge(&p.Consent, consentLimit, p.standing(from.Consent))
	p.Email.merge(from.Email)
	p.Phone.merge(from.Phone)
}

// standing is a consent of another id in which a yes counts as confirmed, as in a
// repeat, if the profile's does.
func (p *Profile) standing(theirs []Entry) []Entry {
	theirs = slices.Clone(theirs)
	for i, in := range theirs {
		if s := consent.Read(in.Value); s.State == consent.Granted && !s.Confirmed && consent.Read(p.ConsentTo(in.Key)).Confirmed {
			s.Confirmed = true
			theirs[i].Value = s.Value()
		}
	}
	return theirs
}

// merge writes the entries that are newer than what is there.
func merge(entries *[]Entry, limit func(Entry) int, from []Entry) {
	size := entriesBytes(*entries)
	for _, in := range from {
		if i, found := find(*entries, in.Key); !found || in.At > (*entries)[i].At {
			put(entries, &size, limit(in), in, true)
		}
	}
}

func (a *Address) merge(from Address) {
	if from == (Address{}) || a.Verified && !from.Verified || a.Verified == from.Verified && from.At <= a.At && *a != (Address{}) {
		return
	}
	*a = from
}
