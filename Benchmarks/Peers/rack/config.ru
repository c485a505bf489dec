# SPDX-License-Identifier: Apache-2.0

# Rack with redis-rack. REDIS_PORT names the server.
require 'json'
require 'rack'
require 'rack/session/redis'

answer = ->(object) { [200, { 'Content-Type' => 'application/json' }, [JSON.generate(object)]] }

application = lambda do |env|
  request = Rack::Request.new(env)
  session = request.session
  case request.path
  when '/none' then answer.call({ ok: true })
  when '/read' then answer.call({ uid: session['uid'], n: session['n'] || 0 })
  when '/write', '/slow'
    count = session['n'] || 0
    sleep 0.3 if request.path == '/slow'
    session['n'] = count + 1
    answer.call({ ok: true })
  when '/login'
    request.session_options[:renew] = true
    session.update('uid' => request.params['uid'].to_i, 'name' => 'x' * 60, 'email' => 'x' * 60, 'csrf' => 'x' * 64, 'n' => 0)
    answer.call({ ok: true })
  when '/logout'
    session.destroy
    answer.call({ ok: true })
  else [404, {}, []]
  end
end

map '/bare' do
  run ->(_) { answer.call({ ok: true }) }
end

map '/' do
  use Rack::Session::Redis,
      redis_server: "redis://127.0.0.1:#{ENV.fetch('REDIS_PORT')}/0/rack:session",
      expire_after: 1800
  run application
end
