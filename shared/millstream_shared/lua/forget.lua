-- Takes back that runs have ended which did not complete, so that a second execution of their flow run makes them anew.
-- ARGV: ids...   Gives how many were forgotten.
-- also when memory is full
-- uses: common, liveness
local count = 0
for _, id in ipairs(ARGV) do
  local key, job = tree(id), 'rq:job:' .. id
  local record = redis.call('HGET', key, id)
  if has_ended(record) and string.byte(record, 2) ~= 67 then
    local queue = redis.call('HGET', job, 'origin')
    if queue then redis.call('ZREM', 'rq:failed:' .. queue, id) end
    redis.call('DEL', job)
    redis.call('HDEL', key, id)
    count = count + 1
  end
end
return count
