-- Creates a session record under an ID that the caller has just drawn.
-- KEYS 1 record
-- ARGV 1 hash of the secret   2 idle timeout ms   3 lifetime ms   4 encrypted principal or ''   5 hash of the principal or ''
--      6… field, value, field, value, …
-- Returns {'ok', 1, 1, ms to the absolute deadline}, or {'gone', 'revoked'} when the ID is taken: a revocation was faster.
-- Repeating it after an unknown outcome answers 'gone'.
if redis.call('EXISTS', KEYS[1]) == 1 then return {'gone', 'revoked'} end
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
local idle, lifetime = tonumber(ARGV[2]), tonumber(ARGV[3])
redis.call('HSET', KEYS[1], '@format', '1', '@version', '1', '@digest', ARGV[1], '@created', now, '@used', now, '@rotated', now,
    '@deadline', now + lifetime, '@idle', idle)
if ARGV[4] ~= '' then redis.call('HSET', KEYS[1], '@principal', ARGV[4], '@user', ARGV[5]) end
for i = 6, #ARGV, 2 do redis.call('HSET', KEYS[1], ARGV[i], ARGV[i + 1]) end
redis.call('PEXPIRE', KEYS[1], math.min(idle, lifetime))
return {'ok', 1, 1, lifetime}
