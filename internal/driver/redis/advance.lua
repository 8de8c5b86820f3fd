-- Moves a message's state on. KEYS: message, the user's messages, channel.
-- ARGV: call, id, state, whether it is pending no more. Answers the state, and
-- whether this call changed it; nothing if there is no message.
local was = redis.call('HMGET', KEYS[1], 'state', 'by')
if not was[1] then
	return false
end
if tonumber(was[1]) >= tonumber(ARGV[3]) then
	return {tonumber(was[1]), was[2] == ARGV[1] and 1 or 0}
end
redis.call('HSET', KEYS[1], 'state', ARGV[3], 'by', ARGV[1])
if ARGV[4] == '1' then
	redis.call('ZREM', KEYS[2], ARGV[2])
end
redis.call('SPUBLISH', KEYS[3], '')
return {tonumber(ARGV[3]), 1}
