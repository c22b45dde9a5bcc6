-- Verification requests of many signers, at random: wrk ... -- BODIES_FILE SECRET
-- Each line of the file is the body of one request.
local requests = {}

function init(args)
  local headers = {
    ["Authorization"] = "Bearer " .. args[2],
    ["Content-Type"] = "application/json",
  }
  for body in io.lines(args[1]) do
    requests[#requests + 1] = wrk.format("POST", nil, headers, body)
  end
end

function request()
  return requests[math.random(#requests)]
end
