-- Ends what code of a process holds, or its waiting, and hands on the slots.
-- ARGV: owner, ids...
-- also when memory is full
-- uses: slots
for i = 2, #ARGV do
  local text = redis.call('HGET', 'ms:holds:' .. ARGV[1], ARGV[i])
  if text then let_go(ARGV[1], ARGV[i], text) end
end
pass_slots_on()
