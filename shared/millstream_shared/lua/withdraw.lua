-- Ends runs that no worker has begun yet.
-- ARGV: retention in seconds, then for each run: id, record   Gives the ids that were withdrawn.
-- also when memory is full
-- uses: liveness, endings, slots
local ended, told, freed, gone = {}, {}, {}, {}
for i = 2, #ARGV, 2 do
  local id = ARGV[i]
  local job = 'rq:job:' .. id
  if is_live(id) and redis.call('HGET', job, 'status') ~= 'started' then
    local queue = redis.call('HGET', job, 'origin')
    redis.call('LREM', 'rq:queue:' .. queue, 1, id)
    redis.call('ZREM', 'rq:scheduled:' .. queue, id)
    ended[#ended + 1] = id
    ended[#ended + 1] = ARGV[i + 1]
    gone[#gone + 1] = id
  end
end
finish(ended, ARGV[1], told, freed)
enqueue_again(freed)
pass_slots_on()
tell(told)
return gone
