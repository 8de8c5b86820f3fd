// Command heed is the whole product in one binary: `heed run` serves, the other
// commands talk to a running server or, where there is none, open its data
// folder themselves.
package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"strings"
	"syscall"

	"github.com/alecthomas/kong"

	"heed/internal/app"
)

// version is set by the linker.
var version = "dev"

// Exit codes beside 0.
const (
	exitFailed = 1 // it was tried and did not work
	exitUsage  = 2 // it was asked for wrongly, or is not built yet
)

// commands is the command line.
type commands struct {
	Config  string `help:"Configuration file (YAML). Settings: file < environment HEED_* < flags." type:"path" env:"HEED_CONFIG" placeholder:"FILE"`
	DataDir string `help:"Data folder (default ./heed-data)." type:"path" placeholder:"DIR"`
	Server  string `help:"Server that commands talk to (or HEED_SERVER; default: the one that uses the data folder). HEED_ADMIN_TOKEN is a token of it." placeholder:"URL"`

	Run          runCommand      `cmd:"" help:"Serve: collect, decide, answer, and show it in the console."`
	Check        checkCommand    `cmd:"" help:"Check the configuration and definitions without starting."`
	Apply        applyCommand    `cmd:"" help:"Apply definitions from a file or folder, as one transaction."`
	Export       exportCommand   `cmd:"" help:"Write all definitions as YAML."`
	Replay       replayCommand   `cmd:"" help:"Run a trigger over a file of events, with no server."`
	Backtest     backtestCommand `cmd:"" help:"Try a trigger on the log's last days: nothing is sent."`
	Explain      explainCommand  `cmd:"" help:"Say why a user did, or did not, get a campaign, or where the user stands with a trigger."`
	Events       eventsCommand   `cmd:"" help:"Print events as JSON lines."`
	ExportEvents eventsExport    `cmd:"" help:"Write the events of the log to a file or standard output."`
	SQL          sqlCommand      `cmd:"" name:"sql" help:"Run a SELECT over the events kept for analysis."`
	Version      versionCommand  `cmd:"" help:"Print the version."`

	Backup  notBuilt `cmd:"" help:"Back up the data folder (not built yet)."`
	Restore notBuilt `cmd:"" help:"Restore a backup (not built yet)."`
}

// env is what commands get from outside.
type env struct {
	ctx            context.Context
	in             io.Reader
	out, err       io.Writer
	environ        []string
	config, folder string
	server         string
}

// usageError is one that the caller can mend by asking differently.
type usageError struct{ text string }

func (e usageError) Error() string { return e.text }

func usagef(format string, args ...any) error { return usageError{fmt.Sprintf(format, args...)} }

type notBuilt struct {
	Args []string `arg:"" optional:"" passthrough:"" hidden:""`
}

// Run says so and exits 2.
func (notBuilt) Run() error { return usagef("this command is not built yet") }

type versionCommand struct{}

// Run prints the version.
func (versionCommand) Run(e *env) error {
	_, err := fmt.Fprintln(e.out, "heed", version)
	return err
}

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	context.AfterFunc(ctx, stop) // a second signal ends the process at once
	code := run(&env{ctx: ctx, in: os.Stdin, out: os.Stdout, err: os.Stderr, environ: os.Environ()}, os.Args[1:])
	stop()
	os.Exit(code)
}

// run executes one command line and returns the exit code.
func run(e *env, args []string) int {
	var c commands
	exited := -1
	parser, err := kong.New(&c,
		kong.Name("heed"),
		kong.Description("Heed listens to what each user does right now, and answers at that moment."),
		kong.Vars{"roles": strings.Join(app.Roles(), ", ")},
		kong.Writers(e.out, e.err),
		kong.Exit(func(code int) { exited = code }),
		kong.ConfigureHelp(kong.HelpOptions{Compact: true}),
	)
	if err != nil {
		_, _ = fmt.Fprintln(e.err, "heed:", err)
		return exitFailed
	}
	if len(args) == 0 {
		args = []string{"--help"}
	}
	k, err := parser.Parse(args)
	if exited >= 0 {
		return exited
	}
	if err != nil {
		_, _ = fmt.Fprintf(e.err, "heed: %v (see heed --help)\n", err)
		return exitUsage
	}
	e.config, e.folder = c.Config, c.DataDir
	e.server = cmp.Or(c.Server, lookup(e.environ, "HEED_SERVER"))
	if err := k.Run(e); err != nil {
		_, _ = fmt.Fprintln(e.err, "heed:", err)
		if _, usage := errors.AsType[usageError](err); usage {
			return exitUsage
		}
		return exitFailed
	}
	return 0
}
