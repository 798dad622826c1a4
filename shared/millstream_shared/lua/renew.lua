-- Takes or prolongs a lease.
-- ARGV: owner, milliseconds, '1' to take it anew
-- Gives 1, or 0 if the lease had been given up for dead.
-- also when memory is full
-- uses: clock
if ARGV[3] ~= '1' and not redis.call('ZSCORE', 'ms:leases', ARGV[1]) then return 0 end
redis.call('ZADD', 'ms:leases', now_ms() + ARGV[2], ARGV[1])
return 1
