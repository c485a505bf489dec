-- Applies everything that one request changed, if the record is alive and the secret valid: all of it or nothing.
-- KEYS 1 record
-- ARGV 1 hash of the presented secret   2 version that was read   3 '1' if it must still be there   4 '', 'renew' or 'signin'
--      5 hash of the new secret   6 principal encrypted for it, or ''   7 hash of the principal (signin)   8 grace ms
--      9 idle timeout ms (signin)   10 lifetime ms (signin)   11 bytes that the attributes may have   12 number of kept fields
--      then the kept fields (signin), then triples: 's' field value (set), 'r' field '' (remove), 'i' field amount (add)
-- Returns {'ok', new version, 1 if the secret was replaced, ms to the absolute deadline}
--      or {'conflict', HGETALL, PTTL} or {'gone', reason} or {'invalid'} (an addition to what is not an integer, or an overflow).
-- Not repeat-safe: an addition would count twice.
local presented_hash, read_version, needs_version, rotation, new_hash, new_principal, new_user, grace, idle_timeout, lifetime,
    maximum_bytes, kept_count = unpack(ARGV, 1, 12)
if absence then return {'gone', absence} end
if not is_valid then return {'gone', 'superseded'} end

local first = 13 + tonumber(kept_count)
local conflict = false
if read_version ~= version then
    conflict = needs_version == '1'
    -- The caller checked the size against an older state. In doubt it shall look again: this sum counts replaced values twice.
    local size = 0
    for i = first, #ARGV, 3 do
        if ARGV[i] ~= 'r' then size = size + #ARGV[i + 1] + #ARGV[i + 2] end
    end
    if size > 0 and not conflict then
        for _, text in ipairs(redis.call('HGETALL', key)) do size = size + #text end
        conflict = size > tonumber(maximum_bytes)
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
            redis.call('HSET', key, '@used', used_text)
            for earlier, old in pairs(before) do
                if old then redis.call('HSET', key, earlier, old) else redis.call('HDEL', key, earlier) end
            end
            return {'invalid'}
        end
        before[field] = value
    end
end
if rotation == 'signin' then
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
if is_current and accepts_old then redis.call('HSET', key, '@old-until', now) end
local rotated = 0
if rotation == 'signin' or (rotation == 'renew' and is_current) then
    rotated = 1
    local principal = redis.call('HGET', key, '@principal')
    redis.call('HSET', key, '@digest', new_hash, '@rotated', now, '@old-digest', hash, '@old-replay', now + tonumber(grace))
    if rotation == 'signin' then
        idle, deadline = tonumber(idle_timeout), now + tonumber(lifetime)
        redis.call('HSET', key, '@old-until', now, '@principal', new_principal, '@user', new_user, '@idle', idle, '@deadline', deadline)
        redis.call('HDEL', key, '@old-principal')
    else
        redis.call('HSET', key, '@old-until', now + tonumber(grace))
        if principal then redis.call('HSET', key, '@old-principal', principal, '@principal', new_principal) end
    end
end
version = redis.call('HINCRBY', key, '@version', 1)
redis.call('PEXPIRE', key, math.min(idle, deadline - now))
return {'ok', version, rotated, deadline - now}
