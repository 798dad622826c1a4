-- What is different for flow runs: the lists of them, and what they may become.
-- uses: common, clock, liveness

-- Keeps the lists of flow runs in step with a record that is about to be written: one list for each state, and, with
-- `facets`, which only the first record of a run has, those of all, of its flow and of its deployment. Lists of what has
-- ended forget what is so old that its record is gone too.
local function list_flow_run(id, before, record, facets, keep)
  local state = string.lower(string.sub(record, 2, 2))
  local old = before and string.lower(string.sub(before, 2, 2))
  if state == old then return end
  local now = now_ms() * 1000
  local function add(list, born, is_trimmed)
    redis.call('ZADD', list, born, id)
    if is_trimmed then redis.call('ZREMRANGEBYSCORE', list, '-inf', now - 2000000 * keep) end
    redis.call('EXPIRE', list, 2 * keep)
  end
  local born = redis.call('ZSCORE', 'ms:flow-runs', id)
  if facets ~= '' and not born then
    local created, flow, deployment = string.match(facets, '^(%d+)\n([^\n]*)\n(.*)$')
    born = created
    add('ms:flow-runs', born, true)
    add('ms:flow-runs:flow:' .. flow, born, true)
    redis.call('ZADD', 'ms:flows', born, flow)
    redis.call('EXPIRE', 'ms:flows', 2 * keep)
    if deployment ~= '' then add('ms:flow-runs:deployment:' .. deployment, born, true) end
  end
  if old then redis.call('ZREM', 'ms:flow-runs:state:' .. old, id) end
  add('ms:flow-runs:state:' .. state, born or now, has_ended(record))
end

-- Whether a flow run was told to stop, and so may not become what `record` says: it can only be Cancelled.
local function must_stop(id, record)
  if not is_flow(id) or string.byte(record, 2) == 88 then return false end
  local before = redis.call('HGET', tree(id), id)
  return before and string.byte(before, 2) == 103
end

-- Whether a run whose process has died may be executed again by itself: a task run may. A flow run only if it had not
-- begun, or if that is the policy of its deployment; not one that is being cancelled.
local function may_go_on(id)
  if not is_flow(id) then return true end
  local letter = string.sub(redis.call('HGET', tree(id), id) or '', 2, 2)
  if letter == 'g' then return false end
  return letter == 's' or letter == 'p' or redis.call('HGET', 'rq:job:' .. id, 'on_crash') == 'resume'
end
