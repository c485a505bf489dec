-- Creates a session record under an ID that the caller has just drawn.
-- KEYS 1 record
-- ARGV 1 server's time in ms after which nothing is done   2 hash of the secret   3 family key   4 idle timeout ms   5 lifetime ms
--      6 encrypted principal or ''   7 hash of the principal or ''   8 persistence of the cookie or ''   9… field, value, field, value, …
-- Returns {'ok', 1, 1, ms to the absolute deadline}, {'late', time}, or {'gone', 'revoked'} when the ID is taken: a revocation was
-- faster. Repeating it after an unknown outcome answers 'gone'.
local key, time = KEYS[1], redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
if now > tonumber(ARGV[1]) then return {'late', now} end
if redis.call('EXISTS', key) == 1 then return {'gone', 'revoked'} end
local idle, lifetime = tonumber(ARGV[4]), tonumber(ARGV[5])
redis.call('HSET', key, '@format', '1', '@version', '1', '@digest', ARGV[2], '@family', ARGV[3], '@created', now, '@used', now,
    '@rotated', now, '@deadline', now + lifetime, '@idle', idle)
if ARGV[6] ~= '' then redis.call('HSET', key, '@principal', ARGV[6], '@user', ARGV[7], '@authenticated', now) end
if ARGV[8] ~= '' then redis.call('HSET', key, '@persistence', ARGV[8]) end
for i = 9, #ARGV, 2 do redis.call('HSET', key, ARGV[i], ARGV[i + 1]) end
local expires = redis.pcall('PEXPIRE', key, math.min(idle, lifetime))
if type(expires) == 'table' and expires.err then
    -- No key may be left without a time to live.
    redis.call('DEL', key)
    return expires
end
return {'ok', 1, 1, lifetime}
