-- The chunks of lines that are there of runs.
-- ARGV: for each run: id
-- Gives a list for each.
local found = {}
for i, id in ipairs(ARGV) do found[i] = redis.call('LRANGE', 'ms:logs:' .. id, 0, -1) end
return found
