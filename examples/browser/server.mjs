// The example's server, with the packaged networks, each for pages that compute and for those behind the delegate: a real one
// offers one of the two. A viewer who asks is shown the masked picture that came from him; nobody else's is kept or shown.
import { listen } from 'ringfence/node'
import { compile, connect, Meter, Server } from 'ringfence/server'
import { chosen, models } from './models.mjs'
import { delayed, Kind, observed, observedExchange, payloadOf, tell, wishes } from './observed.mjs'

/** Kind, id and plan's digest, before the masked words of a request. */
const HALF_HEAD = 1 + 16 + 32
const base64 = (bytes) => Buffer.from(bytes).toString('base64')

const [helper, key, port = '0'] = process.argv.slice(2)
const delegateKey = new Uint8Array(Buffer.from(key, 'hex'))
const onError = (error) => console.error(`server: ${error.message}`)
const toHelper = () => connect(helper)
const offers = new Map()
for (const [name, { arch, weights, calibration, spec }] of models) {
  const meter = new Meter() // of the link to the helper
  const forPages = compile(arch, weights, calibration, spec)
  const forDelegate = compile(arch, weights, calibration, spec, { delegated: true })
  offers.set(name, {
    meter,
    server: await Server.create(forPages, toHelper, { meter, onError }),
    delegated: await Server.create(forDelegate, toHelper, { delegateKey, onError }),
  })
}
const onConnection = (channel, info) => {
  const { query, ...wished } = wishes(info)
  const { server, delegated, meter } = chosen(query, offers)
  return query.has('delegated') ? delegated.run(channel) : server.run(watched(channel, wished, meter))
}
const exchange = (target) => {
  const { path, viewer, rtt, query } = wishes({ target })
  if (path !== '/delegated') return undefined
  const look = (request) => viewer && tell({ viewer, server: { masked: base64(request.subarray(HALF_HEAD)) } })
  return observedExchange(chosen(query, offers).delegated.exchange, rtt, look)
}
const { url } = await listen({ port: Number(port), onConnection, exchange })
tell({ url })
if (!process.send) console.log(`server at ${url}`)
process.on('disconnect', () => process.exit())

function watched(channel, { viewer, rtt }, meter) {
  const wire = delayed(channel, rtt)
  if (!viewer) return wire
  return observed(wire, (kind, message) => {
    if (kind !== Kind.input) return
    const payload = payloadOf(message)
    const masked = base64(payload.subarray(8)) // behind the inference's number
    tell({ viewer, server: { masked, dealtBytes: dealtBytes(meter) } })
  })
}

/** What the helper sent for one inference: the last step's message comes once in each. */
function dealtBytes(meter) {
  const { bytesReceived, steps } = meter.report().links.helper.offline
  return Math.round(bytesReceived / steps.at(-1).messagesReceived)
}
