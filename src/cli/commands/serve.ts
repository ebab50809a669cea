// `ringfence serve`: offers a network to clients until it is stopped or loses its helper.
import { RingfenceError } from '../../errors.js'
import { findModel, packagedModels, prepareModel } from '../../files/prepared-model.js'
import { type Channel, connect } from '../../net/index.js'
import { Server } from '../../party/server.js'
import { type Address, acceptConnections, interrupted, LISTEN_FLAGS, Log, listenAddress } from '../process/listening.js'
import { type Command, type Flags, HELPER_KEY_FLAG, PLAN_FLAGS, planOptions, toHex } from '../terminal/arguments.js'
import { inFlags } from '../terminal/flag-words.js'

export const SERVER_PORT = 7702
const FAREWELL_MS = 200

export const serve: Command = {
  name: 'serve',
  summary: 'Offer a network to clients. The server sees no picture and no answer; its weights stay with it.',
  flags: {
    model: { type: 'string', valueHint: 'DIR', description: "a model's folder, or a packaged model" },
    helper: { type: 'string', valueHint: 'URL', description: 'the helper, wss://… (or ws:// on this machine)' },
    ...LISTEN_FLAGS,
    variant: { type: 'string', valueHint: 'NAME', description: "one of the model's variants" },
    ...PLAN_FLAGS,
    ...HELPER_KEY_FLAG,
    'store-mb': { type: 'string', valueHint: 'MB', description: 'mcc: memory for material dealt ahead (default 512)' },
  },
  notes: [
    `Default: --listen 127.0.0.1:${SERVER_PORT}. Models that come with ringfence: ${packagedModels().join(', ')}.`,
    'When the helper goes away the server ends with status 1, because it could do nothing more for its clients.',
  ],
  async run(flags) {
    const order = await readOrder(flags)
    const log = new Log(flags)
    const { compiled, model } = await inFlags(prepareModel(findModel(order.model), order.variant, order.plan))
    const { helperKey, storeBytes } = order
    const helper = new HelperConnections(order.helper)
    const party = await Server.create(compiled, helper.open, {
      helperKey,
      storeBytes,
      onError: (error) => log.failure(error),
    })
    const listener = await acceptConnections(order.address, log, (client, meter) => party.run(client, { meter }))
    const name = `${model.name}, variant ${model.variant}`
    const { backend } = compiled.plan
    log.ready({ role: 'server', url: listener.url, model: name, backend, planDigest: toHex(party.planDigest) })
    const end = await Promise.race([helper.gone, interrupted()])
    // Clients in the middle of an inference are told why it ends, not only that the server does.
    if (end === 'helper gone') await new Promise((resolve) => setTimeout(resolve, FAREWELL_MS))
    await listener.close()
    await party.release()
    if (end !== 'helper gone') return 0
    throw new RingfenceError(
      'PEER_GONE',
      `the helper at ${order.helper} is gone; start it, then start this server again`,
    )
  },
}

/** Connections to the helper: the first registers the model and lasts as long as the server. */
class HelperConnections {
  #first: Channel | undefined
  #lost: (end: 'helper gone') => void = () => undefined
  readonly gone = new Promise<'helper gone'>((resolve) => {
    this.#lost = resolve
  })

  constructor(private readonly url: string) {}

  readonly open = async (): Promise<Channel> => {
    const channel = await connect(this.url)
    if (!this.#first) void channel.closed.then(() => this.#lost('helper gone'))
    this.#first ??= channel
    return channel
  }
}

interface ServeOrder {
  readonly model: string
  readonly helper: string
  readonly variant: string | undefined
  readonly plan: ReturnType<typeof planOptions>
  readonly helperKey: Uint8Array | undefined
  readonly storeBytes: number | undefined
  readonly address: Address
}

async function readOrder(flags: Flags): Promise<ServeOrder> {
  const model = flags.required('model', "the folder of a model, with the server's weights")
  const helper = flags.required('helper', 'where the helper listens, for example ws://127.0.0.1:7701')
  const variant = flags.text('variant')
  const plan = planOptions(flags)
  const helperKey = flags.key('helper-key')
  const storeMB = flags.integer('store-mb', 1, 4096)
  if (storeMB !== undefined && plan.backend === 'securenn') {
    flags.fault('--store-mb: nothing is dealt ahead on securenn')
  }
  const storeBytes = storeMB === undefined ? undefined : storeMB * 2 ** 20
  const address = await listenAddress(flags, SERVER_PORT)
  return { model, helper, variant, plan, helperKey, storeBytes, address }
}
