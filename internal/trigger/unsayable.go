package trigger

// Unsayable explains why there is no such key in a trigger although people look
// for one: what it would say cannot be answered exactly by one small row. It is
// empty for other words.
func Unsayable(key string) string {
	switch key {
	case "min_gap", "minGap", "minimum_gap", "after", "at_least", "not_before":
		return "a minimum gap cannot be said: a row keeps the newest time of a step, and the one that is old enough would be an older one; " +
			"wait with delay, or with a last step {absent: ..., for: ...}, or let the sender put the time that passed into a property and ask it in where"
	case "sum", "total", "avg", "average", "having", "accumulate":
		return "a sum over a sliding window cannot be said: every event of the window would have to be kept; " +
			"count events with times and where, or let the sender put the running total into a property and ask it in where"
	case "collect", "payloads", "matched", "events", "select", "capture":
		return "the contents of all matched events are not kept: a row keeps times; " +
			"a template reads the event that completed the trigger and the profile, so put what it needs there"
	case "compare", "step", "previous", "than", "correlate":
		return "steps cannot be compared with each other: a row keeps times, not what earlier events carried; " +
			"for equality write by, else let the sender put the difference into a property and ask it in where"
	case "negate", "not_followed_by", "unless":
		return "what must not happen is written without: [...] at the step after it, or as a last step {absent: ..., for: ...}"
	}
	return ""
}
