-- Goes on to the next time of a schedule that has been fired, unless that was done already.
-- ARGV: owner, member, the time that was fired (ms), the next one (ms; '': there is none)
-- Gives 1, or 0 if it has another time by now, or is forgotten, or if it is not this owner who fires schedules: one that
-- slept would go back behind what another one is just firing.
-- also when memory is full
if redis.call('GET', 'ms:scheduler') ~= ARGV[1] then return 0 end
local at = redis.call('ZSCORE', 'ms:schedules', ARGV[2])
if not at or tonumber(at) ~= tonumber(ARGV[3]) then return 0 end
if ARGV[4] == '' then
  redis.call('ZREM', 'ms:schedules', ARGV[2])
else
  redis.call('ZADD', 'ms:schedules', ARGV[4], ARGV[2])
end
return 1
