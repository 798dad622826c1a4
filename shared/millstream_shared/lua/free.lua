-- Ends what code of a process holds, or its waiting, and hands on the slots.
-- ARGV: owner, ids...
-- Gives the ids of those of which nothing is known, and of those that had a lease of their own and have lost what they
-- held under it.
-- also when memory is full
-- uses: slots
local owner, lost = ARGV[1], {}

-- As in `extend.lua`.
local function is_lost(id, held)
  for _, name in ipairs(held.names) do
    local limit = limit_named(name)
    if limit and limit.holds and redis.call('HEXISTS', 'ms:slots:' .. name, id) == 0 then return true end
  end
  return false
end

for i = 2, #ARGV do
  local id = ARGV[i]
  local text = redis.call('HGET', 'ms:holds:' .. owner, id)
  local held = text and parse_hold(text)
  if not held or held.state == 'h' and held.lease > 0 and is_lost(id, held) then lost[#lost + 1] = id end
  if held then let_go(owner, id, text) end
end
pass_slots_on()
return lost
