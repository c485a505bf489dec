-- Where the log begins and ends, without what it holds.
-- KEYS 1 log
-- Returns {first id or '', last id or '', time of the server in microseconds as text}. Reads only.
local first = redis.call('XRANGE', KEYS[1], '-', '+', 'COUNT', 1)[1]
local last = redis.call('XREVRANGE', KEYS[1], '+', '-', 'COUNT', 1)[1]
local time = redis.call('TIME')
return {first and first[1] or '', last and last[1] or '', time[1] .. string.format('%06d', time[2])}
