-- Uses every command that the session scripts call, on a key of its own: tells whether the server would let them.
-- KEYS 1 a key of the kind that ARGV 1 names: a session 's', a user's list 'u', what was revoked 'r', a user's list of cookies 'd'
-- Returns 1, {'denied', command} for the first that this user must not run, or another error. Leaves nothing.
local key = KEYS[1]
local kinds = {}
kinds.s = {
    {'TIME'}, {'HSET', key, '@gone', 'check'}, {'PEXPIRE', key, 1000}, {'HINCRBY', key, '@version', 1}, {'EXISTS', key},
    {'HMGET', key, '@gone'}, {'HGET', key, '@gone'}, {'HGETALL', key}, {'HKEYS', key}, {'PTTL', key}, {'HDEL', key, '@gone', '@version'},
    {'DEL', key},
}
kinds.u = {
    {'TIME'}, {'ZADD', key, 1, 'check'}, {'PEXPIREAT', key, 1}, {'ZREMRANGEBYSCORE', key, '-inf', '+inf'},
    {'ZRANGE', key, -1, -1, 'WITHSCORES'}, {'ZSCORE', key, 'check'}, {'ZREM', key, 'check'},
}
kinds.r = {{'TIME'}, {'SET', key, 'check', 'PX', 1}, {'PEXPIRE', key, 1}, {'PTTL', key}, {'GET', key}}
kinds.d = {
    {'TIME'}, {'HSET', key, 'check', '0'}, {'PEXPIRE', key, 1000}, {'PEXPIREAT', key, 1}, {'PTTL', key}, {'HMGET', key, 'check'},
    {'HGET', key, 'check'}, {'HGETALL', key}, {'HDEL', key, 'check'},
}
local refusal
for _, command in ipairs(kinds[ARGV[1]]) do
    local answer = redis.pcall(unpack(command))
    -- A full Redis serves what there is; that is not a matter of rights.
    if type(answer) == 'table' and answer.err and not string.find(answer.err, '^-?OOM')
        and not string.find(answer.err, '^@user_script: %d+: %-OOM') then
        -- The words of Redis 6 and 7.0, and those of later versions.
        local is_denied = string.find(answer.err, "can't run this command", 1, true) or string.find(answer.err, 'no permissions', 1, true)
        refusal = refusal or (is_denied and {'denied', command[1]} or answer)
    end
end
return refusal or 1
