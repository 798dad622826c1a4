-- Says of flow runs that they are to end, and tells that to the processes which execute them, or runs within them.
-- ARGV: retention in seconds, then for each flow run: id, its record as it is now, its next record
-- Gives the ids of those whose record is another one now.
-- also when memory is full
-- uses: flow_runs
local keep = ARGV[1]
local now = now_ms()
local told, other = {}, {}
for i = 2, #ARGV, 3 do
  local id, before, record = ARGV[i], ARGV[i + 1], ARGV[i + 2]
  local found = redis.call('HGET', tree(id), id)
  -- Who is told twice does nothing the second time.
  if found == before or found == record then
    if found ~= record then
      list_flow_run(id, before, record, '', keep)
      redis.call('HSET', tree(id), id, record)
    end
    redis.call('ZADD', 'ms:cancelled', now + 3600000, id)
    told[#told + 1] = id
  else
    other[#other + 1] = id
  end
end
redis.call('ZREMRANGEBYSCORE', 'ms:cancelled', '-inf', now)
redis.call('EXPIRE', 'ms:cancelled', 3600)
if #told == 0 then return other end
local order = 'stop ' .. table.concat(told, ' ')
for _, owner in ipairs(redis.call('ZRANGE', 'ms:leases', 0, -1)) do
  -- A worker may have task runs of any tree, or be about to take one.
  local concerned = string.sub(owner, 1, 7) ~= 'client-' or redis.call('EXISTS', 'rq:worker:' .. owner) == 1
  for _, id in ipairs(told) do
    concerned = concerned or redis.call('HEXISTS', 'ms:held:' .. owner, id) == 1
  end
  if concerned then
    redis.call('RPUSH', 'ms:orders:' .. owner, order)
    redis.call('EXPIRE', 'ms:orders:' .. owner, 3600)
  end
end
return other
