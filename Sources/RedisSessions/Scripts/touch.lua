-- Restarts the idle timeout of a live record; presenting the current secret retires the previous one.
-- KEYS 1 record   ARGV 1 digest of the presented secret
-- Returns 1, or 0 when there was nothing to touch. Creates nothing. Repeat-safe.
local m = redis.call('HMGET', KEYS[1], '@digest', '@old-digest', '@old-until', '@deadline', '@idle', '@used')
local deadline, idle, used = tonumber(m[4]), tonumber(m[5]), tonumber(m[6])
if not (m[1] and deadline and idle and used) or redis.call('PTTL', KEYS[1]) < 0 then return 0 end
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
if now >= math.min(deadline, used + idle) then return 0 end
local current = ARGV[1] == m[1]
local predecessor = m[2] and now < (tonumber(m[3]) or 0)
if not current and not (predecessor and ARGV[1] == m[2]) then return 0 end
-- First, because a full Redis allows it, and with it what follows.
redis.call('PEXPIRE', KEYS[1], math.min(idle, deadline - now))
redis.call('HSET', KEYS[1], '@used', now)
if current and predecessor then redis.call('HSET', KEYS[1], '@old-until', now) end
return 1
