// Package report owns the reading of what mail systems send back: that a message
// was or was not delivered (RFC 3464), and that its reader calls it spam (RFC
// 5965). All of it comes from strangers.
//
// It does not own whom a report is believed (email).
package report

import (
	"bufio"
	"bytes"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"mime"
	"mime/multipart"
	"net/mail"
	"net/textproto"
	"strings"
)

// Kind is what a report says.
type Kind uint8

// The kinds.
const (
	Other     Kind = iota // nothing that matters: an answer, a delay
	Delivered             // it arrived
	Failed                // it will not arrive
	Complaint             // its reader calls it spam
)

// Report is what a message reports of another one.
type Report struct {
	Kind   Kind
	Status string // the enhanced code: 5.1.1
	Detail string // what the other server said
	// Names are what may name the message that is reported: its sender in the
	// envelope, and the header of that name of Parse.
	Names []string
}

// Bounds.
const (
	// MaxBytes is how long a message may be that is read.
	MaxBytes  = 256 << 10
	maxParts  = 8
	maxBlocks = 32 // of a delivery status: one for each recipient
	maxDetail = 300
)

// Parse reads a message. header is the one that names the message reported, when
// that is enclosed. What is no report is Other, and no error.
func Parse(raw []byte, header string) (Report, error) {
	if len(raw) > MaxBytes {
		return Report{}, fmt.Errorf("report: longer than %d bytes", MaxBytes)
	}
	m, err := mail.ReadMessage(bytes.NewReader(raw))
	if err != nil {
		return Report{}, fmt.Errorf("report: read the header: %w", err)
	}
	kind, params := typeOf(m.Header.Get("Content-Type"))
	if kind != "multipart/report" || params["boundary"] == "" {
		return Report{}, nil
	}
	r := Report{}
	parts := multipart.NewReader(m.Body, params["boundary"])
	for range maxParts {
		p, err := parts.NextPart()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return Report{}, fmt.Errorf("report: read its parts: %w", err)
		}
		if err := r.part(p, header); err != nil {
			return Report{}, err
		}
	}
	return r, nil
}

// typeOf reads a type; what is none says nothing.
func typeOf(text string) (kind string, params map[string]string) {
	kind, params, err := mime.ParseMediaType(text)
	if err != nil {
		return "", nil
	}
	return kind, params
}

func (r *Report) part(p *multipart.Part, header string) error {
	kind, _ := typeOf(p.Header.Get("Content-Type"))
	body := io.Reader(p)
	if strings.EqualFold(p.Header.Get("Content-Transfer-Encoding"), "base64") {
		body = base64.NewDecoder(base64.StdEncoding, body)
	}
	in := textproto.NewReader(bufio.NewReader(body))
	switch kind {
	case "message/delivery-status", "message/global-delivery-status":
		return r.status(in)
	case "message/feedback-report":
		fields, err := block(in)
		if err != nil {
			return err
		}
		switch strings.ToLower(fields.Get("Feedback-Type")) {
		case "abuse", "fraud", "virus", "other", "opt-out", "opt-out-list":
			r.Kind = Complaint
		}
		r.Detail = cut(strings.TrimSpace(fields.Get("Feedback-Type") + " " + fields.Get("User-Agent")))
		r.name(fields.Get("Original-Mail-From"))
	case "message/rfc822", "text/rfc822-headers", "message/global", "message/global-headers":
		fields, err := block(in)
		if err != nil {
			return err
		}
		r.name(fields.Get(header))
		r.name(fields.Get("Return-Path"))
	}
	return nil
}

// status reads what became of the recipients; the worst of it counts.
func (r *Report) status(in *textproto.Reader) error {
	for range maxBlocks {
		fields, err := block(in)
		if err != nil {
			return err
		}
		if fields == nil {
			return nil
		}
		kind := Other
		switch strings.ToLower(strings.TrimSpace(fields.Get("Action"))) {
		case "failed":
			kind = Failed
		case "delivered":
			kind = Delivered
		}
		if kind <= r.Kind {
			continue
		}
		_, said, _ := strings.Cut(fields.Get("Diagnostic-Code"), ";")
		r.Kind, r.Status, r.Detail = kind, statusOf(fields.Get("Status")), cut(strings.TrimSpace(said))
	}
	return nil
}

// block reads header fields up to an empty line; nil at the end.
func block(in *textproto.Reader) (textproto.MIMEHeader, error) {
	fields, err := in.ReadMIMEHeader()
	switch {
	case errors.Is(err, io.EOF) && len(fields) == 0:
		return nil, nil
	case err != nil && !errors.Is(err, io.EOF):
		return nil, fmt.Errorf("report: read its fields: %w", err)
	}
	return fields, nil
}

func (r *Report) name(s string) {
	if s = strings.TrimSpace(s); s != "" && len(s) <= 320 {
		r.Names = append(r.Names, s)
	}
}

func cut(s string) string {
	return strings.ToValidUTF8(s[:min(len(s), maxDetail)], "")
}

// statusOf is the code at the beginning of a text: "5.1.1 (unknown user)".
func statusOf(text string) string {
	code, _, _ := strings.Cut(strings.TrimSpace(text), " ")
	if len(code) > 9 || strings.Count(code, ".") != 2 || strings.Trim(code, "0123456789.") != "" {
		return ""
	}
	return code
}

// Hard tells whether an enhanced code says that an address will never work: there
// is no such mailbox or no such domain, or it is closed. That a mailbox is full,
// or minds what was sent or who sent it, does not.
func Hard(status string) bool {
	switch status {
	case "5.1.1", "5.1.2", "5.1.3", "5.1.6", "5.1.10", "5.2.1":
		return true
	}
	return false
}
