-- Restarts the idle timeout of a live record.
-- KEYS 1 record   ARGV 1 hash of the presented secret   2 ''
-- Returns 1, or 0 when there was nothing to touch. Creates nothing. Repeat-safe.
if absence or is_user or not is_valid then return 0 end
-- First, because a full Redis allows it, and with it what follows.
redis.call('PEXPIRE', key, math.min(idle, deadline - now))
redis.call('HSET', key, '@used', now)
return 1
