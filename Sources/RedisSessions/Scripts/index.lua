-- Enters a record into the list of a user's sessions, before the sign-in itself, so that a revocation cannot miss it.
-- KEYS 1 list (sorted set: session ID by absolute deadline; '@revoked': see revoked.lua)   ARGV 1 session ID   2 lifetime ms
--      3 how many ms ago the user's rights were checked, or ''
-- Drops entries past their deadline; the list lives as long as its longest entry.
-- Returns 1, or 0 if all sessions of the user have been ended since the check: then nothing is done. Repeat-safe.
local key, time = KEYS[1], redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
local revoked = ARGV[3] ~= '' and tonumber(redis.call('ZSCORE', key, '@revoked') or nil)
-- A time ahead of the clock is from before the clock was set back.
if revoked and revoked - 300000 <= now and revoked - 300000 > now - tonumber(ARGV[3]) then return 0 end
local deadline = now + tonumber(ARGV[2])
local longest = math.max(deadline, tonumber(redis.call('ZRANGE', key, -1, -1, 'WITHSCORES')[2]) or 0)
redis.call('ZADD', key, string.format('%.0f', deadline), ARGV[1])
local expires = redis.pcall('PEXPIREAT', key, string.format('%.0f', longest))
if type(expires) == 'table' and expires.err then
    -- Nothing may stay for ever.
    redis.call('ZREM', key, ARGV[1])
    return expires
end
redis.call('ZREMRANGEBYSCORE', key, '-inf', now)
return 1
