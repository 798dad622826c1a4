-- What is done when runs end.
-- uses: common, news, handover
-- may use: unusual_endings

-- Writes the records of ended runs, takes their jobs away, frees what waited for them. `ended` has ids and records in
-- turn, at most 1,000 of each. What can be done for all of them in one call is: a call costs as much as what it does.
local function finish(ended, keep, told, freed)
  local trees, jobs = {}, {}
  for i = 1, #ended, 2 do
    local id, record = ended[i], ended[i + 1]
    local key, job, letter = tree(id), 'rq:job:' .. id, string.byte(record, 2)
    -- A flow run that did not complete may be resumed.
    local is_kept = letter == 75
    if is_flow(id) then
      unusual_endings().list_flow_run(id, redis.call('HGET', key, id), record, '', keep)
      is_kept = letter ~= 67
    end
    trees[key] = trees[key] or {}
    table.insert(trees[key], id)
    table.insert(trees[key], record)
    local known = redis.call('HMGET', job, 'reply', 'dependents', 'slots', 'awaits')
    if is_kept then unusual_endings().bury(job, id, keep) else jobs[#jobs + 1] = job end
    if known[1] then add_news(told, known[1], id, record) end
    if known[2] then unusual_endings().free_dependents(id, record, told, freed) end
    if known[3] or known[4] then leaving[#leaving + 1] = { id = id, slots = known[3], awaits = known[4] } end
  end
  for key, records in pairs(trees) do
    redis.call('HSET', key, unpack(records))
    redis.call('EXPIRE', key, keep)
  end
  if #jobs > 0 then redis.call('DEL', unpack(jobs)) end
end
