// Package mongotest owns real servers with MongoDB's protocol for tests: it starts
// one on a free port of the loopback interface in a folder of its own, kills, pauses
// and restarts it, and leaves none running. It is used by tests only.
//
// That is mongod, as a replica set of one, where it is installed; else the
// independent mongo-java-server, which has no replicas and whose writes survive
// kill -9 (Server.java). Fetching it is scripts/services', into MONGO_LIBS. Where
// there is neither the test is skipped, or fails with HEED_REQUIRE_SERVICES=1.
package mongotest

import (
	"context"
	_ "embed"
	"errors"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"

	"go.mongodb.org/mongo-driver/v2/bson"
	"go.mongodb.org/mongo-driver/v2/mongo"
	"go.mongodb.org/mongo-driver/v2/mongo/options"

	"heed/internal/driver/servertest"
)

//go:embed Server.java
var source []byte

// set is the name of mongod's replica set.
const set = "heed"

// Server is a server. Its methods are called by one goroutine at a time.
type Server struct {
	*servertest.Process
	t      testing.TB
	mongod string // empty: libs are those of the Java server
	libs   string
	dir    string
	addr   string
}

// Start starts a server and waits until it answers. It ends with the test.
func Start(t testing.TB) *Server {
	t.Helper()
	s := &Server{t: t, dir: t.TempDir(), addr: servertest.Free(t)}
	s.Process = servertest.NewProcess(t, "the server", s.dir)
	s.find()
	s.Restart()
	return s
}

// find looks for a server to run.
func (s *Server) find() {
	s.t.Helper()
	var err error
	if s.mongod, err = exec.LookPath("mongod"); err == nil {
		return
	}
	s.libs = os.Getenv("MONGO_LIBS")
	if s.libs == "" {
		cache, err := os.UserCacheDir()
		if err != nil {
			s.t.Fatal(err)
		}
		s.libs = filepath.Join(cache, "heed", "mongo")
	}
	jars, _ := filepath.Glob(filepath.Join(s.libs, "mongo-java-server-h2-backend-*.jar")) // the pattern is right
	_, err = exec.LookPath("java")
	switch {
	case err == nil && len(jars) == 1:
	case os.Getenv("HEED_REQUIRE_SERVICES") == "1":
		s.t.Fatalf("HEED_REQUIRE_SERVICES=1, and there is no MongoDB: no mongod; java: %v, jars in %s: %v", err, s.libs, jars)
	default:
		s.t.Skipf("no MongoDB here (no mongod; java: %v, jars in %s: %v): scripts/test fetches a server", err, s.libs, jars)
	}
	if err := os.WriteFile(filepath.Join(s.dir, "Server.java"), source, 0o600); err != nil {
		s.t.Fatal(err)
	}
}

func (s *Server) command() *exec.Cmd {
	_, port, err := net.SplitHostPort(s.addr)
	if err != nil {
		s.t.Fatal(err)
	}
	if s.mongod != "" {
		data := filepath.Join(s.dir, "data")
		if err := os.MkdirAll(data, 0o700); err != nil {
			s.t.Fatal(err)
		}
		return exec.Command(s.mongod, "--bind_ip", "127.0.0.1", "--port", port, "--dbpath", data, "--replSet", set) // it ends with the test, by its id
	}
	return exec.Command("java", "-Xmx512m", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1", "-Dorg.slf4j.simpleLogger.defaultLogLevel=warn", // likewise
		"-cp", filepath.Join(s.libs, "*"), filepath.Join(s.dir, "Server.java"), filepath.Join(s.dir, "data.mv"), port)
}

// Restart starts the server, on what it has stored, and waits until it takes writes.
func (s *Server) Restart() {
	s.t.Helper()
	s.Launch(s.command())
	client, err := mongo.Connect(options.Client().ApplyURI(s.URI(s.addr)).SetTimeout(5 * time.Second))
	if err != nil {
		s.t.Fatal(err)
	}
	defer func() { _ = client.Disconnect(context.Background()) }()
	s.Await("takes writes", func(ctx context.Context) error { return s.ask(ctx, client) })
}

func (s *Server) ask(ctx context.Context, client *mongo.Client) error {
	admin := client.Database("admin")
	var hello struct {
		Primary bool `bson:"ismaster"`
	}
	if err := admin.RunCommand(ctx, bson.D{{Key: "isMaster", Value: 1}}).Decode(&hello); err != nil {
		return err
	}
	if hello.Primary || s.mongod == "" {
		return nil
	}
	members := bson.A{bson.D{{Key: "_id", Value: 0}, {Key: "host", Value: s.addr}}}
	_ = admin.RunCommand(ctx, bson.D{{Key: "replSetInitiate", Value: bson.D{{Key: "_id", Value: set}, {Key: "members", Value: members}}}}).Err() // once is enough
	return errors.New("it is not the primary yet")
}

// Addr is where the server listens.
func (s *Server) Addr() string { return s.addr }

// URI leads to the server at an address: its own, or a proxy's.
func (s *Server) URI(addr string) string { return "mongodb://" + addr + "/?directConnection=true" }

// Replicated tells whether the server is a replica set.
func (s *Server) Replicated() bool { return s.mongod != "" }
