-- Has workers claim nothing from a queue, or again.
-- ARGV: queue, '1' to pause it or '' to resume it   Gives 1 if that changed anything.
if ARGV[2] == '1' then return redis.call('SADD', 'ms:paused', ARGV[1]) end
local changed = redis.call('SREM', 'ms:paused', ARGV[1])
if changed == 1 then ring(ARGV[1]) end
return changed
