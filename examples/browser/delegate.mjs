// The example's delegate: it plays the client for pages that send one request. What it gets of a picture is a sealed seed, which
// a viewer who asks is shown.
import { Delegate, keyPair } from 'ringfence/delegate'
import { listen } from 'ringfence/node'
import { observedExchange, tell, wishes } from './observed.mjs'

const [helper] = process.argv.slice(2)
const identity = keyPair()
const delegates = new Map()
const { url } = await listen({ exchange, onConnection: (channel) => channel.close() })
tell({ url, key: Buffer.from(identity.publicKey).toString('hex') })
process.on('disconnect', () => process.exit())
// Its server takes the delegate with this key alone, so that it is started when the key is known.
process.once('message', async ({ server, models }) => {
  for (const model of models) delegates.set(model, await workAt(`${server}?delegated&model=${model}`))
  tell({ ready: true })
})

const workAt = (server) =>
  Delegate.create({
    ...{ server, helper, identity, connections: 1, prepared: { low: 1, high: 2 } },
    onError: ({ message }) => say(`delegate: ${message}`),
  })

/** Once, however often it tries again and for however many models. */
let said = ''
function say(text) {
  if (text !== said) console.error(text)
  said = text
}

function exchange(target) {
  const { path, viewer, rtt, query } = wishes({ target })
  const delegate = path === '/delegated' && delegates.get(query.get('model'))
  const look = (request) => viewer && tell({ viewer, delegate: { seed: Buffer.from(request).toString('hex') } })
  return delegate ? observedExchange(delegate.exchange, rtt, look) : undefined
}
