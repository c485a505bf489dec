-- Enters a session that lives in a cookie into its user's list, or moves its last use.
-- KEYS 1 list (hash: session ID to 'created:last use:deadline:idle timeout', in ms; '@before', '@except': see devices-end.lua)
-- ARGV 1 session ID   2 created ms   3 lifetime ms   4 idle timeout ms   5 'new', or 'used' for an entry that must be there
-- Drops entries past their deadline; the list lives as long as its longest entry. Returns the server's time in ms. Repeat-safe.
local key, id, created, lifetime, idle, mode = KEYS[1], unpack(ARGV, 1, 5)
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
if mode == 'used' and redis.call('HEXISTS', key, id) == 0 then return now end
local deadline = now + tonumber(lifetime)
redis.call('HSET', key, id, table.concat({created, now, deadline, idle}, ':'))
local longest = math.max(deadline, now + redis.call('PTTL', key))
local entries = redis.call('HGETALL', key)
for i = 1, #entries, 2 do
    local ends = tonumber(string.match(entries[i + 1], '^%d+:%d+:(%d+):%d+$'))
    if ends and ends <= now then redis.call('HDEL', key, entries[i]) end
end
redis.call('PEXPIREAT', key, longest)
return now
