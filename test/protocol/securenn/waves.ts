// Whole parties on `securenn` over channels that count bytes and waves of every link: a message's wave is one more than
// the latest its sender had received when it was sent.
import { type Channel, HEADER_BYTES, memoryPair, Phase } from '../../../src/net/index.js'
import { Client, type InferenceResult } from '../../../src/party/client/client.js'
import { Helper } from '../../../src/party/helper/helper.js'
import { Server } from '../../../src/party/server.js'
import type { Compiled } from '../../../src/plan/compile/compile.js'
import type { LinkBytes } from '../../../src/protocol/transcript.js'
import { AUDIT, revealMasks } from '../../../src/testing.js'

type Name = 'client' | 'server' | 'helper'

export interface Measured {
  /** On-line bytes, frame headers included. */
  readonly bytes: LinkBytes
  readonly flights: number
  /** Frames longer than one piece of a message: pieces of one message are one wave. */
  readonly frames: number
  readonly result: InferenceResult
  readonly masks: ReturnType<typeof revealMasks>
}

class Clock {
  readonly #latest: Record<Name, number> = { client: 0, server: 0, helper: 0 }
  readonly bytes = new Map<string, number>()
  flights = 0
  frames = 0

  /** Two ends of a counted channel. */
  pair(a: Name, b: Name): [Channel, Channel] {
    const [x, y] = memoryPair()
    const [toB, toA]: number[][] = [[], []]
    return [this.#watched(x, a, b, toB, toA), this.#watched(y, b, a, toA, toB)]
  }

  #watched(channel: Channel, me: Name, to: Name, leaving: number[], arriving: number[]): Channel {
    const waves = new Map<string, number>()
    return {
      send: (message) => {
        if (message[5] === Phase.online) leaving.push(this.#sent(message, `${me}-${to}`, this.#latest[me] + 1, waves))
        else leaving.push(0)
        channel.send(message)
      },
      receive: async (options) => {
        const message = await channel.receive(options)
        this.#latest[me] = Math.max(this.#latest[me], arriving.shift()!)
        return message
      },
      drained: () => channel.drained(),
      close: (reason) => channel.close(reason),
      closed: channel.closed,
    }
  }

  #sent(message: Uint8Array, link: string, wave: number, waves: Map<string, number>): number {
    this.bytes.set(link, (this.bytes.get(link) ?? 0) + message.byteLength)
    this.frames++
    // Kind and step: what follows under the same ones continues the message.
    const name = message.subarray(4, HEADER_BYTES).join()
    const first = waves.get(name) ?? wave
    waves.set(name, first)
    this.flights = Math.max(this.flights, first)
    return first
  }
}

/** One inference between three parties. */
export async function measured(compiled: Compiled, input: Float32Array): Promise<Measured> {
  const clock = new Clock()
  const seeds: { ch?: Uint8Array; sh?: Uint8Array; model?: Uint8Array } = {}
  const options = { deadlineMs: 60_000 }
  const helper = await Helper.create(options)
  const toHelper = (from: Name): Channel => {
    const [near, far] = clock.pair(from, 'helper')
    void helper.run(far)
    return near
  }
  const server = await Server.create(compiled, () => toHelper('server'), {
    ...options,
    [AUDIT]: ({ seed }) => Object.assign(seeds, { sh: seed }),
  })
  const [near, far] = clock.pair('client', 'server')
  void server.run(far)
  const client = await Client.create({
    ...options,
    server: near,
    helper: toHelper('client'),
    [AUDIT]: ({ seed, model }) => Object.assign(seeds, { ch: seed, model }),
  })
  try {
    const result = await client.run(input)
    const masks = revealMasks(compiled.plan, seeds as Required<typeof seeds>, result.inference)
    const along = (link: string) => clock.bytes.get(link) ?? 0
    const bytes = {
      up: along('client-server'),
      down: along('server-client'),
      clientHelper: along('client-helper'),
      serverHelper: along('server-helper'),
      helperServer: along('helper-server'),
    }
    if (along('helper-client') > 0) throw new Error('the helper sent something to the client')
    return { bytes, flights: clock.flights, frames: clock.frames, result, masks }
  } finally {
    await client.release()
    await server.release()
    await helper.release()
  }
}
