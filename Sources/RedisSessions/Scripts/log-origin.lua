-- Begins a log, unless an entry was appended since its bounds were asked.
-- KEYS 1 log
-- ARGV 1 ID of the last entry that was seen, '' for none   2 milliseconds that the new ID must exceed   3 entry
--      4 time to live ms
-- Returns 1, or 0 when the last entry is another one by now. Repeating it returns 0.
local last = redis.call('XREVRANGE', KEYS[1], '+', '-', 'COUNT', 1)[1]
if (last and last[1] or '') ~= ARGV[1] then return 0 end
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
local id = string.format('%.0f-0', math.max(now, tonumber(ARGV[2]) + 1))
-- First, because a full Redis allows it, and with it what follows.
redis.call('PEXPIRE', KEYS[1], ARGV[4])
redis.call('XADD', KEYS[1], id, 'e', ARGV[3], 't', string.format('%.0f', now))
redis.call('PEXPIRE', KEYS[1], ARGV[4])
return 1
