-- What a claim finds rarely: queues that are paused, runs that were postponed, and what is not to be executed.
-- uses: liveness, postponed, handover
-- gives: open_queues, tidy_queues, is_twice, leave_line, set_aside

-- The queues that are not paused, in order of priority, and the others.
local function open_queues()
  local open, shut, paused = {}, {}, redis.call('SMISMEMBER', 'ms:paused', unpack(claim.queues))
  for i, queue in ipairs(claim.queues) do table.insert(paused[i] == 1 and shut or open, queue) end
  return open, shut
end

-- Puts postponed runs that are due into their queues, and takes the tokens of paused queues out of their bells: who
-- resumes a queue rings its bell. Gives the open queues, and milliseconds until a postponed run is due, or -1.
local function tidy_queues()
  local next_due, open, shut = -1, open_queues()
  for _, queue in ipairs(shut) do redis.call('DEL', 'ms:bell:' .. queue) end
  for _, queue in ipairs(open) do
    local wait = enqueue_due(queue)
    if wait and (next_due < 0 or wait < next_due) then next_due = wait end
  end
  return open, next_due
end

-- Takes a flow run that is not to wait for a slot out of the line for it. Gives the limit.
local function leave_line(id)
  local job = 'rq:job:' .. id
  local line = redis.call('HGET', job, 'awaits')
  redis.call('ZREM', 'ms:waiters:' .. line, id)
  redis.call('HDEL', job, 'awaits')
  return line
end

-- Sets aside what was found in a queue and is not ours to execute.
local function set_aside(id, queue)
  local job = 'rq:job:' .. id
  if has_ended(redis.call('HGET', tree(id), id)) and redis.call('HEXISTS', job, 'dead_letter') == 0 then
    -- Queued once more by RQ's scheduler, which wrote its job anew.
    redis.call('DEL', job)
  elseif redis.call('EXISTS', job) == 1 then
    -- A job enqueued with RQ itself is not ours to run, nor is a dead letter that was requeued. Both go to where RQ's
    -- tools list failed jobs.
    redis.call('HSET', job, 'status', 'failed')
    redis.call('HSETNX', job, 'exc_info',
      'This job was not made by millstream. Serve its queue with `rq worker`, or give it a queue of its own.')
    redis.call('ZADD', 'rq:failed:' .. queue, math.floor(now_ms() / 1000) + 31536000, id)
  end
  -- else: the run was withdrawn while it was queued.
end
