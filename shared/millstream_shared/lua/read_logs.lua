-- What is known of the lines of runs (see log.lua), and the chunks that are there.
-- ARGV: for each run: id
-- Gives for each a pair, or an empty list if nothing is known of it.
local found = {}
for i, id in ipairs(ARGV) do
  local known = redis.call('HGET', 'ms:logged:' .. string.sub(id, 1, 12), id)
  found[i] = known and { known, redis.call('LRANGE', 'ms:logs:' .. id, 0, -1) } or {}
end
return found
