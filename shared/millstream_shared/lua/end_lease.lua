-- Gives up the lease of a process that ends, and what its code holds of limits.
-- ARGV: owner
-- If it still holds runs, the lease runs out instead, and whoever sees that acts.
-- also when memory is full
-- uses: slots
let_go_all(ARGV[1])
if redis.call('EXISTS', 'ms:held:' .. ARGV[1]) == 0 then redis.call('ZREM', 'ms:leases', ARGV[1]) end
redis.call('DEL', 'ms:inbox:' .. ARGV[1], 'ms:orders:' .. ARGV[1])
pass_slots_on()
