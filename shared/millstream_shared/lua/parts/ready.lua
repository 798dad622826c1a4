-- How a worker is given runs that become ready while it says that others have ended.
-- uses: claiming
-- gives: begin_claim, accept_ready, take_ready, search, end_claim

-- Has what becomes ready from now on given to the worker, as far as it has room, instead of put in front of its queue.
-- Not where other workers serve that queue too: the bell wakes the one that has been idle longest, and so the runs of a
-- limit, or of a chain, do not all stay with whoever had the first of them.
local function accept_ready()
  local reached
  -- What lies on the queues before comes first. Who has lost its lease is given nothing.
  local function is_in_reach(queue)
    if not reached then
      reached = {}
      local open = redis.call('ZSCORE', 'ms:leases', claim.owner) and unusual_claims().open_queues() or {}
      for i, each in ipairs(open) do
        reached[each] = redis.call('SCARD', 'rq:workers:' .. each) < 2
        if i < #open and redis.call('LLEN', 'rq:queue:' .. each) > 0 then break end
      end
    end
    return reached[queue]
  end
  claim.wants = function(queue, mode)
    return claim.free[mode] > 0 and has_room() and is_in_reach(queue)
  end
  -- Gives whether it was taken.
  claim.take = function(id, queue, slots)
    local run = redis.call('HMGET', 'rq:job:' .. id, 'payload', 'mode', 'crashes', 'tries', 'attempts')
    if not run[1] or run[4] and unusual_claims().is_twice(id, queue) then return false end
    give(id, run, slots)
    return true
  end
end

-- Takes those of these runs, which are ready, that the worker wants; gives the others. Tags are for `search` to look at.
local function take_ready(ids)
  local left = {}
  for _, id in ipairs(ids) do
    local queue, mode, tags = unpack(redis.call('HMGET', 'rq:job:' .. id, 'origin', 'mode', 'tags'))
    if not queue or tags or not claim.wants(queue, mode) or not claim.take(id, queue) then left[#left + 1] = id end
  end
  return left
end
