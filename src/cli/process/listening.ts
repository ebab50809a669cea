// What `helper` and `serve` have in common: an address to listen on, connections to log, a clean end.
import { readFile } from 'node:fs/promises'
import { createSecureContext } from 'node:tls'
import { RingfenceError } from '../../errors.js'
import { type Channel, Meter } from '../../net/index.js'
import { type Listener, type ListenOptions, listen } from '../../net/websocket-server.node.js'
import type { FlagDefinitions, Flags } from '../terminal/arguments.js'
import { byteSize, painter } from '../terminal/terminal.js'

export const LISTEN_FLAGS = {
  listen: { type: 'string', valueHint: 'HOST:PORT', description: 'where to listen; port 0 picks a free one' },
  cert: { type: 'string', valueHint: 'FILE', description: 'TLS certificate chain, PEM; needed off this machine' },
  key: { type: 'string', valueHint: 'FILE', description: "the certificate's private key, PEM" },
  'behind-proxy': { type: 'boolean', description: 'a proxy in front ends TLS, and nobody else reaches this port' },
  quiet: { type: 'boolean', description: 'print no line per connection' },
} as const satisfies FlagDefinitions

export type Address = Pick<ListenOptions, 'host' | 'port' | 'tls' | 'behindProxy'>

/** Reads the flags above. Problems are left with `flags`; files are read only after its `check`. */
export async function listenAddress(flags: Flags, defaultPort: number): Promise<Address> {
  const { host, port } = parseAddress(flags, flags.text('listen'), defaultPort)
  const [cert, key] = [flags.text('cert'), flags.text('key')]
  if ((cert === undefined) !== (key === undefined)) flags.fault('--cert and --key go together: give both or neither')
  flags.check()
  const tls = cert && key ? await readIdentity(cert, key) : undefined
  return { host, port, tls, behindProxy: flags.on('behind-proxy') }
}

function parseAddress(flags: Flags, text: string | undefined, defaultPort: number): { host: string; port: number } {
  if (text === undefined) return { host: '127.0.0.1', port: defaultPort }
  const [, host = '127.0.0.1', digits] = /^(?:(\[[^\]]+\]|[^:]+)?:)?(\d{1,5})$/.exec(text) ?? []
  const port = Number(digits)
  if (digits === undefined || port > 65_535) {
    flags.fault(`--listen: expected HOST:PORT, :PORT or PORT with a port from 0 to 65535, got ${text}`)
  }
  return { host, port }
}

/** Certificate and key, tried out before anything listens with them. */
async function readIdentity(certFile: string, keyFile: string): Promise<{ cert: string; key: string }> {
  const identity = { cert: await pemFile(certFile), key: await pemFile(keyFile) }
  try {
    createSecureContext(identity)
  } catch (cause) {
    const what = `${certFile} and ${keyFile}: expected a certificate and its private key, both PEM`
    throw new RingfenceError('BAD_FILE', what, [], { cause })
  }
  return identity
}

async function pemFile(file: string): Promise<string> {
  try {
    return await readFile(file, 'utf8')
  } catch (cause) {
    const { code } = cause as NodeJS.ErrnoException
    throw new RingfenceError('BAD_FILE', `expected a PEM file at ${file}, but it cannot be read (${code})`, [], {
      cause,
    })
  }
}

/** Says what happens to a long-running party: text for people, one JSON object per line for programs. */
export class Log {
  readonly #json: boolean
  readonly #quiet: boolean

  constructor(flags: Flags) {
    this.#json = flags.on('json')
    this.#quiet = flags.on('quiet')
  }

  /** What whoever started the party waits for: said even when quiet. */
  ready(facts: Readonly<Record<string, string>>): void {
    if (this.#json) {
      this.#line(JSON.stringify({ event: 'ready', ...facts }))
      return
    }
    const paint = painter(process.stdout)
    const indent = Math.max(...Object.keys(facts).map((name) => name.length)) + 2
    for (const [name, value] of Object.entries(facts)) {
      this.#line(`${paint('dim', words(name).padEnd(indent + 1))}${value}`)
    }
  }

  event(event: string, facts: Readonly<Record<string, string | number>>, text: string): void {
    if (this.#quiet) return
    if (this.#json) this.#line(JSON.stringify({ event, ...facts }))
    else this.#line(text)
  }

  failure(error: RingfenceError): void {
    const [message] = error.message.split('\n', 1)
    this.event('failure', { code: error.code, message }, `a connection failed, ${error.code}: ${message}`)
  }

  #line(text: string): void {
    process.stdout.write(`${text}\n`)
  }
}

/** `publicKey` → `public key` */
const words = (name: string): string => name.replace(/[A-Z]/g, (letter) => ` ${letter.toLowerCase()}`)

/** Listens and hands every connection to `serve`, which ends when the connection does. */
export function acceptConnections(
  address: Address,
  log: Log,
  serve: (channel: Channel, meter: Meter) => Promise<void>,
): Promise<Listener> {
  let accepted = 0
  const onConnection: ListenOptions['onConnection'] = async (channel, { remoteAddress }) => {
    const connection = ++accepted
    log.event('open', { connection, remoteAddress }, `connection ${connection} from ${remoteAddress}`)
    const meter = new Meter()
    await serve(channel, meter)
    const { received, sent } = traffic(meter)
    const text = `connection ${connection} ended, ${byteSize(received)} in, ${byteSize(sent)} out`
    log.event('close', { connection, bytesReceived: received, bytesSent: sent }, text)
  }
  return listen({ ...address, onConnection })
}

function traffic(meter: Meter): { received: number; sent: number } {
  const phases = Object.values(meter.report().links).flatMap((link) => Object.values(link))
  const sum = (of: 'bytesReceived' | 'bytesSent') => phases.reduce((total, phase) => total + phase[of], 0)
  return { received: sum('bytesReceived'), sent: sum('bytesSent') }
}

/** Resolves when the user ends the program; a second Ctrl-C ends it without tidying up. */
export function interrupted(): Promise<void> {
  return new Promise((resolve) => {
    for (const signal of ['SIGINT', 'SIGTERM'] as const) {
      process.once(signal, () => {
        process.once(signal, () => process.exit(130))
        resolve()
      })
    }
  })
}
