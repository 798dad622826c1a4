-- How runs stand, in one glance: their records, or whether they are still to be executed.
-- ARGV: ids...   Gives for each: its record, or RQ's status while it is queued or running, or nothing.
local seen = {}
for i, id in ipairs(ARGV) do
  local record = redis.call('HGET', tree(id), id)
  if record then
    seen[i] = record
  else
    seen[i] = redis.call('HGET', 'rq:job:' .. id, 'status') or ''
  end
end
return seen
