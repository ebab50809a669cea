// Helper, server and delegate as processes; whoever started them is the direct client and the owner of inputs.
import { type ChildProcess, fork } from 'node:child_process'
import { fileURLToPath } from 'node:url'
import { Delegate } from '../../src/delegate/delegate.js'
import { prepareModel } from '../../src/files/prepared-model.js'
import { connect } from '../../src/net/index.js'
import { listen } from '../../src/net/websocket-server.node.js'
import { Helper } from '../../src/party/helper/helper.js'
import { Server } from '../../src/party/server.js'
import { keyPair } from '../../src/random/seed.js'
import { prepareWorkload, type Workload } from '../../test/fixtures/workloads.js'
import { answer } from '../processes/parties.js'

export const DELEGATED_FLAG = '--delegated-party'

/** What a server serves. */
export interface Network {
  readonly workload: Workload
  /** Of a model that is read in place of making the workload's network. */
  readonly folder?: string
}

interface Order extends Partial<Network> {
  readonly role: 'helper' | 'server' | 'delegate'
  readonly helper?: string
  readonly server?: string
  /** The delegate's secret: a bench has none to keep. */
  readonly secret?: number[]
  readonly connections?: number
  readonly high?: number
}

/** What a process has used and holds. */
export interface Standing {
  readonly cpuSeconds: number
  /** Inferences that a delegate has ready. */
  readonly prepared: number
}

/** One of the processes. */
export class Process {
  private constructor(
    private readonly child: ChildProcess,
    readonly url: string,
  ) {}

  static async start(order: Order): Promise<Process> {
    const stdio = ['ignore', 'inherit', 'inherit', 'ipc'] as const
    const child = fork(fileURLToPath(import.meta.url), [DELEGATED_FLAG], { stdio: [...stdio] })
    child.send(order)
    const { url } = await answer<{ url: string }>(child)
    return new Process(child, url)
  }

  standing(): Promise<Standing> {
    return new Promise((resolve) => {
      this.child.once('message', (message) => resolve(message as Standing))
      this.child.send({})
    })
  }

  stop(): void {
    this.child.kill()
  }
}

/** Starts the three; what they are for is called with a delegate that is at work. */
export async function withDelegate<T>(
  network: Network,
  pool: { connections: number; high: number },
  use: (parties: { helper: Process; server: Process; delegate: Process; delegateKey: Uint8Array }) => Promise<T>,
): Promise<T> {
  const started: Process[] = []
  const start = async (order: Parameters<typeof Process.start>[0]) => {
    const process = await Process.start(order)
    started.push(process)
    return process
  }
  const keys = keyPair()
  const secret = [...keys.secretKey]
  try {
    const helper = await start({ role: 'helper' })
    const server = await start({ role: 'server', ...network, helper: helper.url, secret })
    const common = { role: 'delegate', helper: helper.url, server: server.url, secret } as const
    const delegate = await start({ ...common, ...pool })
    return await use({ helper, server, delegate, delegateKey: keys.publicKey })
  } finally {
    for (const process of started) process.stop()
  }
}

/** In a child: plays what it is told to. */
export function playDelegated(): void {
  process.once('message', async (order: Order) => {
    const { url, prepared } = await ROLES[order.role](order)
    process.on('message', () => {
      const { user, system } = process.cpuUsage()
      process.send!({ cpuSeconds: (user + system) / 1e6, prepared: prepared() } satisfies Standing)
    })
    process.send!({ url })
  })
  process.once('disconnect', () => process.exit(0))
}

const LOCAL = { host: '127.0.0.1', port: 0 }
const none = () => 0
const complain = (error: Error): void => void process.stderr.write(`${error.message}\n`)

const ROLES = {
  async helper() {
    const party = await Helper.create({ onError: complain })
    const { url } = await listen({ ...LOCAL, onConnection: (channel) => void party.run(channel) })
    return { url, prepared: none }
  },
  /** With a delegate's secret it serves that delegate alone. */
  async server({ workload, folder, helper, secret }: Order) {
    const delegateKey = secret && keyPair(Uint8Array.from(secret)).publicKey
    const options = { ...workload!.options, ...(secret && { delegated: true }) }
    const { compiled } = folder
      ? await prepareModel(folder, undefined, options)
      : prepareWorkload({ ...workload!, options })
    const party = await Server.create(compiled, () => connect(helper!), { delegateKey, onError: complain })
    const exchange = () => (secret ? party.exchange : undefined)
    const { url } = await listen({ ...LOCAL, exchange, onConnection: (channel) => void party.run(channel) })
    return { url, prepared: none }
  },
  async delegate({ server, helper, secret, connections = 1, high = 2 }: Order) {
    const identity = keyPair(Uint8Array.from(secret!))
    const prepared = { low: high, high }
    const party = await Delegate.create({ server: server!, helper: helper!, identity, connections, prepared })
    const { url } = await listen({
      ...LOCAL,
      exchange: () => party.exchange,
      onConnection: (channel) => channel.close(),
    })
    return { url, prepared: () => party.status.prepared }
  },
} satisfies Record<Order['role'], (order: Order) => Promise<{ url: string; prepared: () => number }>>
