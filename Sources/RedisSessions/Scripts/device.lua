-- Enters a session that lives in a cookie into its user's list, or moves its last use.
-- KEYS 1 list (hash: session ID to 'created:last use:deadline:idle timeout:sign-in', in ms, timeout 0 for an ended one; '@before',
--        '@except': see devices-end.lua)
-- ARGV 1 session ID   2 created ms   3 lifetime ms   4 idle timeout ms   5 'new', or 'used' for an entry that must be there
--      6 how many ms ago the user's rights were checked, or ''   7 server's time in ms after which nothing is done
--      8 how many sessions the user may have, or '' (all three: new)
-- Drops entries past their deadline; the list lives as long as its longest entry. Repeat-safe.
-- Returns {time of the sign-in in ms, entry before or '', sessions that are too many and ms to the deadline of each: those that signed
-- in first}. The time is later than the last end of all sessions and than the entry before, even if the clock was set back since. {0}
-- if all sessions have been ended since the check, {'late', the server's time in ms}: then nothing is done.
local key, id, created, lifetime, idle, mode, age, not_after, maximum = KEYS[1], unpack(ARGV, 1, 8)
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
if mode == 'new' and now > tonumber(not_after) then return {'late', now} end
local entry, before = unpack(redis.call('HMGET', key, id, '@before'))
before = tonumber(before) or 0
local used, authenticated
if mode == 'used' then
    local last, old_idle, signed_in = string.match(entry or '', '^%d+:(%d+):%d+:(%d+):(%d+)$')
    if not last or old_idle == '0' then return {now} end
    used, authenticated = math.max(now, tonumber(last)), signed_in
else
    -- A time ahead of the clock is from before the clock was set back.
    if age ~= '' and before <= now and before > now - tonumber(age) then return {0} end
    used = math.max(now, before + 1, (tonumber(string.match(entry or '', ':(%d+)$')) or 0) + 1)
    authenticated = used
end
local deadline = now + tonumber(lifetime)
local longest = math.max(deadline, now + redis.call('PTTL', key))
local entries = mode == 'new' and redis.call('HGETALL', key) or {}
redis.call('HSET', key, id, table.concat({created, used, deadline, idle, authenticated}, ':'))
local expires = redis.pcall('PEXPIREAT', key, longest)
if type(expires) == 'table' and expires.err then
    -- No key may be left without a time to live, and no entry for a device that has not signed in.
    if entry then redis.call('HSET', key, id, entry) else redis.call('HDEL', key, id) end
    return expires
end
local answer, live = {used, entry or ''}, {}
for i = 1, #entries, 2 do
    local last, ends, other_idle, signed_in = string.match(entries[i + 1], '^%d+:(%d+):(%d+):(%d+):(%d+)$')
    if ends and tonumber(ends) <= now then
        redis.pcall('HDEL', key, entries[i])
    elseif ends and entries[i] ~= id and other_idle ~= '0' and now < last + other_idle then
        live[#live + 1] = {tonumber(signed_in), entries[i], ends - now}
    end
end
table.sort(live, function(left, right) return left[1] < right[1] end)
for i = 1, #live + 1 - (tonumber(maximum) or #live + 1) do
    answer[#answer + 1], answer[#answer + 2] = live[i][2], live[i][3]
end
return answer
