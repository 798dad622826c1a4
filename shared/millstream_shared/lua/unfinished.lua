-- What is known of runs that have not ended, from their jobs.
-- ARGV: ids...
-- Gives for each nothing, or: status, queue, name, tags, limit that it awaits, number of runs that it waits for,
-- attempts, crashes, tries, worker, when that began, 's'ync, 'a'sync or 'f'low, payload without the arguments; then 1 if the worker holds it, and
-- the milliseconds left of the worker's lease.
-- uses: clock
local function number(text, at)
  local a, b, c, d = string.byte(text, at, at + 3)
  return ((a * 256 + b) * 256 + c) * 256 + d
end

-- Arguments may be large. Before them are a fixed part of 40 bytes, a header and ids of other runs.
local function without_arguments(payload)
  if not payload or #payload < 40 then return '' end
  return string.sub(payload, 1, 40 + number(payload, 29) + number(payload, 33))
end

local found = {}
for i, id in ipairs(ARGV) do
  local run = redis.call('HMGET', 'rq:job:' .. id, 'status', 'origin', 'description', 'tags', 'awaits', 'waits',
    'attempts', 'crashes', 'tries', 'worker_name', 'started_at', 'mode', 'payload')
  if run[13] then
    run[13] = without_arguments(run[13])
    run[14], run[15] = 0, 0
    if run[10] then
      run[14] = redis.call('HEXISTS', 'ms:held:' .. run[10], id)
      run[15] = math.floor((redis.call('ZSCORE', 'ms:leases', run[10]) or now_ms()) - now_ms())
    end
    for field = 1, 12 do run[field] = run[field] or '' end
    found[i] = run
  else
    found[i] = {}
  end
end
return found
