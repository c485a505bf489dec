-- Applies everything that one request changed, if the record is alive and the secret valid: all of it or nothing.
-- KEYS 1 record
-- ARGV 1 hash of the presented secret   2 not after: see live.lua   3 version that was read   4 '1' if it must still be there
--      5 '', 'renew', 'elevate' or 'signin'   6 hash of the new secret   7 principal encrypted for it, or ''   8 hash of the principal (signin)
--      9 grace ms   10 idle timeout ms from now on, or ''   11 lifetime ms (signin)   12 bytes that the attributes may have
--      13 persistence of the cookie or '' (signin)   14 number of kept fields
--      then the kept fields (signin), then triples: 's' field value (set), 'r' field '' (remove), 'i' field amount (add)
-- Returns {'ok', new version, 1 if the secret was replaced, ms to the absolute deadline}, {'conflict', HGETALL, PTTL},
--      {'gone', reason}, {'late', time} or {'invalid'} (an addition to what is not an integer, or an overflow).
-- Not repeat-safe: an addition would count twice.
local presented_hash, not_after, read_version, needs_version, rotation, new_hash, new_principal, new_user, grace, idle_timeout,
    lifetime, maximum_bytes, persistence, kept_count = unpack(ARGV, 1, 14)
if absence then return {'gone', absence} end
if not is_valid or (is_user and rotation ~= '') then return {'gone', 'superseded'} end
-- A write without the secret is not a use.
local last_use = is_user and used or now
if rotation ~= '' then read_rest() end

local first = 15 + tonumber(kept_count)
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

-- All reads come before the first write, and each kind of write is used once before the record changes, so that a missing right
-- or a full Redis stops the script before it has changed anything that is not put back.
local sets, dropped, added, before = {}, {}, {}, {}
for i = first, #ARGV, 3 do
    if ARGV[i] == 's' then
        sets[#sets + 1], sets[#sets + 2] = ARGV[i + 1], ARGV[i + 2]
    elseif ARGV[i] == 'r' then
        dropped[#dropped + 1] = ARGV[i + 1]
    else
        added[#added + 1] = i
    end
end
if rotation == 'signin' then
    local keep = {}
    for i = 15, first - 1 do keep[ARGV[i]] = true end
    for _, field in ipairs(redis.call('HKEYS', key)) do
        if string.sub(field, 1, 1) ~= '@' and not keep[field] then dropped[#dropped + 1] = field end
    end
end
if #added > 1 then
    for _, i in ipairs(added) do before[ARGV[i + 1]] = redis.call('HGET', key, ARGV[i + 1]) end
end
local old_version, old_idle = version, idle
version = string.format('%.0f', version + 1)
idle = tonumber(idle_timeout) or idle
local changed = {'@version', version}
-- A use within a thousandth of the timeout after the last one moves nothing.
local is_due = rotation ~= '' or idle ~= old_idle or last_use - used >= idle / 1000
if is_due then changed = {'@version', version, '@used', last_use, '@idle', idle} end
-- The first write is one that a full Redis refuses: it does not ask again once a script has written.
redis.call('HSET', key, unpack(changed))
-- What was changed before a failure is put back.
local function failed(answer)
    if type(answer) ~= 'table' or not answer.err then return false end
    redis.call('HSET', key, '@version', old_version, '@used', used_text, '@idle', old_idle)
    return true
end
if is_due then
    local answer = redis.pcall('PEXPIRE', key, math.min(last_use + idle, deadline) - now)
    if failed(answer) then return answer end
end
if #dropped > 0 or #added > 1 or rotation ~= '' then
    local answer = redis.pcall('HDEL', key, '')
    if failed(answer) then return answer end
end
for _, i in ipairs(added) do
    local sum = redis.pcall('HINCRBY', key, ARGV[i + 1], ARGV[i + 2])
    if failed(sum) then
        for field, old in pairs(before) do
            if old then redis.call('HSET', key, field, old) else redis.call('HDEL', key, field) end
        end
        if string.find(sum.err, 'not an integer') or string.find(sum.err, 'overflow') then return {'invalid'} end
        return sum
    end
end
for _, field in ipairs(dropped) do redis.call('HDEL', key, field) end
-- Lua passes some thousand arguments at a time.
for i = 1, #sets, 1000 do redis.call('HSET', key, unpack(sets, i, math.min(i + 999, #sets))) end
local rotated = 0
if rotation == 'signin' or rotation == 'elevate' or (rotation == 'renew' and is_current) then
    rotated = 1
    generation = (tonumber(generation) or 0) + 1
    redis.call('HSET', key, '@digest', new_hash, '@rotated', now, '@generation', generation, '@old-digest', hash,
        '@old-replay', now + tonumber(grace))
    if rotation == 'signin' then
        deadline = now + tonumber(lifetime)
        redis.call('HSET', key, '@old-until', now, '@principal', new_principal, '@user', new_user,
            '@deadline', deadline, '@authenticated', now)
        redis.call('HDEL', key, '@old-principal', '@persistence')
        if persistence ~= '' then redis.call('HSET', key, '@persistence', persistence) end
        -- What was valid before the user signed in had no rights that could be stolen.
        if not principal then redis.call('HSET', key, '@trusted', generation) end
        redis.call('PEXPIRE', key, math.min(idle, deadline - now))
    elseif rotation == 'elevate' then
        redis.call('HSET', key, '@old-until', now)
        redis.call('HDEL', key, '@old-principal')
        if principal then redis.call('HSET', key, '@principal', new_principal) end
    else
        redis.call('HSET', key, '@old-until', now + tonumber(grace))
        if principal then redis.call('HSET', key, '@old-principal', principal, '@principal', new_principal) end
    end
end
return {'ok', tonumber(version), rotated, deadline - now}
