package decider

// wake is a timer within the log time of a batch.
type wake struct {
	deadline  int64
	user      *user
	committed bool // read from the partition, not set within the batch
}

// before orders by (deadline, user), as the partition does.
func (a wake) before(b wake) bool {
	if a.deadline != b.deadline {
		return a.deadline < b.deadline
	}
	return a.user.id < b.user.id
}

// wakes is a heap, the earliest at 0.
type wakes []wake

func (h *wakes) push(w wake) {
	q := append(*h, w)
	for i := len(q) - 1; i > 0; {
		up := (i - 1) / 2
		if !q[i].before(q[up]) {
			break
		}
		q[i], q[up] = q[up], q[i]
		i = up
	}
	*h = q
}

func (h *wakes) pop() wake {
	q := *h
	top, n := q[0], len(q)-1
	q[0] = q[n]
	q[n] = wake{}
	q = q[:n]
	for i := 0; ; {
		least := i
		for _, kid := range [...]int{2*i + 1, 2*i + 2} {
			if kid < n && q[kid].before(q[least]) {
				least = kid
			}
		}
		if least == i {
			break
		}
		q[i], q[least] = q[least], q[i]
		i = least
	}
	*h = q
	return top
}
