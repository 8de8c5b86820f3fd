package kafkaconn_test

import (
	"strings"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"

	"heed/internal/clienttls"
	"heed/internal/driver/kafka/kafkatest"
	"heed/internal/kafkaconn"
)

// TestCheck asks real brokers, which let the plain listener's clients do all and
// others what they are granted.
func TestCheck(t *testing.T) {
	c := kafkatest.Start(t, 1, "authorizer.class.name=org.apache.kafka.metadata.authorizer.StandardAuthorizer", "super.users=User:ANONYMOUS")
	client, err := kgo.NewClient(kgo.SeedBrokers(c.Addrs()...))
	if err != nil {
		t.Fatal(err)
	}
	defer client.Close()
	admin := kadm.NewClient(client)
	two := "2"
	for name, settings := range map[string]map[string]*string{"orders": nil, "thin": {"min.insync.replicas": &two}, "hidden": nil} {
		if _, err := admin.CreateTopic(t.Context(), 2, 1, settings, name); err != nil {
			t.Fatal(err)
		}
	}
	s := c.Secure()
	grant := func(b *kadm.ACLBuilder) {
		t.Helper()
		made, err := admin.CreateACLs(t.Context(), b.Allow("User:"+s.User).AllowHosts())
		if err == nil {
			for _, m := range made {
				err = m.Err
			}
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	plain := kafkaconn.Config{Brokers: c.Addrs(), Timeout: 5 * time.Second}
	secure := kafkaconn.Config{
		Brokers: s.Addrs, Timeout: 5 * time.Second, TLS: clienttls.Config{Enabled: true, CA: s.CA},
		SASL: kafkaconn.SASL{Mechanism: "scram-sha-512", User: s.User, Password: s.Password},
	}
	f := func(name string, cfg kafkaconn.Config, u kafkaconn.Use, want string) {
		t.Helper()
		for deadline := time.Now().Add(30 * time.Second); ; { // brokers learn what was granted within moments
			err := cfg.Check(t.Context(), u)
			if want == "" && err == nil || want != "" && err != nil && strings.Contains(err.Error(), want) {
				return
			}
			if time.Now().After(deadline) {
				t.Fatalf("%s: %v, want %q", name, err, want)
			}
		}
	}
	with := func(cfg kafkaconn.Config, change func(*kafkaconn.Config)) kafkaconn.Config {
		change(&cfg)
		return cfg
	}
	write := kafkaconn.Use{Topic: "orders", Write: true}
	read := kafkaconn.Use{Topic: "orders", Group: "heed-orders"}

	f("may do all", plain, write, "")
	f("may do all", plain, read, "")
	f("no such topic", plain, kafkaconn.Use{Topic: "elsewhere"}, "there is no topic elsewhere")
	f("too few replicas", plain, kafkaconn.Use{Topic: "thin", Write: true}, "1 replicas in sync of 1, and min.insync.replicas asks for 2")
	f("read only", plain, kafkaconn.Use{Topic: "thin"}, "")
	f("nobody there", with(plain, func(c *kafkaconn.Config) { c.Brokers = []string{"127.0.0.1:1"} }), write, "no broker can be reached: ")
	f("TLS is missing", with(plain, func(c *kafkaconn.Config) { c.Brokers = s.Addrs }), write, "a plaintext connection speaking to a tls endpoint")
	f("TLS where none is", with(secure, func(cfg *kafkaconn.Config) { cfg.Brokers = c.Addrs() }), write, "TLS")
	f("not trusted", with(secure, func(c *kafkaconn.Config) { c.TLS.CA = "" }), write, "certificate is not trusted")
	f("SASL is missing", with(secure, func(c *kafkaconn.Config) { c.SASL = kafkaconn.SASL{} }), write, "SASL")
	f("wrong password", with(secure, func(c *kafkaconn.Config) { c.SASL.Password = "wrong" }), write, "do not take this user and password")
	f("not offered", with(secure, func(c *kafkaconn.Config) { c.SASL.Mechanism = "scram-sha-256" }), write, "do not offer this SASL mechanism")

	f("nothing granted", secure, write, "grant Describe")
	grant(kadm.NewACLs().Topics("orders").ResourcePatternType(kmsg.ACLResourcePatternTypeLiteral).Operations(kmsg.ACLOperationDescribe))
	f("may only see it", secure, write, "grant Write")
	f("may only see it", secure, read, "grant Read on the topic")
	grant(kadm.NewACLs().Topics("orders").ResourcePatternType(kmsg.ACLResourcePatternTypeLiteral).Operations(kmsg.ACLOperationRead))
	f("no right to the group", secure, read, "group")
	grant(kadm.NewACLs().Groups("heed-").ResourcePatternType(kmsg.ACLResourcePatternTypePrefixed).Operations(kmsg.ACLOperationRead))
	f("may read", secure, read, "")
	f("may not write", secure, write, "grant Write")
	grant(kadm.NewACLs().Topics("orders").ResourcePatternType(kmsg.ACLResourcePatternTypeLiteral).Operations(kmsg.ACLOperationWrite))
	f("may write", secure, write, "")
	f("not to be seen", secure, kafkaconn.Use{Topic: "hidden", Write: true}, "grant Describe")
}
