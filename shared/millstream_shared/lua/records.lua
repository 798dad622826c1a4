-- The records of runs, wherever they lie, in one go.
-- ARGV: ids...   Gives for each its record, or nothing.
-- uses: common
local found = {}
for i, id in ipairs(ARGV) do found[i] = redis.call('HGET', tree(id), id) or '' end
return found
