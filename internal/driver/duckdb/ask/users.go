package ask

import (
	"fmt"
	"strconv"
	"strings"
	"time"

	"heed/internal/measure"
	"heed/internal/touch"
)

// audience is the users for whom a node holds, as a relation of u.
func (a *asking) audience(n *measure.Audience) (string, error) {
	switch {
	case n.All != nil:
		return a.combine(n.All, " INTERSECT ")
	case n.Any != nil:
		return a.combine(n.Any, " UNION ")
	case n.Not != nil:
		set, err := a.audience(n.Not)
		return "(FROM " + a.alive() + " EXCEPT FROM " + set + ")", err
	case n.Users != nil:
		return a.users(n.Users), nil
	case n.Did != nil:
		return a.did(n.Did)
	case n.Is != nil:
		return a.is(n.Is)
	case n.Where != nil:
		return a.byTraits(*n.Where)
	case n.Consent != "":
		return a.consenting(n.Consent)
	case n.Funnel != nil:
		return a.inFunnel(n.Funnel)
	case n.Retention != nil:
		return a.inRetention(n.Retention)
	case n.Path != nil:
		return a.inPath(n.Path)
	case n.Session != nil:
		return a.inSession(n.Session)
	case n.Audience != "":
		return "", fmt.Errorf("the audience %q was not resolved", n.Audience)
	}
	return a.alive(), nil
}

func (a *asking) combine(list []measure.Audience, by string) (string, error) {
	parts := make([]string, len(list))
	for i := range list {
		set, err := a.audience(&list[i])
		if err != nil {
			return "", err
		}
		parts[i] = "FROM " + set
	}
	return "(" + strings.Join(parts, by) + ")", nil
}

func (a *asking) users(ids []string) string {
	parts := []string{}
	for _, id := range ids {
		if n, _, ok := a.db.User(id); ok {
			parts = append(parts, strconv.FormatUint(uint64(n), 10))
		}
	}
	return "(SELECT DISTINCT u FROM (SELECT unnest([" + strings.Join(parts, ",") + "]::UINTEGER[]) AS u) WHERE u IN " + a.alive() + ")"
}

func (a *asking) did(d *measure.Did) (string, error) {
	predicate, _, err := a.match(d.Match())
	if err != nil {
		return "", err
	}
	span, err := a.frame.Span(d.During)
	if err != nil {
		return "", err
	}
	for i := range d.Is {
		one, err := a.isOf(&d.Is[i])
		if err != nil {
			return "", err
		}
		predicate += " AND " + one
	}
	did := func(having string) string {
		return fmt.Sprintf("(SELECT u FROM %s WHERE %s AND %s GROUP BY u HAVING %s)", a.base(), predicate, a.within(span), having)
	}
	least, most := d.Bounds()
	switch {
	case least > 0 && most < 0:
		return "(SELECT u FROM " + did(fmt.Sprintf("count(*) >= %d", least)) + " WHERE u IN " + a.alive() + ")", nil
	case least > 0:
		return "(SELECT u FROM " + did(fmt.Sprintf("count(*) BETWEEN %d AND %d", least, most)) + " WHERE u IN " + a.alive() + ")", nil
	case most < 0:
		return a.alive(), nil
	}
	return "(FROM " + a.alive() + " EXCEPT FROM " + did(fmt.Sprintf("count(*) > %d", most)) + ")", nil
}

// isOf is whether the value of a dimension of an event is one that is asked for.
func (a *asking) isOf(is *measure.Is) (string, error) {
	v, err := a.value(&is.Dimension)
	if err != nil {
		return "", err
	}
	return a.among(v, is), nil
}

// fewValues are compared one by one, which may spare the engine reading all; more are
// looked up.
const fewValues = 8

// among is whether v is one of the values.
func (a *asking) among(v string, is *measure.Is) string {
	if len(is.Values) > fewValues {
		wanted := make(map[string]bool, len(is.Values))
		for _, want := range is.Values {
			if want == nil {
				wanted[""] = true // as an argument
			} else if *want != "" {
				wanted[*want] = true
			}
		}
		n := a.db.Call(&Call{Holds: func(_ any, args []string) bool { return wanted[args[0]] != is.Not }})
		return fmt.Sprintf("%s(%d, %s)", HoldsFunction, n, v)
	}
	parts := []string{"false"}
	for _, want := range is.Values {
		parts = append(parts, v+" IS NOT DISTINCT FROM "+literal(want))
	}
	text := "(" + strings.Join(parts, " OR ") + ")"
	if is.Not {
		return "NOT " + text
	}
	return text
}

func literal(v *string) string {
	if v == nil {
		return "NULL"
	}
	return Quote(*v)
}

func (a *asking) is(is *measure.Is) (string, error) {
	values, err := a.valuesOf(&is.Dimension)
	if err != nil {
		return "", err
	}
	return "(SELECT u FROM " + values + " WHERE " + a.among("v", is) + ")", nil
}

// inOrder orders a user's events: by time, then as in the log.
const inOrder = "(t::HUGEINT * 17592186044416 + pos)"

// valuesOf is the value of a dimension of the user, as a relation of u and v of
// all users that exist.
func (a *asking) valuesOf(d *measure.Dimension) (string, error) {
	bucket := func(expr string) string {
		if d.Buckets == nil {
			return expr
		}
		n := a.db.Call(&Call{Text: func(_ any, args []string) (string, bool) {
			if v := d.Bucket(&args[0]); v != nil {
				return *v, true
			}
			return "", false
		}})
		return fmt.Sprintf("CASE WHEN %s IS NOT NULL THEN %s(%d, %s) END", expr, TextFunction, n, expr)
	}
	all := func(expr, where string) string {
		return fmt.Sprintf("(SELECT a.u, b.v FROM %s a LEFT JOIN (SELECT u, %s AS v FROM %s WHERE %s AND %s GROUP BY u) b USING (u))",
			a.alive(), bucket(expr), a.ever(), tells, where)
	}
	head, name, _ := strings.Cut(d.Field, ".")
	switch {
	case d.Days != nil:
		day := "t // 86400000000"
		if a.frame.Zone.String() != "UTC" {
			n := a.db.Call(&Call{Number: func(_ any, args []string) float64 {
				t, _ := strconv.ParseInt(args[0], 10, 64)
				return float64(a.frame.Floor(t, measure.Day))
			}})
			day = fmt.Sprintf("%s(%d, t::VARCHAR)", NumberFunction, n)
		}
		return a.counted(d, d.Days, "count(DISTINCT "+day+")")
	case d.Events != nil:
		return a.counted(d, d.Events, "count(*)")
	case d.Sum != nil:
		amount, err := a.amount(d.Sum.Field)
		if err != nil {
			return "", err
		}
		return a.counted(d, d.Sum, "sum("+amount+")")
	case d.Recency != nil:
		return a.counted(d, d.Recency, fmt.Sprintf("(%d - max(t)) // 86400000000", a.frame.AsOf))
	case head == "user" && plainColumn("context."+name) != "":
		column := plainColumn("context." + name)
		return all("arg_max("+column+", "+inOrder+")", column+" IS NOT NULL"), nil
	case head == "traits", head == "consent":
		return a.said(d, head, name)
	case head == "acquisition":
		return all(a.acquired(name), "true"), nil
	case head == "lastTouch":
		return a.lastTouch(name, bucket), nil
	}
	return "", unsupported("the dimension %s of users over the facts", d.Field)
}

// dateOf is the local day, week's first day or month of a time.
func (a *asking) dateOf(t string, unit measure.Unit) string {
	layout := time.DateOnly
	if unit == measure.Month {
		layout = "2006-01"
	}
	n := a.db.Call(&Call{Text: func(_ any, args []string) (string, bool) {
		t, err := strconv.ParseInt(args[0], 10, 64)
		return a.date(a.frame.Floor(t, unit), layout), err == nil
	}})
	return fmt.Sprintf("%s(%d, (%s)::VARCHAR)", TextFunction, n, t)
}

// visits are the events that something may have brought.
const visits = Activity + " AND (campaign_source IS NOT NULL OR referrer IS NOT NULL)"

// lastTouch is what brought the latest event of each user that was not direct, as
// a relation of u and v.
func (a *asking) lastTouch(what string, bucket func(expr string) string) string {
	n := a.db.Call(&Call{Text: func(_ any, v []string) (string, bool) {
		t := touch.Of(v[0], v[1], v[2], v[3], v[4], nil)
		return t.Text(), t != touch.Direct()
	}})
	brought := fmt.Sprintf("%s(%d, campaign_source, campaign_medium, campaign_name, referrer, url)", TextFunction, n)
	of := func(value, last string) string {
		return fmt.Sprintf("(SELECT a.u, %s AS v FROM %s a LEFT JOIN (SELECT u, %s AS last FROM (SELECT u, t, pos, %s AS brought FROM %s WHERE %s) WHERE brought IS NOT NULL GROUP BY u) b USING (u))",
			bucket(value), a.alive(), last, brought, a.ever(), visits)
	}
	switch what {
	case "day", "week", "month":
		return of(a.dateOf("b.last", measure.Unit(what)), "max(t)")
	}
	n = a.db.Call(&Call{Text: func(_ any, v []string) (string, bool) {
		part := measure.TouchPart(what).Of(touch.Parse(v[0]))
		return part, part != ""
	}})
	return of(fmt.Sprintf("%s(%d, b.last)", TextFunction, n), "arg_max(brought, "+inOrder+")")
}

// acquired is what a user's first event says, as an aggregate.
func (a *asking) acquired(what string) string {
	var n int64
	switch what {
	case "day", "week", "month":
		return a.dateOf("min(t)", measure.Unit(what))
	}
	n = a.db.Call(&Call{Text: func(_ any, v []string) (string, bool) {
		part := measure.TouchPart(what).Of(touch.Of(v[0], v[1], v[2], v[3], v[4], nil))
		return part, part != ""
	}})
	columns := []string{"campaign_source", "campaign_medium", "campaign_name", "referrer", "url"}
	for i, c := range columns {
		columns[i] = "arg_min(coalesce(" + c + ", ''), " + inOrder + ")"
	}
	return fmt.Sprintf("%s(%d, %s)", TextFunction, n, strings.Join(columns, ", "))
}

// counted is a dimension of what users did.
func (a *asking) counted(d *measure.Dimension, b *measure.Behavior, aggregate string) (string, error) {
	predicate, _, err := a.match(b.Match())
	if err != nil {
		return "", err
	}
	span, err := a.frame.Span(b.During)
	if err != nil {
		return "", err
	}
	n := a.db.Call(&Call{Text: func(_ any, args []string) (string, bool) {
		if args[0] == "" && d.Recency != nil {
			return "", false
		}
		f, _ := strconv.ParseFloat(args[0], 64)
		if v := d.BucketNumber(f); v != nil {
			return *v, true
		}
		return "", false
	}})
	return fmt.Sprintf("(SELECT a.u, %s(%d, b.n::VARCHAR) AS v FROM %s a LEFT JOIN (SELECT u, %s AS n FROM %s WHERE %s AND %s GROUP BY u) b USING (u))",
		TextFunction, n, a.alive(), aggregate, a.base(), predicate, a.within(span)), nil
}
