/**
 * What Redis does for a bucket, as scripts: each is atomic, looks at one key (so it works in a cluster), and goes by
 * Redis' own clock, so that the clocks of gateways need not agree. A refused request writes nothing.
 *
 * They run on Redis 6 and newer, and on Valkey.
 */

/**
 * A fixed window as `fixed-window.ts` has it, in the place of rate-limiter-flexible's own script, whose windows are
 * whole seconds and which counts what it refuses.
 *
 * ARGV: hits, length of the window in ms, capacity.
 * Returns the hits used with this request's (more than the capacity: refused, and nothing was counted), ms to the end.
 */
export const TAKE_FIXED = `
local hits, capacity = tonumber(ARGV[1]), tonumber(ARGV[3])
local ttl = redis.call('PTTL', KEYS[1])
if ttl <= 0 then
  if hits <= capacity then redis.call('SET', KEYS[1], hits, 'PX', ARGV[2]) end
  return {hits, tonumber(ARGV[2])}
end
local used = tonumber(redis.call('GET', KEYS[1])) + hits
if used <= capacity then redis.call('INCRBY', KEYS[1], hits) end
return {used, ttl}
`

/** ARGV: hits to count whether they fit or not, or to give back; length of the window in ms. */
export const ADJUST_FIXED = `
if redis.call('PTTL', KEYS[1]) <= 0 then
  if tonumber(ARGV[1]) > 0 then redis.call('SET', KEYS[1], ARGV[1], 'PX', ARGV[2]) end
elseif redis.call('INCRBY', KEYS[1], ARGV[1]) < 0 then
  redis.call('SET', KEYS[1], 0, 'KEEPTTL')
end
return 1
`

/**
 * A sliding window as `sliding-window.ts` has it. The log is MessagePack: when the last entry began, then a time (µs
 * since 1970) and hits for each entry.
 *
 * ARGV: hits (negative: give back), length of the window in µs, capacity, grain in µs, 1 to count in any case.
 * Returns 1 where admitted, hits left, and µs until as many are free, or until the first one is.
 */
export const TAKE_SLIDING = `
local hits, per, capacity = tonumber(ARGV[1]), tonumber(ARGV[2]), tonumber(ARGV[3])
local clock = redis.call('TIME')
local now = tonumber(clock[1]) * 1000000 + tonumber(clock[2])
local raw = redis.call('GET', KEYS[1])
local old = raw and cmsgpack.unpack(raw) or {0}
local log, used = {old[1]}, 0
for i = 2, #old, 2 do
  if old[i] + per > now then
    log[#log + 1] = old[i]
    log[#log + 1] = old[i + 1]
    used = used + old[i + 1]
  end
end
local function freeIn(count)
  local freed = 0
  for i = 2, #log, 2 do
    freed = freed + log[i + 1]
    if freed >= count then return log[i] + per - now end
  end
  return per
end
if hits > 0 and ARGV[5] ~= '1' and used + hits > capacity then
  return {0, math.max(0, capacity - used), freeIn(used + hits - capacity)}
end
if hits > 0 then
  if #log > 1 and now - log[1] < tonumber(ARGV[4]) then
    log[#log - 1] = now
    log[#log] = log[#log] + hits
  else
    log[1] = now
    log[#log + 1] = now
    log[#log + 1] = hits
  end
else
  local left = math.min(-hits, used)
  while left > 0 do
    local own = log[#log]
    if own > left then
      log[#log] = own - left
      left = 0
    else
      left = left - own
      log[#log] = nil
      log[#log] = nil
    end
  end
end
used = math.max(0, used + hits)
if #log > 1 then
  redis.call('SET', KEYS[1], cmsgpack.pack(log), 'PX', math.ceil(per / 1000))
else
  redis.call('DEL', KEYS[1])
end
return {1, math.max(0, capacity - used), freeIn(1)}
`
