// DReLU by a masked carry chain (docs/protocol.md): b = [y' ≥ 0] for y' = e + r, r known to the helper alone.
//
//   off line   helper → server   padded tables, correction of [ρ]
//   on line    server → client   per stage the table row at its chunk of e (e itself goes beside it)
//              client            unpads the rows, walks the chain to β = b ⊕ ρ, and sends β
//
// Used inside relu.ts, where e and β travel with the values they switch; `compareClient` and `compareServer` run it
// alone, for benches: shares of b without a select.
import { pack, packedBytes, unpack } from '../../kernels/bits.js'
import type { Kernels, Region } from '../../kernels/instance.js'
import {
  type Chain,
  chainWordBytes,
  dealerBytes,
  dealRho,
  dealTables,
  groupsOf,
  join64,
  readRows,
  rowBytes,
  split64,
  tableBytes,
  walkChain,
} from '../../kernels/mcc.js'
import type { Link, PhaseCode } from '../../net/index.js'
import { Purpose, type Streams } from '../../random/streams.js'
import { Kind } from '../kinds.js'
import type { Message } from '../transcript.js'

/** A comparison that runs alone, for `count` values in a ring of `ring` bits. */
export function comparisonMessages(chain: Chain, count: number, ring: number): Message[] {
  const material = tableBytes(chain.chunks, count) + packedBytes(count, ring)
  const { opening, reply } = comparisonSizes(chain, count)
  return [
    { kind: 'material', from: 'helper', to: 'server', bytes: material, stage: 0, offline: true },
    { kind: 'opening', from: 'server', to: 'client', bytes: opening, stage: 1 },
    { kind: 'reply', from: 'client', to: 'server', bytes: reply, stage: 2 },
  ]
}

/** Byte lengths of its messages; the opening is e, then rows. */
export function comparisonSizes({ chunks, bits }: Chain, count: number) {
  const [opened, rows] = [openedBytes(count, bits), rowBytes(chunks, count)]
  return { opened, rows, opening: opened + rows, reply: groupsOf(count) }
}

/** Bytes of `count` opened values: beyond 32 bits the low halves go before the high ones. */
export function openedBytes(count: number, bits: number): number {
  return bits <= 32 ? packedBytes(count, bits) : packedBytes(count, 32) + packedBytes(count, bits - 32)
}

/** Opened values as they travel. */
export function packOpened(k: Kernels, e: Region, count: number, bits: number, out: Region): void {
  if (bits <= 32) {
    pack(k, e, count, bits, out)
    return
  }
  const [low, high] = [k.memory.alloc(count * 4), k.memory.alloc(count * 4)]
  split64(k, e, count, low, high)
  const at = packedBytes(count, 32)
  pack(k, low, count, 32, out.part(0, at))
  pack(k, high, count, bits - 32, out.part(at, packedBytes(count, bits - 32)))
  low.release()
  high.release()
}

/** The inverse of `packOpened`: u32 words, u64 beyond 32 bits. */
export function unpackOpened(k: Kernels, message: Region, count: number, bits: number, e: Region): void {
  if (bits <= 32) {
    unpack(k, message, count, bits, e)
    return
  }
  const [low, high] = [k.memory.alloc(count * 4), k.memory.alloc(count * 4)]
  const at = packedBytes(count, 32)
  unpack(k, message.part(0, at), count, 32, low)
  unpack(k, message.part(at, packedBytes(count, bits - 32)), count, bits - 32, high)
  join64(k, low, high, count, e)
  low.release()
  high.release()
}

/** Where the randomness of one comparison lies. */
export interface ComparisonAddress {
  layer: number
  inference: number
}

/** What the helper makes: tables for the server, and one bit ρ per comparison for the select of the same values. */
export interface DealtChains {
  tables: Region
  rho: Region
}

/** The same and corrections of [ρ] in the ring, for the server. */
export interface DealtComparison extends DealtChains {
  rhoWords: Region
}

/**
 * Helper: the tables of `count` comparisons. The caller releases both regions.
 * @param r what opened values are masked with, u32 (u64 beyond 32 bits), whole groups
 * @param own seed streams of the helper alone
 */
export function dealChains(
  k: Kernels,
  chain: Chain,
  count: number,
  r: Region,
  { ch, own }: { ch: Streams; own: Streams },
  address: ComparisonAddress,
): DealtChains {
  const rho = own.take({ purpose: Purpose.dealerRho, ...address }, groupsOf(count))
  const bits = own.take({ purpose: Purpose.dealerBits, ...address }, dealerBytes(chain.chunks, count))
  const tables = padsOf(chain, count, ch, address)
  dealTables(k, chain, count, { r, rho, bits, tables })
  bits.release(true)
  return { tables, rho }
}

/** Helper: a comparison with its [ρ]. The caller releases the three regions. */
export function dealComparison(
  k: Kernels,
  chain: Chain,
  count: number,
  r: Region,
  streams: { ch: Streams; own: Streams },
  address: ComparisonAddress,
): DealtComparison {
  const dealt = dealChains(k, chain, count, r, streams, address)
  const rhoWords = streams.ch.take({ purpose: Purpose.rhoHalf, ...address }, count * 4)
  dealRho(k, dealt.rho, count, rhoWords)
  return { ...dealt, rhoWords }
}

/** Server: the table rows at e, as they go to the client. */
export function openRows(k: Kernels, chain: Chain, count: number, e: Region, tables: Region, rows: Region): void {
  readRows(k, chain, count, e, tables, rows)
}

/** Client: the pads of a step's comparisons. The caller releases the result. */
export const padsOf = (chain: Chain, count: number, ch: Streams, address: ComparisonAddress): Region =>
  ch.take({ purpose: Purpose.tablePad, ...address }, tableBytes(chain.chunks, count))

/** Client: β from e, the received rows and the pads of all tables. The caller releases the result. */
export function walk(k: Kernels, chain: Chain, count: number, e: Region, rows: Region, pads: Region): Region {
  const opened = k.memory.alloc(rowBytes(chain.chunks, count))
  readRows(k, chain, count, e, pads, opened)
  const beta = k.memory.alloc(groupsOf(count))
  walkChain(k, chain.chunks, count, rows, opened, beta)
  opened.release()
  return beta
}

/** Server, alone: opens `count` masked values e and learns β. `e`: u32 (u64 beyond 32 bits), whole groups. The caller releases β. */
export async function compareServer(
  k: Kernels,
  chain: Chain,
  count: number,
  { e, tables }: { e: Region; tables: Region },
  link: Link,
  phase: PhaseCode,
): Promise<Region> {
  const { opened, rows, opening, reply: replied } = comparisonSizes(chain, count)
  const out = k.memory.alloc(opening)
  packOpened(k, e, count, chain.bits, out)
  openRows(k, chain, count, e, tables, out.part(opened, rows))
  link.send(Kind.opening, phase, 0, out.u8())
  out.release()
  const reply = await link.receive(Kind.reply, phase, 0, replied)
  const beta = k.memory.alloc(replied)
  beta.u8().set(reply)
  return beta
}

/** Client, alone: receives the opening, sends β and keeps it. The caller releases β. */
export async function compareClient(
  k: Kernels,
  chain: Chain,
  count: number,
  ch: Streams,
  address: ComparisonAddress,
  link: Link,
  phase: PhaseCode,
): Promise<Region> {
  const { opened, rows, opening } = comparisonSizes(chain, count)
  const payload = await link.receive(Kind.opening, phase, 0, opening)
  const message = k.memory.alloc(opening)
  message.u8().set(payload)
  const e = k.memory.allocZero(groupsOf(count) * 8 * chainWordBytes(chain))
  unpackOpened(k, message, count, chain.bits, e)
  const pads = padsOf(chain, count, ch, address)
  const beta = walk(k, chain, count, e, message.part(opened, rows), pads)
  pads.release()
  link.send(Kind.reply, phase, 0, beta.u8())
  e.release()
  message.release()
  return beta
}
