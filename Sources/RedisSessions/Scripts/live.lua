-- Prepended to commit.lua, touch.lua and end.lua: reads the record and what the presented secret is to it.
-- KEYS 1 record   ARGV 1 hash of the presented secret, or of the principal for a caller without one, who may write and end   2 server's time in ms after which nothing is done, or ''
-- Returns {'late', the server's time in ms} then: the caller was told that the write had failed.
local key, presented, not_after = KEYS[1], ARGV[1], tonumber(ARGV[2])
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
if not_after and now > not_after then return {'late', now} end
local format, version, hash, deadline, idle, used_text =
    unpack(redis.call('HMGET', key, '@format', '@version', '@digest', '@deadline', '@idle', '@used'))
deadline, idle = tonumber(deadline), tonumber(idle)
local used, ttl = tonumber(used_text), redis.call('PTTL', key)
-- What a request with the current secret does not need, unless it replaces that.
local gone, old_hash, old_until, user, principal, generation
local function read_rest()
    gone, old_hash, old_until, user, principal, generation = unpack(redis.call('HMGET', key, '@gone', '@old-digest', '@old-until',
        '@user', '@principal', '@generation'))
end
local is_current = presented == hash
if not is_current then read_rest() end
-- Why there is no session in the record; nil when there is one.
local absence
if gone then absence = gone
elseif ttl == -2 then absence = 'unknown'
elseif format ~= '1' or not (version and string.match(version, '^%d+$') and #version < 16 and hash and deadline and idle and used)
    or ttl < 0 then absence = 'unreadable'
elseif now >= math.min(deadline, used + idle) then absence = 'unknown' end
-- A clock that was set back stands still for the session until it has caught up.
now = math.max(now, used or 0)
local is_user = presented == user
local is_valid = is_current or is_user or (presented == old_hash and now < (tonumber(old_until) or 0))
