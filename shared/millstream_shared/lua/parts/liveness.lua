-- Whether a run is over.

-- A record's second byte is a capital letter once its run has ended.
local function has_ended(record)
  local letter = record and string.byte(record, 2)
  return letter and letter >= 65 and letter <= 90
end

-- Whether a run is still to be executed: it has a job, and not one that is only kept for a look at what went wrong.
local function is_live(id)
  return redis.call('HEXISTS', 'rq:job:' .. id, 'payload') == 1
end
