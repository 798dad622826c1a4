-- Replaces the record of a completed run by one that says more of it: the one change that an ended run may undergo.
-- ARGV: id, the record as it was read, the new record
-- Gives 1, or 0 if the record is another one by now, or either of them is not that of a completed run.
-- also when memory is full
-- uses: common
local id, before, after = ARGV[1], ARGV[2], ARGV[3]
if string.byte(before, 2) ~= 67 or string.byte(after, 2) ~= 67 then return 0 end
local stored = redis.call('HGET', tree(id), id)
if stored == after then return 1 end
if stored ~= before then return 0 end
redis.call('HSET', tree(id), id, after)
return 1
