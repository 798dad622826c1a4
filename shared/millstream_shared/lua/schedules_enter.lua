-- Enters schedules with the time at which each fires, and forgets others; one that is entered keeps its time.
-- ARGV: owner, how many are entered, that many pairs of time (ms) and member, members to forget
-- Gives 1, or 0 if it is not this owner who fires schedules.
-- also when memory is full
if redis.call('GET', 'ms:scheduler') ~= ARGV[1] then return 0 end
local last = 2 + 2 * ARGV[2]
for i = 3, last, 2 do redis.call('ZADD', 'ms:schedules', 'NX', ARGV[i], ARGV[i + 1]) end
for i = last + 1, #ARGV do redis.call('ZREM', 'ms:schedules', ARGV[i]) end
return 1
