-- What a node has pulled from one source, and what it may hold: {held, what all others have, window, ms left of it}.
-- KEYS: the source's count. ARGV: the node's count, window it knows, spent, wanted, limit, window in ms.
local time = redis.call('TIME')
local now = tonumber(time[1]) * 1000 + math.floor(tonumber(time[2]) / 1000)
local node, known = 'n:' .. ARGV[1], ARGV[2]
local spent, hold, limit, length = tonumber(ARGV[3]), tonumber(ARGV[4]), tonumber(ARGV[5]), tonumber(ARGV[6])
local window = redis.call('HGET', KEYS[1], 'window')
if not window or tonumber(window) + length <= now then
  if window then redis.call('DEL', KEYS[1]) end
  window = string.format('%.0f', now)
  redis.call('HSET', KEYS[1], 'window', window, 'all', 0)
end
if known ~= '0' and known ~= window then spent = 0 end
local all = tonumber(redis.call('HGET', KEYS[1], 'all'))
local before = redis.call('HGET', KEYS[1], node)
if before then
  local had_spent, had = string.match(before, '^(%d+):(%d+)$')
  all = all - tonumber(had_spent) - tonumber(had)
  spent = math.max(spent, tonumber(had_spent))
end
local held = math.max(math.min(hold, limit - all - spent), 0)
redis.call('HSET', KEYS[1], node, string.format('%.0f:%.0f', spent, held), 'all', string.format('%.0f', all + spent + held))
redis.call('PEXPIREAT', KEYS[1], string.format('%.0f', tonumber(window) + length))
return {held, all, window, tonumber(window) + length - now}
