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
local reason = condition == 'secret' and 'signed-out' or 'revoked'
if exists then
    -- The key stays: a cluster node whose slot is on its way does not write a key that it does not have.
    -- First, because a full Redis allows it, and with it what follows; a missing right is known before the record changes.
    redis.call('HDEL', key, '')
    redis.call('PEXPIRE', key, tombstone)
    local fields = redis.call('HKEYS', key)
    redis.call('HSET', key, '@gone', reason)
    -- Lua passes some thousand arguments at a time.
    for i = 1, #fields, 1000 do redis.call('HDEL', key, unpack(fields, i, math.min(i + 999, #fields))) end
    return {'ok', 1}
end
-- As above: a full Redis allows it.
redis.call('DEL', key)
redis.call('HSET', key, '@gone', reason)
local expires = redis.pcall('PEXPIRE', key, tombstone)
if type(expires) == 'table' and expires.err then
    -- No key may be left without a time to live.
    redis.call('DEL', key)
    return expires
end
return {'ok', 0}
