-- Takes a lock, or prolongs it for the one who has it.
-- ARGV: key, holder, milliseconds that it is held for
-- Gives 1, or 0 if somebody else has it.
-- also when memory is full
local holder = redis.call('GET', ARGV[1])
if holder and holder ~= ARGV[2] then return 0 end
redis.call('SET', ARGV[1], ARGV[2], 'PX', ARGV[3])
return 1
