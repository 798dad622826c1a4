-- How those stand that wait for slots; looks first whether somebody has died who holds some.
-- ARGV: owner, ids...
-- Gives for each: 'h' if it has its slots, 'w' if it waits, '' if nothing is known of it.
-- also when memory is full
-- uses: slots
evict_expired()
evict_dead()
pass_slots_on(true)
local states = {}
for i = 2, #ARGV do
  local text = redis.call('HGET', 'ms:holds:' .. ARGV[1], ARGV[i])
  local state = text and string.sub(text, 1, 1) or ''
  if state == 'w' then
    local in_line = false
    for _, name in ipairs(parse_hold(text).names) do
      in_line = in_line or redis.call('ZSCORE', 'ms:waiters:' .. name, ARGV[i] .. ' ' .. ARGV[1])
    end
    if not in_line then
      -- This process was silent, was passed over, and has to ask again.
      redis.call('HDEL', 'ms:holds:' .. ARGV[1], ARGV[i])
      state = ''
    end
  end
  states[#states + 1] = state
end
return states
