-- Appends an entry to the log, in time or not at all, and records the server's time beside it.
-- KEYS 1 log
-- ARGV 1 entry   2 milliseconds that its ID may not exceed   3, 4 milliseconds and sequence of an entry that the caller has read
--      5 ID before which the log may be trimmed   6 '1' for an entry that a full Redis must take, too
-- The milliseconds of IDs follow the clock, and go on at its speed from where they were after it was set back.
-- Returns {ID or '' if the entry is too late, time of the server in microseconds as text}; nil for a log that is missing, or that
-- ends before the entry that the caller has read. Not repeat-safe: the instances ignore the second of two equal entries.
local key, last = KEYS[1], redis.call('XREVRANGE', KEYS[1], '+', '-', 'COUNT', 1)[1]
if not last then return false end
local ms, sequence = string.match(last[1], '^(%d+)-(%d+)$')
ms, sequence = tonumber(ms), tonumber(sequence)
local read_ms, read_sequence = tonumber(ARGV[3]), tonumber(ARGV[4])
if ms < read_ms or (ms == read_ms and sequence < read_sequence) then return false end
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
local next_ms, next_sequence = now, 0
if now <= ms then next_ms = ms + math.max(0, now - (tonumber(last[2][4]) or now)) end
if next_ms == ms then next_sequence = sequence + 1 end
-- The version in a token has room for so many.
if next_sequence >= 262144 then next_ms, next_sequence = next_ms + 1, 0 end
local microseconds = time[1] .. string.format('%06d', time[2])
if next_ms > tonumber(ARGV[2]) then return {'', microseconds} end
local id = string.format('%.0f-%.0f', next_ms, next_sequence)
-- A full Redis allows trimming, and then what follows in the same script.
if ARGV[6] == '1' then redis.call('XTRIM', key, 'MINID', '~', ARGV[5]) end
redis.call('XADD', key, 'MINID', '~', ARGV[5], id, 'e', ARGV[1], 't', string.format('%.0f', now))
return {id, microseconds}
