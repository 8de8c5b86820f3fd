-- Lists users in order, with their values. KEYS: values, users. ARGV: from, to, how many.
local users = redis.call('ZRANGEBYLEX', KEYS[2], ARGV[1], ARGV[2], 'LIMIT', 0, ARGV[3])
if #users == 0 then
	return {{}, {}}
end
return {users, redis.call('HMGET', KEYS[1], unpack(users))}
