// The example's helper. A viewer who asks is shown the last request that came over his connection.
import { Helper } from 'ringfence/helper'
import { listen } from 'ringfence/node'
import { Kind, observed, payloadOf, tell, wishes } from './observed.mjs'

const port = Number(process.argv[2] ?? 0)
const helper = await Helper.create({ onError: (error) => console.error(`helper: ${error.message}`) })
const { url } = await listen({ port, onConnection: (channel, info) => helper.run(watched(channel, wishes(info))) })
tell({ url })
if (!process.send) console.log(`helper at ${url}`)
process.on('disconnect', () => process.exit())

function watched(channel, { viewer }) {
  if (!viewer) return channel
  return observed(channel, (kind, message) => {
    if (kind === Kind.deal) tell({ viewer, helper: { request: Buffer.from(payloadOf(message)).toString('hex') } })
  })
}
