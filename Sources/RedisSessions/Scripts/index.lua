-- Enters a record into the list of a user's sessions, before the sign-in itself, so that a revocation cannot miss it.
-- KEYS 1 list (sorted set: session ID by absolute deadline)   ARGV 1 session ID   2 lifetime ms
-- Drops entries past their deadline; the list lives as long as its longest entry. Returns 1. Repeat-safe.
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
redis.call('ZADD', KEYS[1], now + tonumber(ARGV[2]), ARGV[1])
redis.call('ZREMRANGEBYSCORE', KEYS[1], '-inf', now)
redis.call('PEXPIREAT', KEYS[1], redis.call('ZRANGE', KEYS[1], -1, -1, 'WITHSCORES')[2])
return 1
