package rows

import (
	"fmt"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// saw lets a census see events, each made of its number.
func saw(c *Census, events int, properties func(i int) string) {
	for i := range events {
		for range sampled { // one of them is looked at
			c.Add([]byte(properties(i)))
		}
	}
}

func TestCensusChoosesWhatIsFrequent(t *testing.T) {
	c := &Census{}
	saw(c, 50, func(int) string { return `{"color":"red"}` })
	if got := c.Choose(nil, nil); got != nil {
		t.Errorf("%v after a few events", got)
	}
	saw(c, 1000, func(i int) string {
		doc := fmt.Sprintf(`{"product_id":"p-%d","price":%d,"member":%t,"uuid":"%032d","a.b":1,"list":[1],"none":null`, i%300, i%90, i%2 == 0, i)
		if i%100 == 0 {
			doc += `,"seldom":1`
		}
		doc += [...]string{`,"mixed":"text"`, `,"mixed":1`, ""}[i%3]
		return doc + "}"
	})
	want := []Property{{"color", Varchar}, {"member", Boolean}, {"mixed", Varchar}, {"price", Double}, {"product_id", Varchar}}
	got := c.Choose(nil, nil)
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	// A type stays as long as a file has it, and so does the case of a name.
	held := map[string]Property{"price": {"price", Varchar}, "member": {"Member", Boolean}}
	want = []Property{{"color", Varchar}, {"mixed", Varchar}, {"product_id", Varchar}}
	if diff := cmp.Diff(want, c.Choose(nil, held)); diff != "" {
		t.Errorf("with columns in files (-want +got):\n%s", diff)
	}
	// Those that are there keep their order; those that have become rare go.
	for range 8 {
		saw(c, 10_000, func(i int) string { return fmt.Sprintf(`{"price":%d,"aisle":%d}`, i%90, i%7) })
		c.Choose(got, nil)
	}
	want = []Property{{"price", Double}, {"aisle", Double}}
	if diff := cmp.Diff(want, c.Choose(got, nil)); diff != "" {
		t.Errorf("later (-want +got):\n%s", diff)
	}
}

func TestCensusIsBounded(t *testing.T) {
	c := &Census{}
	saw(c, 2000, func(i int) string { return fmt.Sprintf(`{"key-%d":1,"k%d":true}`, i, i%40) })
	if len(c.keys) > censusKeys {
		t.Errorf("%d keys", len(c.keys))
	}
	got := c.Choose(nil, nil)
	if len(got) != MaxProperties {
		t.Errorf("%d columns", len(got))
	}
	if again := c.Choose(got, nil); !cmp.Equal(got, again) {
		t.Errorf("they change without a reason: %v, then %v", got, again)
	}
}
