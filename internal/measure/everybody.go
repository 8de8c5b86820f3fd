package measure

// Everybody lists all users of an answer: it asks page by page.
func Everybody(q *Query, ask func(*Query) (Result, error)) ([]string, error) {
	paged := *q
	paged.Users = &Users{Limit: MaxPage}
	var out []string
	for {
		res, err := ask(&paged)
		if err != nil {
			return nil, err
		}
		if out == nil {
			out = make([]string, 0, res.Users.Total)
		}
		out = append(out, res.Users.IDs...)
		if !res.Users.More {
			return out, nil
		}
		paged.Users = &Users{Limit: MaxPage, After: out[len(out)-1]}
	}
}
