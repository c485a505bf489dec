-- Applies everything that one request changed, if the record is alive and the credential holds: all of it or nothing.
-- KEYS 1 record
-- ARGV 1 digest of the presented secret   2 version that was read   3 '1' if it must still be there
--      4 '', 'renew' or 'signin'   5 digest of the new secret   6 principal sealed for it, or ''   7 digest of the principal (signin)
--      8 grace ms   9 idle timeout ms (signin)   10 lifetime ms (signin)   11 bytes that the attributes may have
--      12 number of kept fields (signin), then these
--      then triples: 's' field value (set), 'r' field '' (remove), 'i' field amount (add)
-- Returns {'ok', new version, 1 if the secret was replaced, ms to the absolute deadline}
--      or {'conflict', HGETALL, PTTL} or {'gone', reason} or {'invalid'} (an addition to no integer, or past its range).
-- Not repeat-safe: an addition would count twice.
local key = KEYS[1]
local m = redis.call('HMGET', key, '@format', '@gone', '@version', '@digest', '@old-digest', '@old-until', '@deadline', '@idle', '@used')
if m[2] then return {'gone', m[2]} end
if not m[1] then return {'gone', redis.call('EXISTS', key) == 1 and 'unreadable' or 'unknown'} end
local deadline, idle, used, ttl = tonumber(m[7]), tonumber(m[8]), tonumber(m[9]), redis.call('PTTL', key)
if m[1] ~= '1' or not (m[3] and m[4] and deadline and idle and used) or ttl < 0 then return {'gone', 'unreadable'} end
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
if now >= math.min(deadline, used + idle) then return {'gone', 'unknown'} end
local current = ARGV[1] == m[4]
local predecessor = m[5] and now < (tonumber(m[6]) or 0)
if not current and not (predecessor and ARGV[1] == m[5]) then return {'gone', 'superseded'} end

local first = 13 + tonumber(ARGV[12])
local conflict = false
if ARGV[2] ~= m[3] then
    conflict = ARGV[3] == '1'
    -- The caller checked the size against an older state. In doubt it shall look again: this sum counts replaced values twice.
    local size = 0
    for i = first, #ARGV, 3 do
        if ARGV[i] ~= 'r' then size = size + #ARGV[i + 1] + #ARGV[i + 2] end
    end
    if size > 0 and not conflict then
        for _, text in ipairs(redis.call('HGETALL', key)) do size = size + #text end
        conflict = size > tonumber(ARGV[11])
    end
end
if conflict then return {'conflict', redis.call('HGETALL', key), ttl} end

-- The first write is one that a full Redis refuses: it does not ask again once a script has written.
redis.call('HSET', key, '@used', now)
-- Then the additions: they alone can fail, and what was added before the failure is put back.
local before = {}
for i = first, #ARGV, 3 do
    if ARGV[i] == 'i' then
        local field = ARGV[i + 1]
        local value = redis.call('HGET', key, field)
        local sum = redis.pcall('HINCRBY', key, field, ARGV[i + 2])
        if type(sum) == 'table' and sum.err then
            redis.call('HSET', key, '@used', m[9])
            for earlier, old in pairs(before) do
                if old then redis.call('HSET', key, earlier, old) else redis.call('HDEL', key, earlier) end
            end
            return {'invalid'}
        end
        before[field] = value
    end
end
if ARGV[4] == 'signin' then
    local keep = {}
    for i = 13, first - 1 do keep[ARGV[i]] = true end
    for _, field in ipairs(redis.call('HKEYS', key)) do
        if string.sub(field, 1, 1) ~= '@' and not keep[field] then redis.call('HDEL', key, field) end
    end
end
for i = first, #ARGV, 3 do
    if ARGV[i] == 's' then redis.call('HSET', key, ARGV[i + 1], ARGV[i + 2]) end
    if ARGV[i] == 'r' then redis.call('HDEL', key, ARGV[i + 1]) end
end
if current and predecessor then redis.call('HSET', key, '@old-until', now) end
local rotated = 0
if ARGV[4] == 'signin' or (ARGV[4] == 'renew' and current) then
    rotated = 1
    local sealed = redis.call('HGET', key, '@principal')
    redis.call('HSET', key, '@digest', ARGV[5], '@rotated', now, '@old-digest', m[4], '@old-replay', now + tonumber(ARGV[8]))
    if ARGV[4] == 'signin' then
        idle, deadline = tonumber(ARGV[9]), now + tonumber(ARGV[10])
        redis.call('HSET', key, '@old-until', now, '@principal', ARGV[6], '@user', ARGV[7], '@idle', idle, '@deadline', deadline)
        redis.call('HDEL', key, '@old-principal')
    else
        redis.call('HSET', key, '@old-until', now + tonumber(ARGV[8]))
        if sealed then redis.call('HSET', key, '@old-principal', sealed, '@principal', ARGV[6]) end
    end
end
local version = redis.call('HINCRBY', key, '@version', 1)
redis.call('PEXPIRE', key, math.min(idle, deadline - now))
return {'ok', version, rotated, deadline - now}
