-- How runs come into the queues that they belong to.
-- uses: queueing
-- gives: enqueue_again

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
