// Counts the flights of a batch over all links by a logical clock: a message's wave is one more than the latest that
// its sender had received when it was sent.
import { type Channel, memoryPair, Phase } from '../../src/net/index.js'
import type { Backend, Role, Variant } from './backend.js'
import { playInThread } from './host.js'

/** Waves do not depend on how many values there are. */
const FEW = 64

/** Where a frame says its phase (src/net/framing.ts). */
const PHASE_AT = 5

/** Measured in this thread, apart from everything that is timed. */
export async function countFlights(backend: Backend, variant: Variant): Promise<number> {
  const waves = new Waves()
  await playInThread([backend], { variant, elements: FEW, warmup: 0, runs: 1 }, (a, b) => waves.pair(a, b))
  return waves.last
}

class Waves {
  /** The latest of all messages on line. */
  last = 0
  /** That each party has received. */
  readonly #received: Record<Role, number> = { client: 0, server: 0, helper: 0 }

  pair(a: Role, b: Role): [Channel, Channel] {
    const [x, y] = memoryPair()
    const [toA, toB]: [number[], number[]] = [[], []]
    return [this.#counted(x, a, toA, toB), this.#counted(y, b, toB, toA)]
  }

  #counted(channel: Channel, me: Role, arriving: number[], leaving: number[]): Channel {
    return {
      send: (message) => {
        const online = message[PHASE_AT] === Phase.online
        const wave = this.#received[me] + (online ? 1 : 0)
        if (online) this.last = Math.max(this.last, wave)
        leaving.push(wave)
        channel.send(message)
      },
      receive: async (options) => {
        const message = await channel.receive(options)
        this.#received[me] = Math.max(this.#received[me], arriving.shift()!)
        return message
      },
      drained: () => channel.drained(),
      close: (reason) => channel.close(reason),
      closed: channel.closed,
    }
  }
}
