-- Takes a flow run that has ended from all lists, with the records of its tree.
-- ARGV: id, its record as it was read, name of its flow, id of its deployment or '', the flow run around it or ''
-- Gives 1, or 0 if the record is another one by now: somebody has the run executed again.
-- uses: common
local id, record, flow, deployment, parent = unpack(ARGV)
local key = tree(id)
local now = redis.call('HGET', key, id)
if now and now ~= record then return 0 end
redis.call('ZREM', 'ms:flow-runs', id)
redis.call('ZREM', 'ms:flow-runs:flow:' .. flow, id)
redis.call('ZREM', 'ms:flow-runs:state:' .. string.lower(string.sub(record, 2, 2)), id)
if deployment ~= '' then redis.call('ZREM', 'ms:flow-runs:deployment:' .. deployment, id) end
local tree_digits = string.sub(id, 1, 12)
if parent ~= '' then redis.call('SREM', 'ms:subflows:' .. string.sub(parent, 1, 12), id) end
redis.call('UNLINK', key, 'ms:logged:' .. tree_digits, 'ms:subflows:' .. tree_digits, 'ms:parameters:' .. id,
  'ms:inputs:' .. id)
return 1
