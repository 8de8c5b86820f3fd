-- Removes messages. KEYS: deadlines, then of each: message, the user's messages. ARGV: ids.
-- Answers how many there were.
local removed = 0
for i, id in ipairs(ARGV) do
	redis.call('ZREM', KEYS[1], id)
	redis.call('ZREM', KEYS[2 * i + 1], id)
	removed = removed + redis.call('DEL', KEYS[2 * i])
end
return removed
