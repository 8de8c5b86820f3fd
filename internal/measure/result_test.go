package measure

import (
	"encoding/json"
	"strings"
	"testing"
)

func TestListed(t *testing.T) {
	for _, r := range []Result{
		{Series: &SeriesResult{}},
		{Breakdown: &BreakdownResult{}},
		{Retention: &RetentionResult{}},
		{Retention: &RetentionResult{Cohorts: []Cohort{{}}}},
		{Paths: &PathsResult{Depths: [][]PathNode{nil}}},
		{Live: &LiveResult{Minutes: []int64{}}},
		{Timeline: &TimelineResult{}},
		{Attribution: &AttributionResult{}},
	} {
		r.Listed()
		if text, err := json.Marshal(r); err != nil || strings.Contains(string(text), "null") {
			t.Errorf("%s %v", text, err)
		}
	}
}
