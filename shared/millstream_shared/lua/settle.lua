-- Records how runs ended, if the worker that says so still holds them, and hands on what waited for them: to this worker
-- itself, as far as it has room, else to the queues.
-- ARGV: owner, retention in seconds, '1' to take runs from the queues too, how many arguments for `begin_claim` follow
--       (0: there is no room), these, then for each run: id, attempt, record
-- Gives the ids that were refused, as another worker had taken them over, or they are flow runs that can only be
-- Cancelled; what `end_claim` gives; and what `search` gives, if it was called.
-- also when memory is full
-- uses: endings
-- may use: requeueing, slots, ready
local owner, retention, wishes = ARGV[1], ARGV[2], tonumber(ARGV[4])
local first = 5 + wishes
local held = 'ms:held:' .. owner
local ids, ended, settled, refused, told, freed = {}, {}, {}, {}, {}, {}
local lost = 0
for i = first, #ARGV, 3 do ids[#ids + 1] = ARGV[i] end
local attempts = redis.call('HMGET', held, unpack(ids))
for i, id in ipairs(ids) do
  local attempt, record = ARGV[first + 3 * i - 2], ARGV[first + 3 * i - 1]
  if is_flow(id) and unusual_endings().must_stop(id, record) then
    refused[#refused + 1] = id
  elseif attempts[i] == attempt then
    settled[#settled + 1] = id
    ended[#ended + 1] = id
    ended[#ended + 1] = record
  elseif redis.call('HGET', tree(id), id) ~= record then
    -- Equal bytes mean that this very call was made before and only its answer was lost.
    refused[#refused + 1] = id
    lost = lost + 1
  end
end
if #settled > 0 then redis.call('HDEL', held, unpack(settled)) end
finish(ended, retention, told, freed)
if lost > 0 then redis.call('HINCRBY', 'ms:counters', 'refused', lost) end
local searches = ARGV[3] == '1'
-- Mostly nothing waited.
local claims = wishes > 0 and (searches or #freed > 0 or #leaving > 0)
if claims then
  ready().begin_claim(owner, 5, 4 + wishes)
  ready().accept_ready()
  freed = ready().take_ready(freed)
end
if #freed > 0 then requeueing().enqueue_again(freed) end
if #leaving > 0 then slots().pass_slots_on() end
tell(told)
if not claims then return { refused, {} } end
if not searches or not redis.call('ZSCORE', 'ms:leases', owner) then return { refused, ready().end_claim() } end
local next_due = ready().search()
if slots_made then slots_made.pass_slots_on() end
return { refused, ready().end_claim(), next_due }
