-- Requests for HOSTS hosts, STRIDE apart in the numbering of resources.ts, and for all paths of each, in random order.
-- wrk -s hosts.lua URL -- HOSTS STRIDE PATH...
local requests = {}

function init(args)
  local hosts, stride = tonumber(args[1]), tonumber(args[2])
  for host = 0, hosts - 1 do
    wrk.headers["Host"] = string.format("app-%05d.scale.test", host * stride)
    for at = 3, #args do
      table.insert(requests, wrk.format("GET", args[at]))
    end
  end
end

function request()
  return requests[math.random(#requests)]
end
