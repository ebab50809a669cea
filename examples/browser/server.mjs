// The example's server, with the packaged ResNet-20. A viewer who asks is shown the masked picture that came over his
// connection; nobody else's is kept or shown.
import { findModel, listen, loadModelDirectory } from 'ringfence/node'
import { compile, connect, Meter, Server } from 'ringfence/server'
import { delayed, Kind, observed, payloadOf, tell, wishes } from './observed.mjs'

const [helper, port = '0'] = process.argv.slice(2)
const { arch, weights, calibration, spec } = await loadModelDirectory(findModel('resnet20-cifar10'))
const meter = new Meter() // of the link to the helper
const onError = (error) => console.error(`server: ${error.message}`)
const server = await Server.create(compile(arch, weights, calibration, spec), () => connect(helper), { meter, onError })
const onConnection = (channel, info) => server.run(watched(channel, wishes(info)))
const { url } = await listen({ port: Number(port), onConnection })
tell({ url })
if (!process.send) console.log(`server at ${url}`)
process.on('disconnect', () => process.exit())

function watched(channel, { viewer, rtt }) {
  const wire = delayed(channel, rtt)
  if (!viewer) return wire
  return observed(wire, (kind, message) => {
    if (kind !== Kind.input) return
    const payload = payloadOf(message)
    const masked = Buffer.from(payload.subarray(8)).toString('base64') // behind the inference's number
    tell({ viewer, server: { masked, dealtBytes: dealtBytes() } })
  })
}

/** What the helper sent for one inference: the last step's message comes once in each. */
function dealtBytes() {
  const { bytesReceived, steps } = meter.report().links.helper.offline
  return Math.round(bytesReceived / steps.at(-1).messagesReceived)
}
