// Writes the tables of messages into docs/protocol.md, between their markers, from the lists that the gadgets export:
// `npm run docs:messages`. Nobody tells it a formula. It lays out made-up plans, and solves for how often each term occurs
// in each message's length; a length that is no such sum, or a message nobody expects, is an error.
import { readFileSync, writeFileSync } from 'node:fs'
import { fileURLToPath } from 'node:url'
import { type Chunks, groupsOf, tableBits } from '../src/kernels/mcc.js'
import { chooseChunks } from '../src/plan/compile/chunks.js'
import { announcedMessages, joinMessages } from '../src/protocol/delegated/link.js'
import * as mcc from '../src/protocol/mcc/cost.js'
import { sizesOf } from '../src/protocol/mcc/delegated.js'
import type { MccLayout } from '../src/protocol/mcc/step.js'
import * as securenn from '../src/protocol/securenn/cost.js'
import type { SecurennLayout } from '../src/protocol/securenn/step.js'
import { after, lastStage, type Message, partFlights } from '../src/protocol/transcript.js'

/** What lengths are functions of; docs/protocol.md says what each is. */
interface Symbols {
  readonly N: number
  readonly V: number
  readonly switched: number
  readonly results: number
  readonly P: number
  readonly D: number
  readonly n: number
  readonly narrow: number
  readonly bits: number
  readonly chunks: Chunks
  /** Right factors of a product; bits that it or a curve drops; words of a value's table. */
  readonly V2: number
  readonly f: number
  readonly k: number
  readonly d: number
  /** Copies of a quadratic select. */
  readonly K: number
  /** Windows of maxima. */
  readonly W: number
}

/** A term as the table shows it, and its value in bytes. */
type Term = readonly [text: string, value: (symbols: Symbols) => number]

const packed = (count: number, bits: number) => Math.ceil((count * bits) / 8)
/** Words of more than 32 bits travel in two parts. */
const long = (count: number, bits: number) =>
  packed(count, Math.min(32, Math.max(0, bits))) + packed(count, Math.max(0, bits - 32))

const MCC_TERMS: readonly Term[] = [
  ['', () => 1],
  ['⌈Nn/8⌉', ({ N, n }) => packed(N, n)],
  ['g', ({ D }) => groupsOf(D)],
  ['t²g', ({ D, chunks }) => chunks.length ** 2 * groupsOf(D)],
  ['16⌈tableBits/16⌉g', ({ D, chunks }) => 16 * Math.ceil(tableBits(chunks) / 16) * groupsOf(D)],
  ["⌈(V+P)n'/8⌉", ({ V, P, narrow }) => packed(V + P, narrow)],
  ['⌈V_r·n/8⌉', ({ results, n }) => packed(results, n)],
  ['⌈Dn/8⌉', ({ D, n }) => packed(D, n)],
  ['⌈V_s·n/8⌉', ({ switched, n }) => packed(switched, n)],
  ["⌈V_s(n−n')/8⌉", ({ switched, n, narrow }) => packed(switched, n - narrow)],
  ["⌈V(n−n')/8⌉", ({ V, n, narrow }) => packed(V, n - narrow)],
  ["⌈(V+V_2)n'/8⌉", ({ V, V2, narrow }) => packed(V + V2, narrow)],
  ['⌈Vn/8⌉', ({ V, n }) => packed(V, n)],
  ['⟨V, n+f⟩', ({ V, n, f }) => long(V, n + f)],
  ["⟨V, n+f−n'⟩", ({ V, n, f, narrow }) => long(V, n + f - narrow)],
  ["⟨V, n+f−2n'⟩", ({ V, n, f, narrow }) => long(V, n + f - 2 * narrow)],
  ["⟨V_2, n+f−n'⟩", ({ V2, n, f, narrow }) => long(V2, n + f - narrow)],
  ["⌈Nn'/8⌉", ({ N, narrow }) => packed(N, narrow)],
  ['⟨N, n+f⟩', ({ N, n, f }) => long(N, n + f)],
  ['K⟨N, n+f⟩', ({ N, n, f, K }) => K * long(N, n + f)],
  ["⟨N, n+f−n'⟩", ({ N, n, f, narrow }) => long(N, n + f - narrow)],
  ["K⟨N, n+f−n'⟩", ({ N, n, f, narrow, K }) => K * long(N, n + f - narrow)],
  ["⟨N, n+f−n'−1⟩", ({ N, n, f, narrow }) => long(N, n + f - narrow - 1)],
  ["K⟨N, n+f−n'−1⟩", ({ N, n, f, narrow, K }) => K * long(N, n + f - narrow - 1)],
  ['⌈Wn/8⌉', ({ W, n }) => packed(W, n)],
  ['3t²M/8', ({ W, chunks }) => 3 * chunks.length ** 2 * groupsOf(W)],
  ['3M/8', ({ W }) => 3 * groupsOf(W)],
  ['6⌈tableBits/16⌉M', ({ W, chunks }) => 48 * Math.ceil(tableBits(chunks) / 16) * groupsOf(W)],
  ['Mn/8', ({ W, n }) => groupsOf(W) * n],
  ["M(n−n')/8", ({ W, n, narrow }) => groupsOf(W) * (n - narrow)],
  ['N·2^k·(d+1)(n+f)/8', ({ N, k, d, n, f }) => (N * 2 ** k * (d + 1) * (n + f)) / 8],
]

/** N values of the input, V of the output. */
const DELEGATED_TERMS: readonly Term[] = [
  ['', () => 1],
  ['⌈Nk/8⌉', ({ N, narrow }) => packed(N, narrow)],
  ['⌈Mn/8⌉', ({ V, n }) => packed(V, n)],
]

const SECURENN_TERMS: readonly Term[] = [
  ['', () => 1],
  ['N', ({ N }) => N],
  ['V', ({ results }) => results],
  ['V_s', ({ switched }) => switched],
  ['D', ({ D }) => D],
  ['ℓD', ({ bits, D }) => bits * D],
]

/** Part of an inference: its name in the table, and its messages. */
interface Part {
  readonly name: string
  readonly messages: readonly Message[]
  /** One-way waves that it adds; null off line. */
  readonly flights: number | null
}

/** Lays out one step that compares and one whose y goes out, with these sizes; on `mcc` also a product, a curve, a quadratic select, maxima and wins. */
function layoutOf(
  { N, V, V2, f, k, d, K, W, switched, results, P, D, n, narrow, bits, chunks }: Symbols,
  gadgets: boolean,
) {
  const activation = { bits: narrow, chunks, ignoredMsb: 64 - bits, ignoredLsb: 0 }
  const relu = { comparisons: D, switched, results, opened: { values: V, patches: P } }
  const factors = { count: V, broad: V2, plane: 1, left: 0, right: 0, bits: narrow, truncate: f }
  const product = { index: 2, step: { id: 'product' }, size: V, activation: null, relu: null, product: factors }
  const curve = { segments: k, drop: f, polynomials: [new Array<number>(d + 1).fill(0)] }
  const looked = { index: 3, step: { id: 'curve' }, size: N, activation: { ...activation, curve }, relu }
  const bends = { shifts: new Array<number>(K).fill(0), sum: { signs: new Array<number>(K).fill(1), plus: 0 } }
  const quadratic = { drop: f, polynomials: new Array<readonly number[]>(K).fill([0, 0]) }
  const summed = {
    ...{ index: 4, step: { id: 'quadratic' }, size: N, activation: { ...activation, bends, quadratic } },
    relu: { comparisons: D, switched: K * N, results: N, opened: { values: N, patches: 0 } },
  }
  const pooled = {
    ...{ index: 5, step: { id: 'maxima' }, size: N, activation: { ...activation, maxPool: {} } },
    relu: { comparisons: 24 * groupsOf(W), results: W, opened: { values: N, patches: 0 } },
  }
  const wins = {
    ...{ index: 6, step: { id: 'wins' }, size: N, activation: { ...activation, wins: true } },
    relu: { comparisons: D, results: N, opened: { values: N, patches: 0 } },
  }
  const steps = [
    { index: 0, step: { id: 'compares' }, size: N, activation, relu },
    { index: 1, step: { id: 'passes on' }, size: N, activation, relu: { ...relu, comparisons: 0, switched: 0 } },
    ...(gadgets ? [product, looked, summed, pooled, wins] : []),
    { index: gadgets ? 7 : 2, step: { id: 'output' }, size: N, activation: null, relu: null },
  ]
  const plan = { ring: n, input: { shape: [N, 1, 1] }, steps }
  return { plan, steps, waves: steps.map((step) => [step]) }
}

/** Parts one after the other: stages go on from one to the next, and a table counts them from where the part starts. */
function inTurn(names: readonly string[], parts: readonly (readonly Message[])[]): Part[] {
  const flights = partFlights(parts)
  let before = 0
  return parts.map((part, i) => {
    const messages = after(-before, part)
    before = Math.max(before, lastStage(part))
    return { name: names[i], messages, flights: flights[i] }
  })
}

const STEPS = ['activation', 'activation', 'product', 'curve', 'quadratic select', 'maxima', 'wins', 'output']

function mccParts(symbols: Symbols): Part[] {
  const layout = layoutOf(symbols, true) as unknown as MccLayout
  const offline = [mcc.batchMessages, ...mcc.offlineMessages(layout)]
  const online = mcc.onlineMessages(layout)
  return [
    ...['batch', 'inference', ...STEPS].map((name, i) => {
      return { name: `${name}, off line`, messages: offline[i], flights: null }
    }),
    ...inTurn(['input', ...STEPS], online),
  ].filter((_, i) => !PASSES_ON.includes(i))
}
/** A delegate in place of the client; the steps are those of any client. */
function delegatedParts({ N, V, narrow, n }: Symbols): Part[] {
  const sizes = sizesOf({ bits: narrow, inputs: N, outputs: V }, n)
  const role = (name: string) => (name === 'client' ? 'delegate' : name) as Message['from']
  return inTurn(['seed', 'halves'], [announcedMessages, after(2, joinMessages(sizes))]).map((part) => {
    const messages = part.messages.map((each) => ({ ...each, from: role(each.from), to: role(each.to) }))
    return { ...part, messages }
  })
}

/** Steps that compare nothing have the messages of those that do. */
const PASSES_ON = [3, 12]

function securennParts(symbols: Symbols): Part[] {
  const names = ['start and input', 'step that compares', 'step that does not', 'output']
  return inTurn(names, securenn.onlineMessages(layoutOf(symbols, false) as unknown as SecurennLayout))
}

/** Sizes that no two terms agree on, from a fixed sequence: with and without remainders of 8. */
function samples(count: number): Symbols[] {
  let state = 1
  const upTo = (most: number) => 1 + ((state = (state * 48_271) % 2_147_483_647) % most)
  return Array.from({ length: count }, () => {
    const n = 16 + upTo(16)
    const [N, V, switched, results, P, D] = Array.from({ length: 6 }, () => upTo(100_000))
    return {
      ...{ N, V, switched, results, P, D },
      n,
      narrow: upTo(n),
      ...{ V2: upTo(100_000), f: upTo(31), k: 2 + upTo(6), d: upTo(2), K: upTo(4), W: upTo(100_000) },
      bits: upTo(64),
      chunks: chooseChunks(7 + upTo(25)),
    }
  })
}

/** How often each term is in values that are a sum of them at every sample. */
function solve(what: string, values: readonly number[], terms: readonly (readonly number[])[]): number[] {
  const width = terms[0].length
  // Least squares by normal equations would square the condition; as many samples as terms do, the others are the proof.
  const rows = terms.slice(0, width).map((row, i) => [...row, values[i]])
  for (let column = 0; column < width; column++) {
    const rest = rows.slice(column).map((row) => Math.abs(row[column]))
    const pivot = column + rest.indexOf(Math.max(...rest))
    ;[rows[column], rows[pivot]] = [rows[pivot], rows[column]]
    for (const [i, row] of rows.entries()) {
      if (i === column) continue
      const factor = row[column] / rows[column][column]
      for (let j = column; j <= width; j++) row[j] -= factor * rows[column][j]
    }
  }
  const times = rows.map((row, i) => Math.round(row[width] / row[i]))
  const fits = values.every((value, i) => value === terms[i].reduce((sum, term, j) => sum + term * times[j], 0))
  if (!fits)
    throw new Error(`the length of ${what} is no sum of known terms: give scripts/message-tables.ts the new one`)
  return times
}

function formula(what: string, values: readonly number[], terms: readonly Term[], at: readonly Symbols[]): string {
  const times = solve(
    what,
    values,
    at.map((symbols) => terms.map(([, value]) => value(symbols))),
  )
  const shown = terms.flatMap(([text], i) => {
    if (times[i] === 0) return []
    // A term that starts with a digit is a product already.
    return [text === '' ? `${times[i]}` : times[i] === 1 ? text : `${times[i]}${/^\d/.test(text) ? '·' : ''}${text}`]
  })
  return shown.join(' + ') || '0'
}

/** Equal messages of two senders in one row, and both directions of an exchange. */
function rowsOf(part: Part, bytes: readonly string[]): string[][] {
  const rows: { kind: string; from: string[]; to: string[]; stage: number; bytes: string }[] = []
  part.messages.forEach(({ kind, from, to, stage }, i) => {
    const same = rows.find((row) => row.kind === kind && row.stage === stage && row.bytes === bytes[i])
    if (same?.from[0] === to && same.to[0] === from) same.from.push(from)
    else if (same?.to[0] === to) same.from.push(from)
    else if (same?.from[0] === from) same.to.push(to)
    else rows.push({ kind, from: [from], to: [to], stage, bytes: bytes[i] })
  })
  return rows.map(({ kind, from, to, stage, bytes: length }, i) => {
    const way = from.includes(to[0]) ? `${from[0]} ↔ ${to[0]}` : `${from.join(', ')} → ${to.join(', ')}`
    const [name, flights] = i === 0 ? [part.name, part.flights ?? ''] : ['', '']
    return [name, `\`${kind}\``, way, `${stage}`, length, `${flights}`]
  })
}

function table(partsAt: (symbols: Symbols) => Part[], terms: readonly Term[]): string {
  const at = samples(4 * terms.length)
  const all = at.map(partsAt)
  const rows = all[0].flatMap((part, p) => {
    const bytes = part.messages.map((message, m) => {
      const values = all.map((parts) => parts[p].messages[m].bytes)
      return formula(`${message.kind} (${part.name})`, values, terms, at)
    })
    return rowsOf(part, bytes)
  })
  const head = ['part', 'message', 'way', 'stage', 'bytes', 'flights']
  const line = (cells: readonly string[]) => `|${cells.map((cell) => (cell === '' ? ' ' : ` ${cell} `)).join('|')}|`
  return [line(head), `|${head.map(() => '---').join('|')}|`, ...rows.map(line)].join('\n')
}

const TABLES: Readonly<Record<string, () => string>> = {
  mcc: () => table(mccParts, MCC_TERMS),
  delegated: () => table(delegatedParts, DELEGATED_TERMS),
  securenn: () => table(securennParts, SECURENN_TERMS),
}

/** A page with its tables made anew. */
export function withMessageTables(page: string): string {
  return Object.entries(TABLES).reduce((text, [backend, make]) => {
    const [begin, end] = [
      `<!-- messages of ${backend}: npm run docs:messages -->`,
      `<!-- end of messages of ${backend} -->`,
    ]
    const [from, to] = [text.indexOf(begin), text.indexOf(end)]
    if (from < 0 || to < from) throw new Error(`the page has no markers "${begin}" and "${end}"`)
    return `${text.slice(0, from)}${begin}\n${make()}\n${text.slice(to)}`
  }, page)
}

/** The page whose tables these are. */
export const PAGE = 'docs/protocol.md'

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  writeFileSync(PAGE, withMessageTables(readFileSync(PAGE, 'utf8')))
}
