-- How an attempt to log in ended: how many milliseconds the next one of this account from this address has to wait.
-- KEYS: what is remembered of the address. ARGV: account, nonce, succeeded (1 or 0), free failures, first and longest wait in
-- ms, window in ms.
if redis.call('HDEL', KEYS[1], 'p:' .. ARGV[2]) == 0 then return 0 end
local name = 'a:' .. ARGV[1]
if ARGV[3] == '1' then
  redis.call('HDEL', KEYS[1], name)
  return 0
end
local time = redis.call('TIME')
local now = tonumber(time[1]) * 1000 + math.floor(tonumber(time[2]) / 1000)
local free, first, longest, window = tonumber(ARGV[4]), tonumber(ARGV[5]), tonumber(ARGV[6]), tonumber(ARGV[7])
local began = tonumber(redis.call('HGET', KEYS[1], 'began') or '0')
if began + window <= now then
  redis.call('HSET', KEYS[1], 'began', string.format('%.0f', now), 'count', 1)
else
  redis.call('HINCRBY', KEYS[1], 'count', 1)
end
local failures = 1
local before = redis.call('HGET', KEYS[1], name)
if before then
  local n, last = string.match(before, '^(%d+):(%d+):')
  if tonumber(last) + window > now then failures = tonumber(n) + 1 end
end
local wait = 0
if failures > free then wait = math.min(first * 2 ^ (failures - free - 1), longest) end
local numbers = string.format('%.0f:%.0f:%.0f', failures, now, now + wait)
redis.call('HSET', KEYS[1], name, numbers)
redis.call('PEXPIRE', KEYS[1], window)
return wait
