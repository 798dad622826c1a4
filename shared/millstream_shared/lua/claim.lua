-- Takes runs from the queues under the lease of the worker that asks.
-- ARGV: owner, then what `begin_claim` asks for   Gives what `search` and `end_claim` give.
-- also when memory is full
-- uses: claiming
local owner = ARGV[1]
if not redis.call('ZSCORE', 'ms:leases', owner) then
  return redis.error_reply('LEASELOST ' .. owner)
end
begin_claim(owner, 2, #ARGV)
local next_due = search()
if slots_made then slots_made.pass_slots_on() end
return { next_due, end_claim() }
