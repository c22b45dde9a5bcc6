-- Signing requests of many tenants: wrk ... -- SECRETS_FILE random|turn
-- Each line of the file is one signer's secret; its trunk fills in attest and origid.
local requests = {}
local random = true
local next_one = 0

function init(args)
  random = args[2] ~= "turn"
  local body = '{"signingRequest":{"attest":"A","dest":{"tn":["12355551212"]},'
    .. '"orig":{"tn":"12155550212"},"origid":"de305d54-75b4-431b-adb2-eb6b9e546014"}}'
  for secret in io.lines(args[1]) do
    local headers = {
      ["Authorization"] = "Bearer " .. secret,
      ["Content-Type"] = "application/json",
    }
    requests[#requests + 1] = wrk.format("POST", nil, headers, body)
  end
end

function request()
  if random then
    return requests[math.random(#requests)]
  end
  next_one = next_one % #requests + 1
  return requests[next_one]
end
