-- Returns the end of the log and whether it contains an entry, without the contents of entries.
-- KEYS 1 log
-- ARGV 1 ID of an entry, '' for none
-- Returns {last ID or '', time of the server in microseconds as text, 1 if the entry is there}. Reads only.
local last = redis.call('XREVRANGE', KEYS[1], '+', '-', 'COUNT', 1)[1]
local time = redis.call('TIME')
local found = ARGV[1] ~= '' and #redis.call('XRANGE', KEYS[1], ARGV[1], ARGV[1])
return {last and last[1] or '', time[1] .. string.format('%06d', time[2]), found or 0}
