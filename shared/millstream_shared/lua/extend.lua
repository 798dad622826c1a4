-- Prolongs what code of a process holds.
-- ARGV: owner, then for each: id, milliseconds
-- Gives the ids of those that have lost what they held.
-- also when memory is full
-- uses: holding
local owner, lost = ARGV[1], {}
for i = 2, #ARGV, 2 do
  local id = ARGV[i]
  local text = redis.call('HGET', 'ms:holds:' .. owner, id)
  local held = text and parse_hold(text)
  if held and held.state == 'h' and not has_lost(id, held) then
    redis.call('ZADD', 'ms:slot-leases', now_ms() + ARGV[i + 1], id .. ' ' .. owner)
  else
    lost[#lost + 1] = id
  end
end
return lost
