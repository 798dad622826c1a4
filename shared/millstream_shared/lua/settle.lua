-- Records how runs ended, if the worker that says so still holds them, and hands on what waited for them.
-- The worker may go on with others in the same breath, among them those that it was which let them begin.
-- ARGV: owner, retention in seconds, '1' to take runs in any case and not only if some were waiting for these, how many
--       arguments of `claiming.lua` follow (0: to take none), these, then for each run: id, attempt, record
-- Gives the ids that were refused, as another worker had taken them over, or they are flow runs that can only be
-- Cancelled; and what `claim` gives, if it was called.
-- also when memory is full
-- may use slots.lua
-- uses claiming.lua
local owner, retention, always, wishes = ARGV[1], ARGV[2], ARGV[3] == '1', tonumber(ARGV[4])
local first = 5 + wishes
local held = 'ms:held:' .. owner
local ids, ended, settled, refused, told, freed = {}, {}, {}, {}, {}, {}
local lost = 0
for i = first, #ARGV, 3 do ids[#ids + 1] = ARGV[i] end
local attempts = redis.call('HMGET', held, unpack(ids))
for i, id in ipairs(ids) do
  local attempt, record = ARGV[first + 3 * i - 2], ARGV[first + 3 * i - 1]
  if must_stop(id, record) then
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
enqueue_again(freed)
if #leaving > 0 then slots().pass_slots_on() end
tell(told)
if wishes == 0 or not (always or #freed > 0 or slots_made) or not redis.call('ZSCORE', 'ms:leases', owner) then
  return { refused }
end
local claimed = claim(owner, { unpack(ARGV, 5, 4 + wishes) })
if slots_made then slots_made.pass_slots_on() end
return { refused, claimed }
