-- Applies everything that one request changed, if the record is alive and the credential holds: all of it or nothing.
-- KEYS 1 record
-- ARGV 1 digest of the presented secret   2 version that must still be there, or ''   3 '', 'renew' or 'signin'
--      4 digest of the new secret   5 principal sealed for it, or ''   6 digest of the principal (signin)
--      7 grace ms   8 idle timeout ms (signin)   9 lifetime ms (signin)   10 number of kept fields (signin), then these
--      then triples: 's' field value (set), 'r' field '' (remove), 'i' field amount (add)
-- Returns {'ok', new version, 1 if the secret was replaced, ms to the absolute deadline}
--      or {'conflict', HGETALL, PTTL} or {'gone', reason} or {'invalid'} (an addition to no integer, or past its range).
-- Not repeat-safe: an addition would count twice.
local m = redis.call('HMGET', KEYS[1], '@format', '@gone', '@version', '@digest', '@old-digest', '@old-until', '@deadline', '@idle')
if m[2] then return {'gone', 'ended'} end
if not m[1] then return {'gone', redis.call('EXISTS', KEYS[1]) == 1 and 'unreadable' or 'unknown'} end
local deadline, idle = tonumber(m[7]), tonumber(m[8])
local ttl = redis.call('PTTL', KEYS[1])
if m[1] ~= '1' or not (m[3] and m[4] and deadline and idle) or ttl < 0 then return {'gone', 'unreadable'} end
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
if now >= deadline then return {'gone', 'unknown'} end
local current = ARGV[1] == m[4]
local predecessor = m[5] and now < (tonumber(m[6]) or 0)
if not current and not (predecessor and ARGV[1] == m[5]) then return {'gone', 'superseded'} end
if ARGV[2] ~= '' and ARGV[2] ~= m[3] then return {'conflict', redis.call('HGETALL', KEYS[1]), ttl} end

local kept = tonumber(ARGV[10])
local first = 11 + kept
-- Additions first: they alone can fail, and what was added before the failure is taken back.
for i = first, #ARGV, 3 do
    if ARGV[i] == 'i' then
        local added = redis.pcall('HINCRBY', KEYS[1], ARGV[i + 1], ARGV[i + 2])
        if type(added) == 'table' and added.err then
            for j = first, i - 3, 3 do
                if ARGV[j] == 'i' then
                    local back = ARGV[j + 2]
                    back = string.sub(back, 1, 1) == '-' and string.sub(back, 2) or '-' .. back
                    redis.call('HINCRBY', KEYS[1], ARGV[j + 1], back)
                end
            end
            if string.find(added.err, 'integer') or string.find(added.err, 'overflow') then return {'invalid'} end
            return added
        end
    end
end
if ARGV[3] == 'signin' then
    local keep = {}
    for i = 11, 10 + kept do keep[ARGV[i]] = true end
    for _, field in ipairs(redis.call('HKEYS', KEYS[1])) do
        if string.sub(field, 1, 1) ~= '@' and not keep[field] then redis.call('HDEL', KEYS[1], field) end
    end
end
for i = first, #ARGV, 3 do
    if ARGV[i] == 's' then redis.call('HSET', KEYS[1], ARGV[i + 1], ARGV[i + 2]) end
    if ARGV[i] == 'r' then redis.call('HDEL', KEYS[1], ARGV[i + 1]) end
end
if current and predecessor then redis.call('HSET', KEYS[1], '@old-until', now) end
local rotated = 0
if ARGV[3] == 'signin' or (ARGV[3] == 'renew' and current) then
    rotated = 1
    local old = redis.call('HGET', KEYS[1], '@principal')
    redis.call('HSET', KEYS[1], '@digest', ARGV[4], '@rotated', now, '@old-digest', m[4], '@old-replay', now + tonumber(ARGV[7]))
    if ARGV[3] == 'signin' then
        idle, deadline = tonumber(ARGV[8]), now + tonumber(ARGV[9])
        redis.call('HSET', KEYS[1], '@old-until', now, '@principal', ARGV[5], '@user', ARGV[6], '@idle', idle, '@deadline', deadline)
        redis.call('HDEL', KEYS[1], '@old-principal')
    else
        redis.call('HSET', KEYS[1], '@old-until', now + tonumber(ARGV[7]))
        if old then redis.call('HSET', KEYS[1], '@old-principal', old, '@principal', ARGV[5]) end
    end
end
redis.call('HSET', KEYS[1], '@used', now)
local version = redis.call('HINCRBY', KEYS[1], '@version', 1)
redis.call('PEXPIRE', KEYS[1], math.min(idle, deadline - now))
return {'ok', version, rotated, deadline - now}
