-- Ends a record for good and leaves a tombstone, so that nothing late revives it.
-- KEYS 1 record   ARGV 1 hash of the presented secret, or of the principal   2 not after: see live.lua
--      3 'secret', 'user', 'own' or 'any'   4 tombstone ms
-- 'secret': only if the presented secret is valid. 'any': only if there is a record.
-- 'user': only if the record is this user's or anonymous, and also if there is none: a sign-in may be on its way (R28).
-- 'own': only if the record is this user's.
-- Returns {'ok', 1 if a live record was ended, else 0}, {'gone', reason} or {'late', time}. Repeat-safe.
local condition, tombstone = ARGV[3], ARGV[4]
if gone then return {'gone', gone} end
local exists = ttl ~= -2
if condition == 'secret' and absence then return {'gone', absence} end
if condition == 'secret' and not is_valid then return {'gone', 'superseded'} end
if condition == 'any' and not exists then return {'ok', 0} end
if condition == 'user' and user and user ~= presented then return {'ok', 0} end
if condition == 'own' and not exists then return {'gone', 'unknown'} end
if condition == 'own' and not is_user then return {'ok', 0} end
redis.call('DEL', key)
redis.call('HSET', key, '@gone', condition == 'secret' and 'signed-out' or 'revoked')
local expires = redis.pcall('PEXPIRE', key, tombstone)
if type(expires) == 'table' and expires.err then
    redis.call('DEL', key)
    return expires
end
return {'ok', exists and 1 or 0}
