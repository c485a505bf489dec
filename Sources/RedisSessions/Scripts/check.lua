-- Uses every command that the session scripts call, on a key of its own: tells whether the server would let them.
-- KEYS 1 a session key, or the key of a user's list   ARGV 1 's' or 'u'
-- Returns 1, {'denied', command} for the first that this user must not run, or another error. Leaves nothing.
local key = KEYS[1]
local commands = ARGV[1] == 's' and {
    {'TIME'}, {'HSET', key, '@gone', 'check'}, {'PEXPIRE', key, 1000}, {'HINCRBY', key, '@version', 1}, {'EXISTS', key},
    {'HMGET', key, '@gone'}, {'HGET', key, '@gone'}, {'HGETALL', key}, {'HKEYS', key}, {'PTTL', key}, {'HDEL', key, '@gone', '@version'},
    {'DEL', key},
} or {
    {'TIME'}, {'ZADD', key, 1, 'check'}, {'PEXPIREAT', key, 1}, {'ZREMRANGEBYSCORE', key, '-inf', '+inf'},
    {'ZRANGE', key, -1, -1, 'WITHSCORES'}, {'ZSCORE', key, 'check'}, {'ZREM', key, 'check'},
}
local refusal
for _, command in ipairs(commands) do
    local answer = redis.pcall(unpack(command))
    -- A full Redis serves what there is; that is not a matter of rights.
    if type(answer) == 'table' and answer.err and not string.find(answer.err, '^-?OOM') then
        -- The words of Redis 6 and 7.0, and those of later versions.
        local is_denied = string.find(answer.err, "can't run this command", 1, true) or string.find(answer.err, 'no permissions', 1, true)
        refusal = refusal or (is_denied and {'denied', command[1]} or answer)
    end
end
return refusal or 1
