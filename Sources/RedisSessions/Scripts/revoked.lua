-- Notes in a user's list that all sessions are being ended, so that sign-ins which were checked before are refused: see index.lua.
-- KEYS 1 list: '@revoked' gets the time 300,000 ms from now, after which it is dropped like an entry
-- Returns 1. Repeat-safe.
local key, time = KEYS[1], redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
local longest = math.max(now + 300000, tonumber(redis.call('ZRANGE', key, -1, -1, 'WITHSCORES')[2]) or 0)
-- First, because a full Redis allows it, and with it what follows.
redis.call('ZREMRANGEBYSCORE', key, '-inf', now)
redis.call('ZADD', key, string.format('%.0f', now + 300000), '@revoked')
local expires = redis.pcall('PEXPIREAT', key, string.format('%.0f', longest))
if type(expires) == 'table' and expires.err then
    -- No key may be left without a time to live.
    redis.call('ZREM', key, '@revoked')
    return expires
end
return 1
