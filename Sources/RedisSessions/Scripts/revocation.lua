-- Ends a session that lives in a cookie, or begins a new generation of its cookies: atomically, so that of several one succeeds.
-- KEYS 1 revocation: 'signed-out', 'revoked', or 'C:P:T': cookies of generation C are current, from P on valid until T (ms), others not
-- ARGV 1 'signed-out', 'revoked', 'renew' or 'sign-in'   2 generation of the presented cookie, '' for any   3 generation to begin
--      4 ms for which earlier cookies stay valid (renew)   5 ms for which it must be remembered   6 server's time in ms after which
--      nothing is done: {'late', the server's time in ms} then
-- Returns {'ok', generation that the cookie must carry} or {'gone', reason}. Repeating a sign-in answers 'gone'.
local key, action, presented, fresh, grace, memory, not_after = KEYS[1], unpack(ARGV, 1, 6)
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
if now > tonumber(not_after) then return {'late', now} end
local value = redis.call('GET', key)
if value == 'signed-out' or value == 'revoked' then return {'gone', value} end
local current, previous, valid_until = string.match(value or '', '^(%d+):(%d+):(%d+)$')
current, previous, valid_until = tonumber(current), tonumber(previous), tonumber(valid_until)
presented = tonumber(presented)
if value and not current and presented then return {'gone', 'unreadable'} end
local is_earlier = current and presented and presented < current
if is_earlier and (presented < previous or now >= valid_until) then return {'gone', 'superseded'} end
memory = math.max(tonumber(memory), redis.call('PTTL', key))
if action == 'signed-out' or action == 'revoked' then
    -- First, because a full Redis allows it, and with it what follows.
    redis.call('PEXPIRE', key, memory)
    redis.call('SET', key, action, 'PX', memory)
    return {'ok', 0}
end
-- Another renewal was faster: its cookies and this one are equal.
if action == 'renew' and is_earlier then return {'ok', current} end
fresh = math.max(tonumber(fresh), (current or 0) + 1)
local earlier = action == 'renew' and {presented, now + tonumber(grace)} or {fresh, 0}
redis.call('SET', key, table.concat({fresh, earlier[1], earlier[2]}, ':'), 'PX', memory)
return {'ok', fresh}
