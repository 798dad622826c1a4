-- How runs stand, in one glance: their records, or whether they are still to be executed.
-- ARGV: ids...   Gives for each: its record, or RQ's status while it is queued or running, or nothing.
-- uses: common, liveness
local seen = {}
for i, id in ipairs(ARGV) do
  local record = redis.call('HGET', tree(id), id)
  local status, awaits = false, false
  if not has_ended(record) then
    status, awaits = unpack(redis.call('HMGET', 'rq:job:' .. id, 'status', 'awaits'))
  end
  -- The record of a run that was postponed, and that a worker now executes, tells how it stood then. That of a flow run
  -- is written by the process that executes it.
  if awaits then
    seen[i] = 'awaits ' .. awaits
  elseif record and status ~= 'queued' and (status ~= 'started' or is_flow(id)) then
    seen[i] = record
  else
    seen[i] = status or ''
  end
end
return seen
