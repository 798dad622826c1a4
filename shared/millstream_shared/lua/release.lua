-- Hands runs back to their queues, unless they have crashed too often, or are flow runs that may not be executed again by
-- themselves: those stay held, for the caller to settle.
-- ARGV: owner, 'crashed' if a process died under them, 'unbegun' if nobody executed them, or '', crash limit,
--       the attempt that it is about, or '' for any, ids...
-- Gives: for each run that stays, id, attempt, payload or record, 'task' or 'flow'
-- also when memory is full
-- uses: flow_runs, slots
local owner, crashed, limit, only = ARGV[1], ARGV[2] == 'crashed' and 1 or 0, tonumber(ARGV[3]), ARGV[4]
local held = 'ms:held:' .. owner
local back, over = {}, {}
for i = 5, #ARGV do
  local id = ARGV[i]
  local attempt = redis.call('HGET', held, id)
  local job = 'rq:job:' .. id
  if only ~= '' and attempt ~= only then attempt = nil end
  if attempt and redis.call('EXISTS', job) == 1 then
    local crashes = redis.call('HINCRBY', job, 'crashes', crashed)
    if crashes >= limit or (crashed == 1 and not may_go_on(id)) then
      local kind = is_flow(id) and 'flow' or 'task'
      local content = kind == 'flow' and redis.call('HGET', tree(id), id) or redis.call('HGET', job, 'payload')
      over[#over + 1] = { id, attempt, content, kind }
    else
      redis.call('HDEL', held, id)
      if ARGV[2] == 'unbegun' then redis.call('HINCRBY', job, 'attempts', -1) end
      free_run(id)
      back[#back + 1] = id
    end
  elseif attempt then
    redis.call('HDEL', held, id)
  end
end
enqueue_again(back)
pass_slots_on()
return over
