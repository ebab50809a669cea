// The comparison alone, three parties over metered links: declared bytes and flights, and E1 and E2 for every value.
import { describe, expect, it } from 'vitest'
import { pack, packedBytes, unpack } from '../../../src/kernels/bits.js'
import { type Kernels, loadKernels, type Region, upload } from '../../../src/kernels/instance.js'
import { type Chain, groupsOf, tableBytes } from '../../../src/kernels/mcc.js'
import { HEADER_BYTES, Link, Meter, memoryPair, Phase } from '../../../src/net/index.js'
import { chunksOf } from '../../../src/plan/compile/chunks.js'
import { Kind } from '../../../src/protocol/kinds.js'
import {
  compareClient,
  compareServer,
  comparisonMessages,
  dealComparison,
} from '../../../src/protocol/mcc/comparison.js'
import { flights } from '../../../src/protocol/transcript.js'
import { Streams } from '../../../src/random/streams.js'
import { drawFrom, whole, windowErrs } from './gadget-plan.js'

const seed = (n: number) => new Uint8Array(32).fill(n)
const address = { layer: 3, inference: 5 }

/** Two ends of a metered link. */
function linked(a: string, b: string) {
  const meters = [new Meter(), new Meter()]
  const ends = memoryPair()
  const options = { deadlineMs: 60_000, maxFrame: 2 ** 24 }
  const links = [
    new Link(ends[0], { ...options, name: b, meter: meters[0] }),
    new Link(ends[1], { ...options, name: a, meter: meters[1] }),
  ]
  return { links, meters }
}

function padded(k: Kernels, values: readonly number[]): Region {
  const region = k.memory.allocZero(groupsOf(values.length) * 32)
  region.u32().set(values)
  return region
}

/** Opens e = y - r for every y; b of every comparison and what the links saw. */
async function compare(chain: Chain, y: readonly number[], r: readonly number[], ring: number) {
  const k = loadKernels()
  const count = y.length
  const mod = 2 ** chain.bits
  const e = y.map((value, i) => (((value - r[i]) % mod) + mod) % mod)
  const [ch, own] = [new Streams(k, seed(1), 12), new Streams(k, seed(2), 12)]
  const online = linked('client', 'server')
  const offline = linked('helper', 'server')
  const declared = comparisonMessages(chain, count, ring)
  const [dealing, opening, reply] = declared
  const cost = {
    ...{ material: dealing.bytes, down: opening.bytes, up: reply.bytes },
    flights: flights(declared.filter(({ offline }) => !offline)),
  }

  const dealt = dealComparison(k, chain, count, padded(k, r), { ch, own }, address)
  const words = k.memory.alloc(packedBytes(count, ring))
  pack(k, dealt.rhoWords, count, ring, words)
  offline.links[0].send(Kind.material, Phase.offline, 0, new Uint8Array([...dealt.tables.u8(), ...words.u8()]))
  const material = await offline.links[1].receive(Kind.material, Phase.offline, 0, cost.material)

  const tables = upload(k.memory, material.subarray(0, tableBytes(chain.chunks, count)))
  const [serverBeta, clientBeta] = await Promise.all([
    compareServer(k, chain, count, { e: padded(k, e), tables }, online.links[1], Phase.online),
    compareClient(k, chain, count, ch, address, online.links[0], Phase.online),
  ])
  expect([...serverBeta.u8()]).toEqual([...clientBeta.u8()])
  const shares = k.memory.alloc(count * 4)
  unpack(k, upload(k.memory, material.subarray(tableBytes(chain.chunks, count))), count, ring, shares)
  const halves = ch.take({ purpose: 5, ...address }, count * 4).u32()
  const bit = (bytes: Uint8Array, i: number) => (bytes[i >> 3] >> (i & 7)) & 1
  const rho = dealt.rho.u8()
  for (let i = 0; i < count; i++) {
    // Both parties' words add up to ρ, with which β becomes a share of b.
    expect((shares.u32()[i] + halves[i]) % 2 ** ring).toBe(bit(rho, i))
  }
  const b = y.map((_, i) => bit(serverBeta.u8(), i) ^ bit(rho, i))
  return { b, e, cost, online: online.meters[0].report().links.server.online, dealtBytes: offline.meters[1] }
}

const values = (k: number, count: number, draw: () => number) =>
  Array.from({ length: count }, (_, i) => {
    const half = 2 ** (k - 1)
    const edges = [0, -1, half - 1, -half, 1, half / 2, -half / 2]
    return i < edges.length ? Math.trunc(edges[i]) : whole(draw, -half, half - 1)
  })

describe('comparison alone', () => {
  for (const k of [4, 6, 8, 12, 16, 20, 32]) {
    for (const t of [1, 2, 3, 4, 5, 6, 8]) {
      const chunks = chunksOf(k, t)
      if (!chunks) continue
      it(`E1: ${k} bits in ${t} chunks cost what they declare and are never wrong`, async () => {
        const draw = drawFrom(k * 10 + t)
        const y = values(k, 61, draw)
        const r = y.map(() => whole(draw, 0, 2 ** k - 1))
        const ring = Math.max(24, k)
        const { b, cost, online, dealtBytes } = await compare({ bits: k, lo: 0, chunks, add: 0 }, y, r, ring)
        expect(b).toEqual(y.map((value) => (value >= 0 ? 1 : 0)))
        expect(online.flights).toBe(cost.flights)
        expect(online.bytesReceived).toBe(cost.down + HEADER_BYTES)
        expect(online.bytesSent).toBe(cost.up + HEADER_BYTES)
        const { bytesReceived } = dealtBytes.report().links.helper.offline
        expect(bytesReceived).toBe(cost.material + HEADER_BYTES)
        expect(cost.down).toBe(Math.ceil((61 * k) / 8) + t * t * 8)
      })
    }
  }

  for (const [bits, lo, t] of [
    [8, 4, 1],
    [12, 6, 2],
    [16, 9, 2],
    [32, 12, 3],
    [20, 1, 4],
  ]) {
    for (const centred of [false, true]) {
      it(`E2: bits ${lo} to ${bits}, ${centred ? 'centred' : 'not centred'}, err exactly where the carry says`, async () => {
        const draw = drawFrom(bits + lo)
        const reach = 2 ** lo
        const limit = 2 ** (bits - 2) // what calibration guarantees; at the far end of the ring a lost carry wraps
        const y = Array.from({ length: 400 }, (_, i) =>
          i % 4 ? whole(draw, -reach, reach) : whole(draw, 1 - limit, limit - 1),
        )
        const r = y.map(() => whole(draw, 0, 2 ** bits - 1))
        const add = centred ? reach / 2 : 0
        const { b, e } = await compare({ bits, lo, chunks: chunksOf(bits - lo, t)!, add }, y, r, 32)
        let wrong = 0
        y.forEach((v, i) => {
          const errs = windowErrs({ e: e[i], r: r[i], v, carry: 0 }, bits, lo, add)
          expect(b[i]).toBe(v >= 0 === !errs ? 1 : 0)
          if (!errs) return
          wrong++
          // Only values within a unit of the window, and without centring never a negative one.
          expect(v).toBeGreaterThanOrEqual(centred ? -reach / 2 : 0)
          expect(v).toBeLessThan(centred ? reach / 2 : reach)
        })
        expect(wrong).toBeGreaterThan(10)
      })
    }
  }
})
