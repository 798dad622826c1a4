-- Forgets who holds slots of a limit, and with '1' the limit too; lets in those that wait.
-- ARGV: name, '1' to delete it
-- Gives -1 if there is no such limit, else how many lines are left to be called.
-- also when memory is full
-- uses: slots
local name = ARGV[1]
local known = redis.call('EXISTS', 'ms:limit:' .. name) == 1
if not known then return -1 end
redis.call('DEL', 'ms:slots:' .. name, 'ms:bucket:' .. name)
redis.call('HDEL', 'ms:limit:' .. name, 'heavy')
if ARGV[2] == '1' then
  redis.call('DEL', 'ms:limit:' .. name)
  redis.call('SREM', 'ms:limits', name)
end
touched[name] = true
pass_slots_on()
return redis.call('SCARD', 'ms:lines-to-call')
