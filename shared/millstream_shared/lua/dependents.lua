-- The runs that wait for any of these to end.
-- ARGV: ids...   Gives their ids.
local found = {}
for _, id in ipairs(ARGV) do
  if redis.call('HEXISTS', 'rq:job:' .. id, 'dependents') == 1 then
    for _, dependent in ipairs(redis.call('SMEMBERS', 'ms:dependents:' .. id)) do
      if #dependent == 32 then found[#found + 1] = dependent end
    end
  end
end
return found
