-- Ends all sessions of a user that live in cookies: those that signed in up to now, listed or not.
-- KEYS 1 list, see device.lua   ARGV 1 session ID to spare or ''   2 ms for which the end must be remembered
-- Returns how many listed sessions were ended. Repeat-safe.
local key, spared, memory = KEYS[1], ARGV[1], tonumber(ARGV[2])
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
local count, entries = 0, redis.call('HGETALL', key)
redis.call('HSET', key, '@before', now, '@except', spared)
for i = 1, #entries, 2 do
    local ends = tonumber(string.match(entries[i + 1], '^%d+:%d+:(%d+):%d+$'))
    if ends and entries[i] ~= spared then
        redis.call('HDEL', key, entries[i])
        if ends > now then count = count + 1 end
    end
end
redis.call('PEXPIRE', key, memory)
return count
