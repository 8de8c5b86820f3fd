package console_test

import (
	"net/http"
	"strings"
	"testing"

	"heed/internal/console/api"
	"heed/internal/profile"
)

func TestSuppressionsByHand(t *testing.T) {
	w := newWorld(t)
	c := w.as(adminToken)
	const ann = `{"type":"email","address":"Ann@Shop.example"}`
	if got := ok[api.SuppressionList](c.send("POST", "/api/v1"+"/suppressions:lookup", ann)); got.Address != "Ann@shop.example" || len(got.Suppressions) != 0 {
		t.Errorf("looked up %+v", got)
	}
	got := ok[api.SuppressionList](c.send("POST", "/api/v1"+"/suppressions", `{"type":"email","address":"Ann@Shop.example","note":"asked by phone"}`))
	if len(got.Suppressions) != 1 || !got.Suppressions[0].Removable || got.Suppressions[0].Detail != "asked by phone" {
		t.Errorf("suppressed %+v", got)
	}
	if counts := ok[api.SuppressionCounts](c.get("/suppressions")).Counts; len(counts) != 1 || counts[0].Reason != "manual" || counts[0].Addresses != 1 {
		t.Errorf("counted %+v", counts)
	}
	if got := ok[api.SuppressionList](c.send("POST", "/api/v1"+"/suppressions:remove", ann)); len(got.Suppressions) != 0 {
		t.Errorf("removed %+v", got)
	}
	c.send("POST", "/api/v1"+"/suppressions:remove", ann).fails(http.StatusNotFound, "not_found")
	c.send("POST", "/api/v1"+"/suppressions:lookup", `{"type":"email","address":"nobody"}`).fails(http.StatusBadRequest, "bad_request")
	c.send("POST", "/api/v1"+"/suppressions", `{"type":"fax","address":"1"}`).fails(http.StatusBadRequest, "bad_request")
	for _, e := range ok[api.AuditList](c.get("/audit")).Entries {
		if strings.Contains(strings.ToLower(e.Subject+e.Detail), "shop.example") {
			t.Errorf("the audit log holds the address: %+v", e)
		}
	}
}

func TestUserReach(t *testing.T) {
	w := newWorld(t)
	w.profile("old", &profile.Profile{FirstSeen: 1, Moved: profile.Move{To: "ann", At: 2}})
	w.profile("ann", &profile.Profile{UserID: "ann", FirstSeen: 1, Consent: []profile.Entry{
		{Key: "email", Value: `{"granted":true,"source":"checkout","wording":"Write to me"}`, At: 4e6}, {Key: "gpc", Value: "true", At: 5e6}, {Key: "sms", Value: "null", At: 6e6},
	}})
	got := ok[api.UserReach](w.as(adminToken).get("/users/old/reach"))
	if got.User != "ann" || len(got.Statements) != 2 || got.Statements[0].State != api.ConsentGranted || got.Statements[0].Source != "checkout" || got.Statements[0].At.Unix() != 4 {
		t.Errorf("%+v", got)
	}
	if len(got.Channels) != 2 {
		t.Fatalf("channels %+v", got.Channels)
	}
	web := got.Channels[1]
	if web.Channel != "web" || web.Marketing.Allowed || web.Marketing.Reason != "declined" || web.Marketing.Detail != "consent.gpc" || !web.Transactional.Allowed {
		t.Errorf("web %+v", web)
	}
	w.as(adminToken).get("/users/nobody/reach").fails(http.StatusNotFound, "not_found")
}

func TestImports(t *testing.T) {
	w := newWorld(t)
	c := w.as(adminToken)
	const file = "id,mail\nu1,ann@shop.example\n"
	got := ok[api.Import](c.with("Content-Type", "text/csv").send("POST", "/api/v1/imports?name=crm.csv", file))
	if got.State != api.ImportUploaded || strings.Join(got.Columns, " ") != "id mail" || got.Bytes != int64(len(file)) || got.Sample[0][1] != "ann@shop.example" {
		t.Errorf("uploaded %+v", got)
	}
	if again := ok[api.Import](c.with("Content-Type", "text/csv").send("POST", "/api/v1/imports?name=copy.csv", file)); again.Id != got.Id {
		t.Errorf("the same file is %s and %s", got.Id, again.Id)
	}
	at := "/api/v1/imports/" + got.Id
	c.send("POST", at, `{"kind":"users","columns":{"id":"userId"}}`).fails(http.StatusConflict, "conflict")
	c.send("POST", at, `{"kind":"users","columns":{"nobody":"userId"}}`).fails(http.StatusBadRequest, "bad_request")
	if got := ok[api.Import](c.send("POST", at, `{"dryRun":true,"kind":"users","columns":{"id":"userId","mail":"email"}}`)); got.State != api.ImportChecking {
		t.Errorf("started %+v", got)
	}
	if list := ok[api.ImportList](c.get("/imports")).Imports; len(list) != 1 {
		t.Errorf("listed %+v", list)
	}
	if a := c.get("/imports/" + got.Id + "/errors"); a.status != http.StatusOK || !strings.HasPrefix(string(a.body), "row,column,message") {
		t.Errorf("errors %d %s", a.status, a.body)
	}
	for range 2 { // it is cancelled, then forgotten
		if a := c.send("DELETE", at, nil); a.status != http.StatusNoContent {
			t.Errorf("deleted %d %s", a.status, a.body)
		}
	}
	c.get("/imports/"+got.Id).fails(http.StatusNotFound, "not_found")
}
