-- Takes away all that is kept of runs that have ended, beside their records: dead letters and lines that they logged.
-- ARGV: ids...
-- uses: liveness
for _, id in ipairs(ARGV) do
  if not is_live(id) then
    local job = 'rq:job:' .. id
    local queue = redis.call('HGET', job, 'origin')
    if queue then redis.call('ZREM', 'rq:failed:' .. queue, id) end
    redis.call('UNLINK', job, 'ms:logs:' .. id)
  end
end
return #ARGV
