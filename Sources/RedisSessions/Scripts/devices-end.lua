-- Ends all sessions of a user that live in cookies: those that signed in up to now, listed or not.
-- KEYS 1 list, see device.lua: '@before' becomes the time up to which sign-ins are ended, '@except' the session that is not
-- ARGV 1 session ID to spare or ''   2 ms for which the end must be remembered at least   3 server's time in ms after which nothing is
--      done: {'late', the server's time in ms} then
-- Returns how many live listed sessions were ended. Repeat-safe.
local key, spared, memory = KEYS[1], ARGV[1], tonumber(ARGV[2])
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
if now > tonumber(ARGV[3]) then return {'late', now} end
memory = math.max(memory, redis.call('PTTL', key))
local entries = redis.call('HGETALL', key)
-- First, because a full Redis allows it, and with it what follows.
redis.call('PEXPIRE', key, memory)
-- Later than every sign-in before, even if the clock was set back since: see device.lua.
local before = math.max(now, (tonumber(redis.call('HGET', key, '@before')) or 0) + 1)
local count = 0
for i = 1, #entries, 2 do
    local id = entries[i]
    local created, used, deadline, idle, authenticated = string.match(entries[i + 1], '^(%d+):(%d+):(%d+):(%d+):(%d+)$')
    if created and id == spared then
        -- What an earlier call has ended is not spared.
        if idle == '0' then spared = '' end
    elseif created then
        before = math.max(before, tonumber(used))
        if now < math.min(used + idle, tonumber(deadline)) then count = count + 1 end
        redis.call('HSET', key, id, table.concat({created, used, deadline, 0, authenticated}, ':'))
    end
end
redis.call('HSET', key, '@before', before, '@except', spared)
redis.call('PEXPIRE', key, memory)
return count
