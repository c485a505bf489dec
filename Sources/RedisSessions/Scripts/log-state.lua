-- Where the log begins and ends, and whether an entry is in it, without what it holds.
-- KEYS 1 log
-- ARGV 1 id of an entry, or ''
-- Returns {first id or '', last id or '', time of the server in microseconds as text, 1 if the entry is there}. Reads only.
local first = redis.call('XRANGE', KEYS[1], '-', '+', 'COUNT', 1)[1]
local last = redis.call('XREVRANGE', KEYS[1], '+', '-', 'COUNT', 1)[1]
local time = redis.call('TIME')
local found = ARGV[1] ~= '' and #redis.call('XRANGE', KEYS[1], ARGV[1], ARGV[1])
return {first and first[1] or '', last and last[1] or '', time[1] .. string.format('%06d', time[2]), found or 0}
