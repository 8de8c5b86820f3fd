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
	"bytes"
	"context"
	_ "embed"
	"errors"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"testing"
	"time"

	"go.mongodb.org/mongo-driver/v2/bson"
	"go.mongodb.org/mongo-driver/v2/mongo"
	"go.mongodb.org/mongo-driver/v2/mongo/options"
)

// ready bounds how long a server may take to start on a slow machine.
const ready = 2 * time.Minute

//go:embed Server.java
var source []byte

// set is the name of mongod's replica set.
const set = "heed"

// Server is a server. Its methods are called by one goroutine at a time.
type Server struct {
	t      testing.TB
	mongod string // empty: libs are those of the Java server
	libs   string
	dir    string
	addr   string
	cmd    *exec.Cmd
	ended  chan struct{} // closed when the process has ended
}

// Start starts a server and waits until it answers. It ends with the test.
func Start(t testing.TB) *Server {
	t.Helper()
	s := &Server{t: t, dir: t.TempDir(), addr: free(t)}
	s.find()
	t.Cleanup(func() {
		if s.cmd != nil {
			s.Kill()
		}
		if t.Failed() {
			s.tell()
		}
	})
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

// free is an address that nobody listens on.
func free(t testing.TB) string {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = ln.Close() }()
	return ln.Addr().String()
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

func (s *Server) output() string { return filepath.Join(s.dir, "output") }

// Restart starts the server, on what it has stored, and waits until it answers.
func (s *Server) Restart() {
	s.t.Helper()
	out, err := os.OpenFile(s.output(), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		s.t.Fatal(err)
	}
	defer func() { _ = out.Close() }() // the process has its own
	cmd, ended := s.command(), make(chan struct{})
	cmd.Stdout, cmd.Stderr = out, out
	dieWithParent(cmd)
	if err := cmd.Start(); err != nil {
		s.t.Fatalf("start the server: %v", err)
	}
	s.cmd, s.ended = cmd, ended
	go func() {
		_ = cmd.Wait() // it is killed
		close(ended)
	}()
	s.await()
}

// await waits until the server takes writes.
func (s *Server) await() {
	s.t.Helper()
	client, err := mongo.Connect(options.Client().ApplyURI("mongodb://" + s.addr + "/?directConnection=true").SetTimeout(5 * time.Second))
	if err != nil {
		s.t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(context.Background(), ready)
	defer cancel()
	defer func() { _ = client.Disconnect(ctx) }()
	for {
		err := s.ask(ctx, client)
		if err == nil {
			return
		}
		select {
		case <-s.ended:
			s.t.Fatal("the server ended by itself")
		case <-ctx.Done():
			s.t.Fatalf("the server is not ready: %v", err)
		case <-time.After(50 * time.Millisecond):
		}
	}
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

// Kill ends the server as kill -9 does.
func (s *Server) Kill() {
	_ = s.cmd.Process.Kill() // it may have ended by itself
	<-s.ended
	s.cmd = nil
}

// Pause stops the server in its tracks; its connections stay open.
func (s *Server) Pause() { s.signal(syscall.SIGSTOP) }

// Resume lets a paused server go on.
func (s *Server) Resume() { s.signal(syscall.SIGCONT) }

func (s *Server) signal(sig syscall.Signal) {
	s.t.Helper()
	if err := s.cmd.Process.Signal(sig); err != nil {
		s.t.Fatalf("%s to the server: %v", sig, err)
	}
}

// tell logs the end of what the server printed.
func (s *Server) tell() {
	text, err := os.ReadFile(s.output())
	if err != nil {
		return // it never ran
	}
	if text = bytes.TrimSpace(text); len(text) > 0 {
		s.t.Logf("the server said at the end:\n%s", text[max(0, len(text)-4000):])
	}
}
