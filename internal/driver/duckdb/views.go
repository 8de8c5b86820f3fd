package duckdb

import (
	"context"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"heed/internal/driver/duckdb/ask"
	"heed/internal/driver/duckdb/rows"
	"heed/internal/measure"
)

// publicViews are what SQL is written against (docs/sql.md). facts is the view
// of what is stored: of all files and hot rows of the query's version.
func publicViews(promoted []rows.Property) []string {
	gap := strconv.FormatInt(measure.SessionGap.Micros(), 10)
	return []string{
		`events AS SELECT time, event, type,
			` + ask.RootFunction + `(usr) AS user_key, ` + ask.IDFunction + `(usr) AS user_id, known,
			session AS session_key, source, country, device, os, browser, screen, locale, timezone,
			url, path, referrer, title,
			campaign_source, campaign_medium, campaign_name, campaign_term, campaign_content,
			group_id, properties, traits, extra AS context,
			bot, internal, historical, consent, time + to_microseconds(lag) AS received, message AS message_id, part::VARCHAR || '-' || pos AS place` + propertyColumns(promoted) + `
			FROM facts`,
		`users AS SELECT user_key, any_value(user_id) AS user_id, bool_or(known) AS known, min(time) AS first_seen, max(time) FILTER (` + ask.Activity + `) AS last_seen,
			count(*) AS events, count(DISTINCT session_key) AS sessions,
			arg_max(country, time) FILTER (country IS NOT NULL) AS country,
			arg_max(device, time) FILTER (device IS NOT NULL) AS device,
			arg_min(campaign_source, time) FILTER (campaign_source IS NOT NULL) AS first_source,
			arg_min(referrer, time) FILTER (referrer IS NOT NULL) AS first_referrer
			FROM events WHERE source <> 'heed' GROUP BY user_key`,
		// Cut as the measure cuts them: whenever a user is silent for so long, in
		// hindsight, so that late events and ids that were united count.
		`sessions AS SELECT arg_min(session_key, time) FILTER (session_key IS NOT NULL) AS session_key, user_key, any_value(user_id) AS user_id, min(time) AS start, max(time) AS "end",
			date_diff('microsecond', min(time), max(time)) / 1e6 AS seconds, count(*) AS events, count(*) FILTER (event = 'page') AS pages,
			arg_min(path, time) FILTER (path IS NOT NULL) AS entry_path, arg_max(path, time) FILTER (path IS NOT NULL) AS exit_path,
			arg_min(campaign_source, time) FILTER (campaign_source IS NOT NULL) AS campaign_source,
			any_value(country) AS country, any_value(device) AS device, bool_or(bot) AS bot, bool_or(internal) AS internal
			FROM (SELECT *, count(*) FILTER (begins) OVER (PARTITION BY user_key ORDER BY time ROWS UNBOUNDED PRECEDING) AS number
				FROM (SELECT *, coalesce(epoch_us(time) - lag(epoch_us(time)) OVER (PARTITION BY user_key ORDER BY time) >= ` + gap + `, true) AS begins
					FROM events WHERE ` + ask.Activity + `))
			GROUP BY user_key, number`,
		`deliveries AS SELECT time, user_key, user_id, properties->>'campaign' AS campaign, properties->>'channel' AS channel,
			properties->>'status' AS status, properties->>'reason' AS reason, properties->>'delivery' AS delivery, properties->>'variant' AS variant
			FROM events WHERE event = 'heed.delivery'`,
	}
}

// makeViews makes the views of a place's connection for a version. The place's
// number is the argument by which its scans find the hot rows.
func (s *Store) makeViews(ctx context.Context, pl *place, v *version) error {
	hot := selectFrom(fmt.Sprintf("%s(%d)", hotFunction, pl.number), pl.properties, true, func(i int) (has, whole bool) {
		return slices.Contains(v.layout.Promoted, pl.properties[i]), false
	})
	stored := "facts AS " + hot
	if len(v.files) > 0 {
		stored = "facts AS " + s.stored(v.files, pl.properties) + " UNION ALL " + hot
	}
	for _, v := range append([]string{stored}, publicViews(pl.properties)...) {
		if _, err := pl.conn.ExecContext(ctx, "CREATE OR REPLACE TEMP VIEW "+v); err != nil {
			name, _, _ := strings.Cut(v, " ")
			return fmt.Errorf("make the view %s: %w", name, err)
		}
	}
	return nil
}

// propertyColumns are the columns of properties as SQL sees them: what does not fit
// is null in one that is not of texts.
func propertyColumns(all []rows.Property) string {
	var b strings.Builder
	for _, p := range all {
		column, json := quoteName(p.Column()), "TRY("+ask.RestOf(p.Key)+"->>"+quote(p.Key)+")"
		if p.Type != rows.Varchar {
			json = "TRY_CAST(" + json + " AS " + string(p.Type) + ")"
		}
		fmt.Fprintf(&b, ", coalesce(%s, %s) AS %s", column, json, column)
	}
	return b.String()
}
