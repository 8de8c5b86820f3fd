package audiences

import (
	"context"
	"maps"
	"slices"

	"heed/internal/consent"
	"heed/internal/console/api"
	"heed/internal/definition"
	"heed/internal/measure"
	"heed/internal/policy"
	"heed/internal/reach"
)

// Who can be reached is asked user by user, as the decision asks. Of larger
// audiences that takes too long for a page: only their first members are asked,
// and there are at least so many.
const (
	mostReached   = 5 * measure.MaxPage
	draftReached  = 2000   // of a draft of more than a page: it is asked again with every change
	reachKept     = minute // how long an answer is shown of an audience that stays as it is
	maxReachKept  = 1000   // audiences
	reachedInList = 500    // of a list of audiences those that are not known are asked up to this size
)

// reached is who could be reached of an audience.
type reached struct {
	print string
	size  int64
	set   *definition.Set
	at    int64
	by    []api.AudienceReach
}

// reachOf is who of a saved audience can be reached for marketing, by channel.
// largest: of larger ones only what is known already.
func (k *Keeper) reachOf(ctx context.Context, set *definition.Set, name string, s *status, largest int64) []api.AudienceReach {
	if k.deps.Book == nil || k.deps.Measures == nil || s.state != api.AudienceReady {
		return []api.AudienceReach{}
	}
	now := k.now()
	k.reachMu.Lock()
	was := k.reached[name]
	k.reachMu.Unlock()
	if was.set == set && was.print == s.print && was.size == s.size && now-was.at < reachKept {
		return was.by
	}
	if s.size > largest {
		return []api.AudienceReach{}
	}
	var ids []string
	q, more := set.Audiences[name].Query(), true
	for more && len(ids) < mostReached {
		asked := *q
		asked.Users = &measure.Users{Limit: measure.MaxPage}
		if len(ids) > 0 {
			asked.Users.After = ids[len(ids)-1]
		}
		res, err := k.deps.Measures.Answer(ctx, &asked, k.names(ctx, set), now)
		if err != nil {
			k.log.Debug("who can be reached is not known", "audience", name, "error", err)
			return []api.AudienceReach{}
		}
		ids, more = append(ids, res.Users.IDs...), res.Users.More
	}
	by, err := k.reach(ctx, set, ids, more)
	if err != nil {
		k.log.Warn("who can be reached could not be counted", "audience", name, "error", err)
		return []api.AudienceReach{}
	}
	k.reachMu.Lock()
	defer k.reachMu.Unlock()
	if len(k.reached) >= maxReachKept {
		clear(k.reached)
	}
	k.reached[name] = reached{s.print, s.size, set, now, by}
	return by
}

// reach counts who of the users can be reached for marketing, by channel. more:
// they are not all.
func (k *Keeper) reach(ctx context.Context, set *definition.Set, users []string, more bool) ([]api.AudienceReach, error) {
	out := make([]api.AudienceReach, 0, len(set.Channels))
	for _, name := range slices.Sorted(maps.Keys(set.Channels)) {
		out = append(out, api.AudienceReach{Channel: name, AtLeast: more})
	}
	for _, id := range users {
		user, p, err := reach.Whose(ctx, k.deps.Profiles, id)
		if err != nil {
			return nil, err
		}
		for i := range out {
			a, err := k.deps.Book.Ask(ctx, &reach.Question{User: user, Profile: p, Purpose: consent.Marketing, Channel: set.Channels[out[i].Channel]})
			if err != nil {
				return nil, err
			}
			if a.Refusal() == policy.None {
				out[i].Users++
			}
		}
	}
	return out, nil
}
