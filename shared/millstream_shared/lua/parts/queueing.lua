-- How runs come into a queue, and how a worker that is idle is woken.
-- uses: common

-- Wakes one idle worker. More than one token is of use only while workers are busy taking them.
local function ring(queue)
  local bell = 'ms:bell:' .. queue
  if redis.call('LPUSH', bell, '1') > 16 then redis.call('LTRIM', bell, 0, 15) end
  redis.call('EXPIRE', bell, 3600)
end

-- Appends to a queue, or puts in front of it keeping the given order, however many there are.
local function enqueue(queue, ids, front)
  if #ids == 0 then return end
  local key = 'rq:queue:' .. queue
  redis.call('SADD', 'rq:queues', key)
  if front then
    local reversed = {}
    for i = #ids, 1, -1 do reversed[#reversed + 1] = ids[i] end
    call_with('LPUSH', key, reversed)
  else
    call_with('RPUSH', key, ids)
  end
  ring(queue)
end
