-- Ends a record for good and leaves a tombstone, so that nothing late revives it.
-- KEYS 1 record   ARGV 1 'secret', 'user' or 'any'   2 digest of the secret or of the principal   3 tombstone ms
-- 'secret': only if the presented secret holds. 'any': only if there is a record.
-- 'user': only if the record is this user's or nobody's yet, and also if there is none: a sign-in may be on its way (R28).
-- Returns 1 if a live record was ended, else 0. Repeat-safe: the second call answers 0.
local m = redis.call('HMGET', KEYS[1], '@gone', '@digest', '@old-digest', '@old-until', '@user')
if m[1] then return 0 end
local live = redis.call('EXISTS', KEYS[1])
if live == 0 and ARGV[1] ~= 'user' then return 0 end
if ARGV[1] == 'secret' and ARGV[2] ~= m[2] then
    local time = redis.call('TIME')
    if ARGV[2] ~= m[3] or time[1] * 1000 + math.floor(time[2] / 1000) >= (tonumber(m[4]) or 0) then return 0 end
end
if ARGV[1] == 'user' and m[5] and m[5] ~= ARGV[2] then return 0 end
redis.call('DEL', KEYS[1])
redis.call('HSET', KEYS[1], '@gone', '1')
redis.call('PEXPIRE', KEYS[1], ARGV[3])
return live
