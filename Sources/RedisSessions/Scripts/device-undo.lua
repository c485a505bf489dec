-- Takes back what device.lua entered for a sign-in that was not carried out.
-- KEYS 1 list   ARGV 1 session ID   2 time that device.lua returned   3 entry that it returned
-- Does nothing if another sign-in has entered the session since. Repeat-safe.
local key, id, time, before = KEYS[1], unpack(ARGV, 1, 3)
if string.match(redis.call('HGET', key, id) or '', ':(%d+)$') ~= time then return 0 end
if before ~= '' then redis.call('HSET', key, id, before) else redis.call('HDEL', key, id) end
return 1
