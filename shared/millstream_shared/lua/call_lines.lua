-- Goes on calling those in line where that was too much for one go.   Gives how many lines are left.
-- also when memory is full
-- uses: slots
pass_slots_on(true)
return redis.call('SCARD', 'ms:lines-to-call')
