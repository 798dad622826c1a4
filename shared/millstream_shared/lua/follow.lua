-- Has an inbox told of the end of a run that another process submitted.
-- ARGV: run id, inbox   Gives 1, or 0 if there is no such run, or it has ended.
-- also when memory is full
-- uses: following
local id, inbox = ARGV[1], ARGV[2]
return is_live(id) and follow(id, inbox, {}) and 1 or 0
