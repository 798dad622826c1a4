-- Takes runs from the queues under the lease of the worker that asks.
-- ARGV: owner, then what it can take, and what it is given, as in `claiming.lua`
-- also when memory is full
-- may use slots.lua
-- uses claiming.lua
local owner = ARGV[1]
if not redis.call('ZSCORE', 'ms:leases', owner) then
  return redis.error_reply('LEASELOST ' .. owner)
end
local claimed = claim(owner, { unpack(ARGV, 2) })
if slots_made then slots_made.pass_slots_on() end
return claimed
