-- Makes a limit, or changes one, and lets in whom it lets in now.
-- ARGV: name, 'new' (must not exist), 'any' or 'old' (must exist), then pairs of fields and values: limit, active, decay
-- Gives -1 if it exists, or does not, as it must not; else how many lines are left to be called.
-- also when memory is full
-- uses: slots
local name, must = ARGV[1], ARGV[2]
local key = 'ms:limit:' .. name
local exists = redis.call('EXISTS', key) == 1
if exists and must == 'new' or not exists and must == 'old' then return -1 end
local now = redis.call('TIME')
local before = tonumber(redis.call('HGET', key, 'decay') or 0)
if not exists then redis.call('HSET', key, 'created', now[1], 'active', '1', 'decay', '0') end
redis.call('HSET', key, unpack(ARGV, 3))
redis.call('SADD', 'ms:limits', name)
local after = tonumber(redis.call('HGET', key, 'decay'))
local back = tonumber(redis.call('GET', 'ms:bucket:' .. name))
if back and before ~= after then
  local left = after > 0 and (back - now_ms()) * before / after or 0
  if left > 0 then
    redis.call('SET', 'ms:bucket:' .. name, string.format('%.3f', now_ms() + left), 'PX', math.ceil(left))
  else
    redis.call('DEL', 'ms:bucket:' .. name)
  end
end
touched[name] = true
pass_slots_on()
return redis.call('SCARD', 'ms:lines-to-call')
