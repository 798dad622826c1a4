-- What became of slots that code of a process holds under a lease of its own.
-- uses: slots

-- Whether code has lost its slots. A limit that was deleted or switched off since asks for nothing.
local function has_lost(id, held)
  for _, name in ipairs(held.names) do
    local limit = limit_named(name)
    if limit and limit.holds and redis.call('HEXISTS', 'ms:slots:' .. name, id) == 0 then return true end
  end
  return false
end
