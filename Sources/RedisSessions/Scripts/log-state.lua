-- Returns the bounds of the log and whether it contains an entry, without the contents of entries.
-- KEYS 1 log
-- ARGV 1 ID of an entry, '' for none
-- Returns {last ID or '', time of the server in microseconds as text, first ID or '' and the first 17 bytes of the entry or '' if
--          an entry was named}; an entry is there if it has such bytes. Reads only.
local last = redis.call('XREVRANGE', KEYS[1], '+', '-', 'COUNT', 1)[1]
local time = redis.call('TIME')
local tag, first = '', ''
if ARGV[1] ~= '' then
    local entry = redis.call('XRANGE', KEYS[1], ARGV[1], ARGV[1])[1]
    if entry then
        tag = string.sub(entry[2][2], 1, 17)
        -- Told from a missing one, even if it is empty.
        if tag == '' then tag = '-' end
    else
        local oldest = redis.call('XRANGE', KEYS[1], '-', '+', 'COUNT', 1)[1]
        first = oldest and oldest[1] or ''
    end
end
return {last and last[1] or '', time[1] .. string.format('%06d', time[2]), first, tag}
