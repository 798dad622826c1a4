-- How runs stand, in one glance: their records, or whether they are still to be executed.
-- ARGV: ids...   Gives for each: its record, or '' and RQ's status while it is queued or running, or nothing of it.
local seen = {}
for i, id in ipairs(ARGV) do
  local record = redis.call('HGET', tree(id), id)
  if record then
    seen[i] = record
  else
    local job = 'rq:job:' .. id
    local status = redis.call('HGET', job, 'status')
    seen[i] = status or (redis.call('EXISTS', job) == 1 and 'queued' or '')
  end
end
return seen
