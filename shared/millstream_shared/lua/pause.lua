-- Has workers claim nothing from a queue, or again.
-- ARGV: '1' to pause it or '' to resume it, then its name, and that of the queue with its flow runs
-- Gives how many of them that changed.
-- also when memory is full
-- uses: queueing
if ARGV[1] == '1' then return redis.call('SADD', 'ms:paused', ARGV[2], ARGV[3]) end
local changed = redis.call('SREM', 'ms:paused', ARGV[2], ARGV[3])
if changed > 0 then
  ring(ARGV[2])
  ring(ARGV[3])
end
return changed
