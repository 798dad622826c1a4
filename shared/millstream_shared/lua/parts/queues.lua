-- How runs come into queues, and how a worker that is idle is woken.
-- uses: common

-- Wakes one idle worker. More than one token is of use only while workers are busy taking them.
local function ring(queue)
  local bell = 'ms:bell:' .. queue
  redis.call('LPUSH', bell, '1')
  redis.call('LTRIM', bell, 0, 15)
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

-- Collects runs by queue: the queues in order, and for each its runs.
local function add_to(queues, queue, id)
  if not queues[queue] then
    queues[queue] = {}
    queues[#queues + 1] = queue
  end
  table.insert(queues[queue], id)
end

local function enqueue_all(queues, front)
  for _, queue in ipairs(queues) do enqueue(queue, queues[queue], front) end
end

-- Puts runs that were taken, or were waiting, at the front of the queues they belong to: what was begun comes first.
local function enqueue_again(ids)
  local queues = {}
  for _, id in ipairs(ids) do
    local queue = redis.call('HGET', 'rq:job:' .. id, 'origin')
    if queue then
      redis.call('HSET', 'rq:job:' .. id, 'status', 'queued')
      add_to(queues, queue, id)
    end
  end
  enqueue_all(queues, true)
end
