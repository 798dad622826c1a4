-- Ends what code of a process holds, or its waiting, and hands on the slots.
-- ARGV: owner, ids...
-- Gives the ids of those of which nothing is known, and of those that had a lease of their own and have lost what they
-- held under it.
-- also when memory is full
-- uses: holding
local owner, lost = ARGV[1], {}
for i = 2, #ARGV do
  local id = ARGV[i]
  local text = redis.call('HGET', 'ms:holds:' .. owner, id)
  local held = text and parse_hold(text)
  if not held or held.state == 'h' and held.lease > 0 and has_lost(id, held) then lost[#lost + 1] = id end
  if held then let_go(owner, id, text) end
end
pass_slots_on()
return lost
