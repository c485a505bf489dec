-- Restarts the idle timeout of a live record; presenting the current secret retires the previous one.
-- KEYS 1 record   ARGV 1 digest of the presented secret
-- Returns 1, or 0 when there was nothing to touch. Creates nothing. Repeat-safe.
local m = redis.call('HMGET', KEYS[1], '@digest', '@old-digest', '@old-until', '@deadline', '@idle', '@gone')
if m[6] or not (m[1] and m[4] and m[5]) or redis.call('PTTL', KEYS[1]) < 0 then return 0 end
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
local current = ARGV[1] == m[1]
local predecessor = m[2] and now < (tonumber(m[3]) or 0)
if not current and not (predecessor and ARGV[1] == m[2]) then return 0 end
local idle, left = tonumber(m[5]) or 0, (tonumber(m[4]) or 0) - now
if idle <= 0 or left <= 0 then return 0 end
redis.call('HSET', KEYS[1], '@used', now)
if current and predecessor then redis.call('HSET', KEYS[1], '@old-until', now) end
redis.call('PEXPIRE', KEYS[1], math.min(idle, left))
return 1
