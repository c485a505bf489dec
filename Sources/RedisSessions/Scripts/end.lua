-- Ends a record for good and leaves a tombstone, so that nothing late revives it.
-- KEYS 1 record   ARGV 1 hash of the presented secret, or of the principal   2 'secret', 'user' or 'any'   3 tombstone ms
-- 'secret': only if the presented secret is valid. 'any': only if there is a record.
-- 'user': only if the record is this user's or anonymous, and also if there is none: a sign-in may be on its way (R28).
-- Returns 1 if a live record was ended, else 0. Repeat-safe: the second call returns 0.
local condition, tombstone = ARGV[2], ARGV[3]
if gone then return 0 end
local exists = ttl ~= -2
if condition == 'secret' and (absence or not is_valid) then return 0 end
if condition == 'any' and not exists then return 0 end
if condition == 'user' and user and user ~= presented then return 0 end
redis.call('DEL', key)
redis.call('HSET', key, '@gone', condition == 'secret' and 'signed-out' or 'revoked')
redis.call('PEXPIRE', key, tombstone)
return exists and 1 or 0
