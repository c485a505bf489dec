-- Prepended to commit.lua, touch.lua and end.lua: reads the record and what the presented secret is to it.
-- KEYS 1 record   ARGV 1 hash of the presented secret
local key, presented = KEYS[1], ARGV[1]
local format, gone, version, hash, old_hash, old_until, deadline, idle, used_text, user = unpack(redis.call('HMGET', key, '@format',
    '@gone', '@version', '@digest', '@old-digest', '@old-until', '@deadline', '@idle', '@used', '@user'))
deadline, idle = tonumber(deadline), tonumber(idle)
local used, ttl, time = tonumber(used_text), redis.call('PTTL', key), redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
-- Why there is no session in the record; nil when there is one.
local absence
if gone then absence = gone
elseif ttl == -2 then absence = 'unknown'
elseif format ~= '1' or not (version and hash and deadline and idle and used) or ttl < 0 then absence = 'unreadable'
elseif now >= math.min(deadline, used + idle) then absence = 'unknown' end
local is_current = presented == hash
local accepts_old = old_hash and now < (tonumber(old_until) or 0)
local is_valid = is_current or (accepts_old and presented == old_hash)
