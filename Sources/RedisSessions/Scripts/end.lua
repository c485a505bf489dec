-- Ends a record for good and leaves a tombstone, so that nothing late revives it.
-- KEYS 1 record   ARGV 1 'secret', 'user' or 'any'   2 digest of the secret or of the principal   3 tombstone ms
-- 'secret': only if the presented secret holds. 'any': only if there is a record.
-- 'user': only if the record is this user's or nobody's yet, and also if there is none: a sign-in may be on its way (R28).
-- Returns 1 if a live record was ended, else 0. Repeat-safe: the second call answers 0.
local m = redis.call('HMGET', KEYS[1], '@gone', '@digest', '@old-digest', '@old-until', '@user', '@deadline', '@idle', '@used')
if m[1] then return 0 end
local exists = redis.call('EXISTS', KEYS[1])
if exists == 0 and ARGV[1] ~= 'user' then return 0 end
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
if ARGV[1] == 'secret' then
    if now >= math.min(tonumber(m[6]) or 0, (tonumber(m[7]) or 0) + (tonumber(m[8]) or 0)) then return 0 end
    if ARGV[2] ~= m[2] and not (ARGV[2] == m[3] and now < (tonumber(m[4]) or 0)) then return 0 end
end
if ARGV[1] == 'user' and m[5] and m[5] ~= ARGV[2] then return 0 end
redis.call('DEL', KEYS[1])
redis.call('HSET', KEYS[1], '@gone', ARGV[1] == 'secret' and 'signed-out' or 'revoked')
redis.call('PEXPIRE', KEYS[1], ARGV[3])
return exists
