-- Limits as they stand.
-- ARGV: names..., or none for all of them
-- Gives for each that exists: name, limit, active, decay, when it was made, slots taken, how many wait
-- uses: slots
local names, found = ARGV, {}
if #names == 0 then
  names = redis.call('SMEMBERS', 'ms:limits')
  table.sort(names)
end
for _, name in ipairs(names) do
  local limit = redis.call('HMGET', 'ms:limit:' .. name, 'limit', 'active', 'decay', 'created', 'heavy')
  if limit[1] then
    local used, decay = count_used(name, limit[5]), tonumber(limit[3])
    if decay > 0 then
      local back = tonumber(redis.call('GET', 'ms:bucket:' .. name) or 0)
      used = math.min(math.ceil(math.max(back - now_ms(), 0) / 1000 * decay - 0.001), tonumber(limit[1]))
    end
    found[#found + 1] = {
      name, limit[1], limit[2], limit[3], limit[4], used, redis.call('ZCARD', 'ms:waiters:' .. name),
    }
  end
end
return found
