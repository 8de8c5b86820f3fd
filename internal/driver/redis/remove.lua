-- Removes a message. KEYS: message, the user's messages, deadlines. ARGV: id.
-- Answers how many there were.
redis.call('ZREM', KEYS[2], ARGV[1])
redis.call('ZREM', KEYS[3], ARGV[1])
return redis.call('DEL', KEYS[1])
