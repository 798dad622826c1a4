-- How runs are taken from their queues, in order of priority. Put in front of scripts that do that, behind common.lua.

local MOST_PARKED = 100 -- in one go, before those that were taken begin

-- A flow run that does not stand in line: its worker ends it.
local function take_refused(id, worker, run)
  local job = 'rq:job:' .. id
  local line = redis.call('HGET', job, 'awaits')
  redis.call('ZREM', 'ms:waiters:' .. line, id)
  redis.call('HDEL', job, 'awaits')
  local attempt = redis.call('HINCRBY', job, 'attempts', 1)
  redis.call('HSET', job, 'status', 'started', 'worker_name', worker)
  redis.call('HSET', 'ms:held:' .. worker, id, attempt)
  return { id, attempt, run[2], tonumber(run[3] or 0), tonumber(run[4] or 0), run[1], line }
end

-- Takes runs for the worker `owner`. `demand` has how many sync, async and flow runs it can take, how many in all, the
-- time as RQ writes it, queues...
-- Gives: milliseconds until a postponed run is due, or -1, and for each run id, attempt, mode, crashes, tries, payload,
-- and for one that a limit of 0 will never let in the name of that limit.
local function claim(owner, demand)
  local sync, async, flows = tonumber(demand[1]), tonumber(demand[2]), tonumber(demand[3])
  local most, now, queues = tonumber(demand[4]), demand[5], { unpack(demand, 6) }
  local held = 'ms:held:' .. owner
  local taken, holding, parked, size, next_due = {}, {}, 0, 0, -1
  local open, paused = {}, redis.call('SMISMEMBER', 'ms:paused', unpack(queues))
  for i, queue in ipairs(queues) do
    -- Who resumes a queue rings its bell.
    if paused[i] == 1 then redis.call('DEL', 'ms:bell:' .. queue) else open[#open + 1] = queue end
  end
  for _, queue in ipairs(open) do
    local key = 'rq:queue:' .. queue
    local wait = enqueue_due(queue)
    if wait and (next_due < 0 or wait < next_due) then next_due = wait end
    -- Large payloads are fetched a few at a time: one answer should not block the server.
    while (sync > 0 or async > 0 or flows > 0) and #taken < most and size < 8388608 and parked < MOST_PARKED do
      local id = redis.call('LPOP', key)
      if not id then break end
      local job = 'rq:job:' .. id
      local run = redis.call('HMGET', job, 'payload', 'mode', 'crashes', 'tries', 'tags', 'attempts', 'slots')
      if run[4] and is_twice(id, queue) then
        redis.call('HSET', job, 'status', 'started')
      elseif run[1] then
        local free = sync
        if run[2] == 'a' then free = async elseif run[2] == 'f' then free = flows end
        if free <= 0 then
          redis.call('LPUSH', key, id)
          break
        end
        size = size + #run[1]
        local admitted = not run[5] or slots().admit(id, run[5], run[7], owner)
        if admitted then
          if run[2] == 'a' then
            async = async - 1
          elseif run[2] == 'f' then
            flows = flows - 1
          else
            sync = sync - 1
          end
          local attempt = tonumber(run[6] or 0) + 1
          redis.call('HSET', job, 'status', 'started', 'worker_name', owner, 'started_at', now, 'attempts', attempt)
          if run[4] then
            -- At once, as it may stand in the queue once more: see `is_twice`.
            redis.call('HSET', job, 'holder', owner)
            redis.call('HSET', held, id, attempt)
          else
            holding[#holding + 1] = id
            holding[#holding + 1] = attempt
          end
          taken[#taken + 1] = {
            id, attempt, run[2], tonumber(run[3] or 0), tonumber(run[4] or 0), run[1], admitted ~= true and admitted or nil,
          }
        elseif run[2] == 'f' and redis.call('HGET', job, 'collision') == 'cancel' then
          taken[#taken + 1] = take_refused(id, owner, run)
        else
          parked = parked + 1
        end
      elseif has_ended(redis.call('HGET', tree(id), id)) and redis.call('HEXISTS', job, 'dead_letter') == 0 then
        -- Likewise queued once more by RQ's scheduler, which wrote its job anew.
        redis.call('DEL', job)
      elseif redis.call('EXISTS', job) == 1 then
        -- A job enqueued with RQ itself is not ours to run, nor is a dead letter that was requeued. Both are set aside
        -- where RQ's tools list failed jobs.
        redis.call('HSET', job, 'status', 'failed')
        redis.call('HSETNX', job, 'exc_info',
          'This job was not made by millstream. Serve its queue with `rq worker`, or give it a queue of its own.')
        redis.call('ZADD', 'rq:failed:' .. queue, math.floor(now_ms() / 1000) + 31536000, id)
      end
      -- else: the run was withdrawn while it was queued.
    end
    if redis.call('LLEN', key) == 0 then
      -- Every token in the bell is for work that has been taken.
      redis.call('DEL', 'ms:bell:' .. queue)
    elseif (#taken > 0 or parked > 0) and redis.call('EXISTS', 'ms:bell:' .. queue) == 0 then
      ring(queue)
    end
  end
  call_with('HSET', held, holding)
  return { next_due, taken }
end
