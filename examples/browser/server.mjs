// The example's server, with the packaged networks. A viewer who asks is shown the masked picture that came over his
// connection; nobody else's is kept or shown.
import { listen } from 'ringfence/node'
import { compile, connect, Meter, Server } from 'ringfence/server'
import { chosen, models } from './models.mjs'
import { delayed, Kind, observed, payloadOf, tell, wishes } from './observed.mjs'

const [helper, port = '0'] = process.argv.slice(2)
const onError = (error) => console.error(`server: ${error.message}`)
const offers = new Map()
for (const [name, { arch, weights, calibration, spec }] of models) {
  const meter = new Meter() // of the link to the helper
  const compiled = compile(arch, weights, calibration, spec)
  offers.set(name, { meter, server: await Server.create(compiled, () => connect(helper), { meter, onError }) })
}
const onConnection = (channel, info) => {
  const { query, ...wished } = wishes(info)
  const { server, meter } = chosen(query, offers)
  return server.run(watched(channel, wished, meter))
}
const { url } = await listen({ port: Number(port), onConnection })
tell({ url })
if (!process.send) console.log(`server at ${url}`)
process.on('disconnect', () => process.exit())

function watched(channel, { viewer, rtt }, meter) {
  const wire = delayed(channel, rtt)
  if (!viewer) return wire
  return observed(wire, (kind, message) => {
    if (kind !== Kind.input) return
    const payload = payloadOf(message)
    const masked = Buffer.from(payload.subarray(8)).toString('base64') // behind the inference's number
    tell({ viewer, server: { masked, dealtBytes: dealtBytes(meter) } })
  })
}

/** What the helper sent for one inference: the last step's message comes once in each. */
function dealtBytes(meter) {
  const { bytesReceived, steps } = meter.report().links.helper.offline
  return Math.round(bytesReceived / steps.at(-1).messagesReceived)
}
