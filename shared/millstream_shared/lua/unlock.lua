-- Lets go of a lock, if this holder still has it.
-- ARGV: key, holder
-- Gives 1, or 0 if it was somebody else's by then.
-- also when memory is full
if redis.call('GET', ARGV[1]) ~= ARGV[2] then return 0 end
redis.call('DEL', ARGV[1])
return 1
