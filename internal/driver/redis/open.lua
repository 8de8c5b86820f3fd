-- Takes a partition over. Asked again by the same owner, it counts no further.
-- KEYS: head. ARGV: owner.
if redis.call('HGET', KEYS[1], 'owner') ~= ARGV[1] then
	redis.call('HINCRBY', KEYS[1], 'epoch', 1)
	redis.call('HSET', KEYS[1], 'seq', '0')
end
redis.call('HSET', KEYS[1], 'owner', ARGV[1]) -- always a write: replicas can be waited for
return redis.call('HMGET', KEYS[1], 'epoch', 'next', 'meta')
