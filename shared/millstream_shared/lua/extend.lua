-- Prolongs what code of a process holds.
-- ARGV: owner, then for each: id, milliseconds
-- Gives the ids of those that have lost what they held.
-- also when memory is full
-- uses: slots
local owner, lost = ARGV[1], {}
for i = 2, #ARGV, 2 do
  local id = ARGV[i]
  local text = redis.call('HGET', 'ms:holds:' .. owner, id)
  local held = text and parse_hold(text)
  local holds = held and held.state == 'h'
  for _, name in ipairs(held and held.names or {}) do
    local limit = limit_named(name)
    -- A limit that was deleted or switched off since asks for nothing.
    if limit and limit.holds and redis.call('HEXISTS', 'ms:slots:' .. name, id) == 0 then holds = false end
  end
  if holds then
    redis.call('ZADD', 'ms:slot-leases', now_ms() + ARGV[i + 1], id .. ' ' .. owner)
  else
    lost[#lost + 1] = id
  end
end
return lost
