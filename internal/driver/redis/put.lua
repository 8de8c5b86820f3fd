-- Puts a message, once. KEYS: message, the user's messages, deadlines, seq, channel.
-- ARGV: call, id, expires, the encoded message. Answers whether this call put it.
local by = redis.call('HGET', KEYS[1], 'put')
if by then
	redis.call('HSET', KEYS[1], 'put', by) -- a write that replicas can be waited for
	return by == ARGV[1] and 1 or 0
end
-- The clock's µs, so that numbers go on behind those given before data were lost.
local now = redis.call('TIME')
local seq = math.max(now[1] * 1000000 + now[2], (redis.call('GET', KEYS[4]) or 0) + 1)
seq = string.format('%.0f', seq)
redis.call('SET', KEYS[4], seq)
redis.call('HSET', KEYS[1], 'put', ARGV[1], 'seq', seq, 'state', '0', 'body', ARGV[4])
redis.call('ZADD', KEYS[2], seq, ARGV[2])
redis.call('ZADD', KEYS[3], ARGV[3], ARGV[2])
redis.call('SPUBLISH', KEYS[5], '')
return 1
