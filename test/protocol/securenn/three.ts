// Client, server and helper of the published protocol in one process, on links that count bytes and waves: a message's
// wave is one more than the latest its sender had received when it was sent.
import { type Kernels, loadKernels, type Region, upload } from '../../../src/kernels/instance.js'
import { type Channel, Link, memoryPair } from '../../../src/net/index.js'
import type { HelperSide, Side } from '../../../src/protocol/securenn/parties.js'
import { freshSeed, type Seed } from '../../../src/random/seed.js'
import { Streams } from '../../../src/random/streams.js'

const HEADER = 8

export interface Traffic {
  /** Payload over all links. */
  bytes: number
  /** Longest chain of messages that wait for each other. */
  flights: number
  /** Payloads each party received, in order. */
  views: Record<Name, Uint8Array[]>
  /** The same with what they are. */
  messages: { from: Name; to: Name; kind: number; step: number; payload: Uint8Array }[]
}

type Name = 'client' | 'server' | 'helper'

export interface Three {
  client: Side
  server: Side
  helper: HelperSide
  traffic: Traffic
}

export interface ThreeSeeds {
  common?: Seed
  ch?: Seed
  sh?: Seed
  own?: Seed
}

/** @param make streams with a fault, in place of honest ones */
export function three(
  seeds: ThreeSeeds = {},
  make = (k: Kernels, seed: Seed): Streams => new Streams(k, seed, 12),
): Three {
  const traffic: Traffic = { bytes: 0, flights: 0, views: { client: [], server: [], helper: [] }, messages: [] }
  const latest: Record<Name, number> = { client: 0, server: 0, helper: 0 }
  const counted = (channel: Channel, from: Name, to: Name, waves: number[]): Channel => ({
    ...bound(channel),
    send: (message) => {
      traffic.bytes += message.byteLength - HEADER
      waves.push(latest[from] + 1)
      traffic.flights = Math.max(traffic.flights, latest[from] + 1)
      const payload = message.slice(HEADER)
      traffic.views[to].push(payload)
      traffic.messages.push({ from, to, kind: message[4], step: message[6] + 256 * message[7], payload })
      channel.send(message)
    },
  })
  const joined = (a: Name, b: Name): [Link, Link] => {
    const [x, y] = memoryPair()
    const [toB, toA]: number[][] = [[], []]
    const waves = (channel: Channel, me: Name, arriving: number[]): Channel => ({
      ...channel,
      receive: async (options) => {
        const message = await channel.receive(options)
        latest[me] = Math.max(latest[me], arriving.shift()!)
        return message
      },
    })
    const options = { deadlineMs: 60_000, maxFrame: 2 ** 30 }
    return [
      new Link(waves(counted(x, a, b, toB), a, toA), { name: b, ...options }),
      new Link(waves(counted(y, b, a, toA), b, toB), { name: a, ...options }),
    ]
  }
  const [cs, sc] = joined('client', 'server')
  const [chLink, hc] = joined('client', 'helper')
  const [shLink, hs] = joined('server', 'helper')
  const all = { common: freshSeed(), ch: freshSeed(), sh: freshSeed(), own: freshSeed(), ...seeds }
  const [kc, ks, kh] = [loadKernels(), loadKernels(), loadKernels()]
  return {
    client: { k: kc, party: 0, common: make(kc, all.common), dealt: make(kc, all.ch), peer: cs, helper: chLink },
    server: { k: ks, party: 1, common: make(ks, all.common), dealt: make(ks, all.sh), peer: sc, helper: shLink },
    helper: {
      k: kh,
      ch: make(kh, all.ch),
      sh: make(kh, all.sh),
      own: make(kh, all.own),
      client: hc,
      server: hs,
    },
    traffic,
  }
}

function bound(channel: Channel): Channel {
  return {
    send: (message) => channel.send(message),
    receive: (options) => channel.receive(options),
    drained: () => channel.drained(),
    close: (reason) => channel.close(reason),
    closed: channel.closed,
  }
}

/** Two shares of values, one in either party's memory. */
export function shared({ client, server }: Three, values: readonly bigint[]): [Region, Region] {
  const mine = new BigUint64Array(values.length)
  for (let at = 0; at < mine.length; at += 8192) crypto.getRandomValues(mine.subarray(at, at + 8192))
  const theirs = BigUint64Array.from(values, (v, i) => BigInt.asUintN(64, v - mine[i]))
  return [upload(client.k.memory, mine), upload(server.k.memory, theirs)]
}

/** The signed values two shares stand for. */
export const opened = (a: Region, b: Region, count: number): bigint[] =>
  Array.from({ length: count }, (_, i) => BigInt.asIntN(64, a.u64()[i] + b.u64()[i]))
