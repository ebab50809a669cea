// Several fronts of one helper. A registration is at the front that its server came to, and nowhere else: whoever comes to another
// front is led there. So each number is dealt for one key and under one k_H, however many fronts there are.
import type { Engine } from '../engine/engine.js'
import { type Channel, connect, HEADER_BYTES, type PeerRole, withFirst } from '../net/index.js'
import { Caller, decodeHello, equal, HELLO_BYTES, hex } from '../party/messages.js'
import { entropy } from '../random/seed.js'
import type { FleetKeys } from './keys.js'

/** Of a registration: names the front that it is at. */
const TAG_BYTES = 8
const HELLO_MS = 30_000
/** Where a front takes clients that others lead to it. */
export const CLIENT_PATH = '/v1/client'

export interface FrontsOptions {
  readonly engine: Engine
  readonly keys: () => FleetKeys
  /** Where other fronts reach this one. */
  readonly url: string
  /** Reaches another front. Default: over a WebSocket. */
  readonly open?: (url: string, options: { token: string; role: PeerRole }) => Promise<Channel>
}

export class Fronts {
  /** Of this front, for its registrations. */
  readonly tag: Uint8Array = entropy(TAG_BYTES)
  readonly #addresses = new Map<string, string>()

  constructor(private readonly options: FrontsOptions) {}

  /** Tells the others where this one is: when it starts, and when the secret was renewed. */
  async announce(): Promise<void> {
    const { engine, keys, url } = this.options
    await engine.claims.create(claimOf(this.tag, keys().names[0]), keys().seal(new TextEncoder().encode(url)))
  }

  /** Whether this is another front's token, for clients of this one. */
  admits(token: Uint8Array): boolean {
    return this.options.keys().admits(this.tag, token)
  }

  /**
   * Serves whoever connected: here, or where it belongs.
   * @param role that it was let in as @param here takes who belongs here, or nowhere
   */
  async run(channel: Channel, role: PeerRole | undefined, here: (channel: Channel) => Promise<void>): Promise<void> {
    let hello: Uint8Array
    try {
      hello = await channel.receive({ deadlineMs: HELLO_MS })
    } catch {
      return channel.close() // it left before it said anything
    }
    const said = readHello(hello)
    const other = said && !equal(said.tag, this.tag) ? await this.#reach(said.tag, role ?? said.role) : undefined
    if (!other) return here(withFirst(channel, hello))
    other.send(hello)
    try {
      await Promise.race([passOn(channel, other), passOn(other, channel)])
    } catch {
      // One end has left.
    }
    other.close()
    channel.close()
  }

  /** Undefined where there is no such front, or none that answers. */
  async #reach(tag: Uint8Array, role: PeerRole): Promise<Channel | undefined> {
    try {
      const { keys, open = connect } = this.options
      const url = await this.#addressOf(tag)
      const token = hex(keys().tokenFor(tag))
      return url === undefined ? url : await open(`${url.replace(/^http/, 'ws')}${CLIENT_PATH}`, { token, role })
    } catch {
      return undefined
    }
  }

  async #addressOf(tag: Uint8Array): Promise<string | undefined> {
    const { engine, keys } = this.options
    const known = this.#addresses.get(hex(tag))
    if (known) return known
    for (const name of keys().names) {
      const sealed = await engine.claims.get(claimOf(tag, name))
      if (!sealed) continue
      const url = new TextDecoder().decode(keys().open(sealed))
      this.#addresses.set(hex(tag), url)
      return url
    }
    return undefined
  }
}

const claimOf = (tag: Uint8Array, name: string): string => `front-${hex(tag)}-${name}`

/** Whom a first message is from, and of which front's registrations it speaks, if of any. */
function readHello(frame: Uint8Array): { tag: Uint8Array; role: PeerRole } | undefined {
  if (frame.byteLength !== HEADER_BYTES + HELLO_BYTES) return undefined
  try {
    const { role, registration } = decodeHello(frame.subarray(HEADER_BYTES))
    if (role !== Caller.client && role !== Caller.session) return undefined
    return { tag: registration.slice(0, TAG_BYTES), role: role === Caller.client ? 'client' : 'server' }
  } catch {
    return undefined // what it is instead is for the helper to say
  }
}

async function passOn(from: Channel, to: Channel): Promise<never> {
  for (;;) {
    to.send(await from.receive())
    await to.drained()
  }
}
