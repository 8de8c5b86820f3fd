package letter

import (
	"errors"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/net/html"
)

func TestText(t *testing.T) {
	f := func(body, want string) {
		t.Helper()
		l, err := New(body, Options{})
		if diff := cmp.Diff(want, l.Text); err != nil || diff != "" {
			t.Errorf("%s: %v\n%s", body, err, diff)
		}
	}
	f("Hello,\n  <b>Ada</b>!", "Hello, Ada!")
	f("<h1>Hi &amp; welcome</h1><p>One<br>two</p><p>three</p>", "Hi & welcome\n\nOne\ntwo\n\nthree")
	f(`<p><a href="https://x.example/?a=1&amp;b=2">Buy now</a>, or <a href="https://y.example">https://y.example</a>.</p>`,
		"Buy now (https://x.example/?a=1&b=2), or https://y.example.")
	f(`<a href="mailto:a@x.example">a@x.example</a> <a href="#top">up</a> <a href="https://z.example"><img src="i.png" alt="Our cat"></a>`,
		"a@x.example up Our cat (https://z.example)")
	f(`<a href="https://z.example"><img src="i.png"></a>`, "https://z.example")
	f("<ul><li>a<li>b <i>c</i></ul><ol><li>x<li>y</ol>end", "- a\n- b c\n\n1. x\n2. y\n\nend")
	f("<table><tr><td>one</td><td>two</td></tr><tr><td>three</table>", "one two\nthree")
	f("<div><div><div>deep</div></div></div><div>next</div>", "deep\nnext")
	f("<style>p{}</style><script>alert(1)</script><title>t</title><p style='display: none'>pre</p><!-- c -->seen", "seen")
	f("<pre>a  b\n\nc</pre>", "a  b\n\nc")
	f("", "")
}

// parsed is a letter as a reader of mail parses it: the elements of a name.
func parsed(t *testing.T, body string, name string) (out []*html.Node) {
	t.Helper()
	doc, err := html.Parse(strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	var walk func(*html.Node)
	walk = func(n *html.Node) {
		if n.Type == html.ElementNode && n.Data == name {
			out = append(out, n)
		}
		for c := n.FirstChild; c != nil; c = c.NextSibling {
			walk(c)
		}
	}
	walk(doc)
	return out
}

func TestStylesAreInlined(t *testing.T) {
	l, err := New(`<style>p, td > b {color: #c00} .x {margin: 0 !important} @media (max-width: 600px) {.x {width: 100%}} a:hover {color: red}</style><p class="x" style="padding:1px">Hi<table><tr><td><b>!</b></table>`, Options{})
	if err != nil {
		t.Fatal(err)
	}
	p := attr(parsed(t, l.HTML, "p")[0], "style")
	for _, want := range []string{"color:#c00", "margin:0", "padding:1px"} {
		if !strings.Contains(p, want) {
			t.Errorf("%s is missing in %q", want, p)
		}
	}
	if b := attr(parsed(t, l.HTML, "b")[0], "style"); !strings.Contains(b, "#c00") {
		t.Errorf("b has the style %q", b)
	}
	// What cannot be inlined stays for the clients that read it.
	if style := parsed(t, l.HTML, "style"); len(style) != 1 || style[0].FirstChild.Data != "@media (max-width: 600px) {\n.x {width:100% !important;}\n}\na:hover {color:red !important;}\n" {
		t.Errorf("%s", l.HTML)
	}
	if !strings.HasPrefix(l.HTML, "<!DOCTYPE html>") || strings.Count(l.HTML, "viewport") != 1 || strings.Count(l.HTML, "charset=utf-8") != 1 {
		t.Errorf("%s", l.HTML)
	}
	again, err := New(`<!doctype html><meta name="viewport" content="width=600"><p>Hi`, Options{})
	if err != nil || strings.Count(again.HTML, "viewport") != 1 || strings.Count(strings.ToLower(again.HTML), "<!doctype") != 1 {
		t.Errorf("%s: %v", again.HTML, err)
	}
}

func TestCascade(t *testing.T) {
	f := func(css, element, want string) {
		t.Helper()
		l, err := New("<style>"+css+"</style><div class=d>"+element+"</div>", Options{})
		if err != nil {
			t.Fatal(err)
		}
		if got := attr(parsed(t, l.HTML, "p")[0], "style"); got != want {
			t.Errorf("%s on %s: %q, want %q", css, element, got, want)
		}
	}
	f("p{color:red} p{color:blue}", "<p>", "color:blue")
	f(".a{color:red} p{color:blue}", "<p class=a>", "color:red")
	f("#i{color:red} .a.b{color:blue}", "<p class='a b' id=i>", "color:red")
	f("p{color:red !important} #i{color:blue}", "<p id=i style='color:green'>", "color:red")
	f("p{color:red}", "<p style='color:green'>", "color:green")
	f("p{padding:1px;margin:0} .d p{padding:2px}", "<p>", "margin:0;padding:2px")
	f("h1, .d > p ,h2{color:red}", "<p>", "color:red")
	f("p:first-child{a:b} p[class='x,y']{c:d}", "<p class='x,y'>", "a:b;c:d")
	f(`/* p{a:b} */ p{background:url("a;b}c")} q{`, "<p>", `background:url("a;b}c")`)
	f("@import url(x.css); @charset 'x'; p{a:b}", "<p>", "a:b")
	f("p{a:b;;:;c;D:E! IMPORTANT}", "<p>", "a:b;d:E")
	f("} p{a:b} p{c:d", "<p>", "a:b;c:d")
	f("*{a:b}", "<p>", "a:b")
}

func TestLinks(t *testing.T) {
	var asked []string
	l, err := New(`<a href=" HTTPS://x.example/a?b=1&amp;c=2 ">a</a><a href="https://heed/u/tok">u</a><a href="mailto:a@b.example">m</a><a href="#x">x</a><a href="tel:1">t</a><a>n</a>
		<a href="javascript:alert(1)">j</a><base href="https://evil.example/"><script>1</script><img src="https://img.example/i.png">`, Options{
		Keep: "https://heed/u/tok", Pixel: "https://heed/o/1", Imprint: "Shop Ltd, 1 High Street",
		Link: func(to string) string { asked = append(asked, to); return "https://heed/c/1" },
	})
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff([]string{"HTTPS://x.example/a?b=1&c=2"}, asked); diff != "" {
		t.Error(diff)
	}
	var hrefs []string
	for _, a := range parsed(t, l.HTML, "a") {
		hrefs = append(hrefs, attr(a, "href"))
	}
	if diff := cmp.Diff([]string{"https://heed/c/1", "https://heed/u/tok", "mailto:a@b.example", "#x", "tel:1", "", "javascript:alert(1)"}, hrefs); diff != "" {
		t.Error(diff)
	}
	if strings.Contains(l.HTML, "<script") || strings.Contains(l.HTML, "<base") || strings.Count(l.HTML, "https://heed/o/1") != 1 {
		t.Error(l.HTML)
	}
	// The text names where links lead, not what counts them.
	if !strings.Contains(l.Text, "x.example/a?b=1&c=2") || strings.Contains(l.Text, "heed/c/") || !strings.HasSuffix(l.Text, "Shop Ltd, 1 High Street") {
		t.Error(l.Text)
	}
	// An imprint that the author wrote is not repeated.
	l, err = New("<p>Hi</p><p>Shop Ltd,<br>1 High Street</p>", Options{Imprint: "Shop Ltd, 1 High Street"})
	if err != nil || strings.Count(l.HTML, "High Street") != 1 || strings.Count(l.Text, "High Street") != 1 {
		t.Errorf("%s\n%s\n%v", l.HTML, l.Text, err)
	}
}

// The starter design that the documentation gives is a letter like any other.
func TestStarter(t *testing.T) {
	body, err := os.ReadFile("../../../../docs/email-starter.html")
	if err != nil {
		t.Fatal(err)
	}
	l, err := New(string(body), Options{})
	if err != nil || len(l.HTML) > 16<<10 || !strings.Contains(l.Text, "Unsubscribe") {
		t.Errorf("%d bytes, %v\n%s", len(l.HTML), err, l.Text)
	}
}

func TestBounds(t *testing.T) {
	if _, err := New("<style>"+strings.Repeat("p b i{color:red}", 2000)+"</style>"+strings.Repeat("<p><b><i>x", 1000), Options{}); !errors.Is(err, ErrTooMuch) {
		t.Errorf("many rules on many elements: %v", err)
	}
	if _, err := New(strings.Repeat(`<a href="https://x.example">x</a>`, 2000), Options{Link: func(string) string { return strings.Repeat("x", 1000) }}); !errors.Is(err, ErrTooMuch) {
		t.Errorf("a long letter: %v", err)
	}
	// The most that passes.
	began := time.Now()
	if _, err := New("<style>"+strings.Repeat("p b i{color:red}", 220)+"</style>"+strings.Repeat("<p><b><i>x</i></b></p>", 300), Options{}); err != nil {
		t.Error(err)
	}
	if took := time.Since(began); took > 10*time.Second {
		t.Errorf("it took %v", took)
	}
}

func FuzzNew(f *testing.F) {
	for _, s := range []string{
		"<p>Hi", "<style>{{{ }</style><p>x", "<style>a[b{color:red} @media{ p{</style>x", "<style>@import url(x); p:not(.x){color:red} :is(p){a:b} *{x:y}</style><p style=';;:;'>x",
		"<table><td><ol><li><pre>\n\nx", "<svg><style>p{}</style><a href=x>", "<frameset><frame>", "<template><p>x</template>", "\x00<a href='http://\x00'>",
		"<style>/*</style>", "<style>p{a:'</style>", "<style>@media(x){p{a:b</style><p>", "<style>p{a:url(;)}q\\",
	} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, body string) {
		if len(body) > 8<<10 {
			return
		}
		l, err := New(body, Options{Link: func(string) string { return "https://heed/c/1" }, Pixel: "https://heed/o/1", Imprint: "Shop Ltd"})
		if err != nil {
			return
		}
		if !strings.Contains(l.HTML, "https://heed/o/1") || !strings.Contains(l.Text, "Shop Ltd") {
			t.Errorf("%q has become %q, %q", body, l.HTML, l.Text)
		}
	})
}
