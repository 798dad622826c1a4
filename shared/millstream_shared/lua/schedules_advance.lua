-- Goes on to the next time of a schedule that has been fired, unless that was done already.
-- ARGV: member, the time that was fired (ms), the next one (ms; '': there is none)
-- Gives 1, or 0 if it has another time by now, or is forgotten.
local at = redis.call('ZSCORE', 'ms:schedules', ARGV[1])
if not at or tonumber(at) ~= tonumber(ARGV[2]) then return 0 end
if ARGV[3] == '' then
  redis.call('ZREM', 'ms:schedules', ARGV[1])
else
  redis.call('ZADD', 'ms:schedules', ARGV[3], ARGV[1])
end
return 1
