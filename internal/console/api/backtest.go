package api

import (
	"encoding/hex"
	"fmt"

	openapi_types "github.com/oapi-codegen/runtime/types"

	"heed/internal/backtest"
	"heed/internal/event"
)

// BacktestResultOf is a backtest's answer as the API shows it.
func BacktestResultOf(req *backtest.Request, r *backtest.Result) BacktestResult {
	out := BacktestResult{
		Trigger: req.Trigger.Name, AsOf: Time(r.Until), From: Time(r.From), Until: Time(r.Until),
		LogFrom: Time(r.LogFrom), WarmedFrom: Time(r.WarmedFrom), Short: r.Short, Days: req.Days, Zone: "UTC",
		Exact: r.Exact(), Share: r.Share, Firings: r.Firings, Users: r.Users, PerDay: []BacktestDay{},
		Refused: BacktestRefused{Limit: r.Refused.Limit, Audience: r.Refused.Audience, Cancelled: r.Refused.Cancelled},
		Counts: BacktestCounts{
			Events: r.Counts.Events, Matched: r.Counts.Matched, Old: r.Counts.Old, Late: r.Counts.Late,
			Evicted: r.Counts.Evicted, Deep: r.Counts.Deep, Unreadable: r.Counts.Unreadable,
		},
		Examples: []BacktestExample{}, Profiles: ProfilesUnused, Notes: backtestNotes(req, r),
		Seconds: r.Elapsed.Seconds(),
	}
	if r.Profiles {
		out.Profiles = ProfilesRebuilt
	}
	if s := r.Elapsed.Seconds(); s > 0 {
		out.EventsPerSecond = float64(r.Counts.Events) / s
	}
	for _, d := range r.Days {
		out.PerDay = append(out.PerDay, BacktestDay{Day: openapi_types.Date{Time: Time(d.Day)}, Firings: d.Firings})
	}
	if c := r.Campaign; c != nil {
		out.Campaign = &BacktestCampaign{Audience: c.Audience, Holdout: c.Holdout, Cap: c.Cap, Sends: c.Sends, Recipients: c.Recipients}
	}
	for _, e := range r.Examples {
		x := BacktestExample{User: e.User, At: Time(e.At), Key: e.Key, Fire: hex.EncodeToString(e.FireID[:]), Timer: e.Timer}
		for _, s := range e.Steps {
			var ev event.Event
			if event.DecodeAvro(s.Record, &ev) == nil { // it was read before
				x.Events = append(x.Events, SummaryOf(e.Partition, s.Offset, &ev))
			}
		}
		out.Examples = append(out.Examples, x)
	}
	return out
}

// backtestNotes says what one should know about an answer.
func backtestNotes(req *backtest.Request, r *backtest.Result) []string {
	var notes []string
	note := func(format string, args ...any) { notes = append(notes, fmt.Sprintf(format, args...)) }
	date := func(t int64) string { return Time(t).Format("2006-01-02 15:04 MST") }
	switch {
	case r.LogFrom == 0:
		note("The log holds no events yet.")
	case r.LogFrom > r.From && r.Counts.Old > 0:
		note("The log begins at %s: of what happened earlier, only what was brought in later is counted.", date(r.LogFrom))
	case r.LogFrom > r.From:
		note("The log begins at %s: earlier events are not counted.", date(r.LogFrom))
	case r.Short:
		note("The log begins at %s: what was under way before it is not known.", date(r.LogFrom))
	}
	if req.Trigger.Reentry != nil && req.Trigger.Reentry.Once {
		note("Whoever this trigger would have fired for before the log begins counts once more.")
	}
	if !r.Exact() {
		note("An estimate from %.2g %% of the events.", 100*r.Share)
		if r.Days == nil {
			note("Users are those of the newest events alone.")
		}
	}
	if r.Sampled {
		note("There was not enough memory for the rows of all users: the rest were left out by a hash of their id (backtest.memory_bytes).")
	}
	if r.Profiles {
		note("Traits are those of that moment, folded along the log. What was overwritten since %s is unknown before its first write there.", date(r.WarmedFrom))
	}
	if r.Pulls {
		note("What was pulled is not kept over time: conditions on pull.* count as missing.")
	}
	if r.Counts.Old > 0 {
		note("%d of the matched events are historical or came later than max_age: live they would not have counted.", r.Counts.Old)
	}
	if r.Counts.Unreadable > 0 {
		note("%d events could not be read and were skipped, as they are live.", r.Counts.Unreadable)
	}
	return notes
}
