-- A session's fields, or nothing; asking renews its idle time.
-- KEYS: the session.
local fields = redis.call('HMGET', KEYS[1], 'idle', 'until')
if not fields[1] then return {} end
local time = redis.call('TIME')
local now = tonumber(time[1]) * 1000 + math.floor(tonumber(time[2]) / 1000)
local left = math.min(tonumber(fields[1]), tonumber(fields[2]) - now)
if left <= 0 then
  redis.call('DEL', KEYS[1])
  return {}
end
redis.call('PEXPIRE', KEYS[1], string.format('%.0f', left))
return redis.call('HGETALL', KEYS[1])
