-- Applies one step of a partition, if it is this owner's next one; a step that was
-- applied is not applied again.
-- KEYS: head, timers, outbox, then per kind of rows: values, users.
-- ARGV: owner, seq, base, next, meta ('' or a byte and the blob), intents ('' or their bytes),
--   timers to clear (count, timers), timers to set, then per kind:
--   users to remove (count, users), values to set (count, pairs of user and value).
-- Answers {1 applied | 2 was applied | 0 refused, epoch, next, id in the outbox}.
-- Numbers are compared as text: they may be larger than what Lua counts exactly.
local head = redis.call('HMGET', KEYS[1], 'owner', 'seq', 'next', 'epoch')
local owner, seq, at = head[1], head[2], head[3] or '0'
if owner == ARGV[1] and seq == ARGV[2] and at == ARGV[4] then
	redis.call('HSET', KEYS[1], 'seq', seq) -- a write that replicas can be waited for
	return {2, head[4], at}
end
-- A step's seq is one more than that of the step before.
if owner ~= ARGV[1] or tonumber(seq) + 1 ~= tonumber(ARGV[2]) or at ~= ARGV[3] then
	return {0, head[4] or '0', at}
end

local arg = 7
-- take calls f with the next list of ARGV, some at a time: Lua's stack is
-- bounded. n times width are in the list.
local function take(width, f)
	local first = arg + 1
	local stop = first + tonumber(ARGV[arg]) * width
	while first < stop do
		local last = math.min(first + 1999, stop - 1) -- an even number: pairs stay together
		f(first, last)
		first = last + 1
	end
	arg = stop
end
local function without_score(first, last)
	local out = {}
	for i = first, last do
		out[#out + 1] = '0'
		out[#out + 1] = ARGV[i]
	end
	return out
end

take(1, function(first, last) redis.call('ZREM', KEYS[2], unpack(ARGV, first, last)) end)
take(1, function(first, last) redis.call('ZADD', KEYS[2], unpack(without_score(first, last))) end)
for k = 4, #KEYS, 2 do
	take(1, function(first, last)
		redis.call('HDEL', KEYS[k], unpack(ARGV, first, last))
		redis.call('ZREM', KEYS[k + 1], unpack(ARGV, first, last))
	end)
	take(2, function(first, last)
		if redis.call('HSET', KEYS[k], unpack(ARGV, first, last)) == 0 then
			return -- all of them are known
		end
		local users = {}
		for i = first, last, 2 do
			users[#users + 1] = '0'
			users[#users + 1] = ARGV[i]
		end
		redis.call('ZADD', KEYS[k + 1], unpack(users))
	end)
end
local id = ''
if ARGV[6] ~= '' then
	id = redis.call('XADD', KEYS[3], '*', 'i', ARGV[6])
end
if ARGV[5] ~= '' then
	redis.call('HSET', KEYS[1], 'meta', string.sub(ARGV[5], 2))
end
redis.call('HSET', KEYS[1], 'seq', ARGV[2], 'next', ARGV[4])
return {1, head[4], ARGV[4], id}
