-- Enters a record into the list of a user's sessions: before a sign-in, so that a revocation cannot miss it, or when the session is
-- used, because the list may have been evicted.
-- KEYS 1 list (sorted set: session ID by absolute deadline; '@new:' and an ID by the time until which its sign-in may arrive;
--      '@revoked': see revoked.lua)
-- ARGV 1 session ID   2 lifetime ms of a sign-in, or deadline ms   3 how many ms ago the user's rights were checked, or ''
--      4 ms for which a sign-in may be on its way, or ''
-- Drops entries past their deadline; the list lives as long as its longest entry.
-- Returns the server's time in ms, or 0 if all sessions of the user have been ended since the check: then nothing is done. Repeat-safe.
local key, id, time, is_sign_in = KEYS[1], ARGV[1], redis.call('TIME'), ARGV[4] ~= ''
local now = time[1] * 1000 + math.floor(time[2] / 1000)
local revoked = ARGV[3] ~= '' and tonumber(redis.call('ZSCORE', key, '@revoked') or nil)
-- A time ahead of the clock is from before the clock was set back.
if revoked and revoked - 300000 <= now and revoked - 300000 > now - tonumber(ARGV[3]) then return 0 end
local deadline = tonumber(ARGV[2]) + (is_sign_in and now or 0)
local longest = math.max(deadline, tonumber(redis.call('ZRANGE', key, -1, -1, 'WITHSCORES')[2]) or 0)
redis.call('ZADD', key, string.format('%.0f', deadline), id)
local expires = redis.pcall('PEXPIREAT', key, string.format('%.0f', longest))
if type(expires) == 'table' and expires.err then
    -- No key may be left without a time to live.
    redis.call('ZREM', key, id)
    return expires
end
if is_sign_in then redis.call('ZADD', key, string.format('%.0f', now + ARGV[4]), '@new:' .. id) end
redis.call('ZREMRANGEBYSCORE', key, '-inf', now)
return now
