// The work of one party alone: a batch of all three is played once and what arrives is kept; then each party plays its
// part again with the messages at hand, without waiting for anyone.
import { loadKernels } from '../../../src/kernels/instance.js'
import { framesOf, type Message, messagesOf } from '../../../src/protocol/transcript.js'
import { median } from '../../report.js'
import type { LocalWork, Role, Values, Variant } from '../backend.js'
import { type Log, recordedPair } from '../replay.js'
import { batch, deal, helperOf, type Result, shareOf, sideOf } from './batch.js'

/** Plays of every party between whose messages the median counts. */
const PLAYS = 7

export interface SharedResults extends LocalWork {
  /** What the shares of a whole ReLU add up to; null for a comparison. */
  results(): BigInt64Array | null
}

export async function local(variant: Variant, values: Values, messages: readonly Message[]): Promise<SharedResults> {
  const count = values.length
  const [kc, ks, kh] = [loadKernels(), loadKernels(), loadKernels()]
  const [cs, ch, sh] = [recordedPair(), recordedPair(), recordedPair()]
  const client = sideOf(kc, 0, cs.ends[0], ch.ends[0])
  const server = sideOf(ks, 1, cs.ends[1], sh.ends[0])
  const helper = helperOf(kh, ch.ends[1], sh.ends[1])
  const [mine, theirs] = [shareOf(client, values), shareOf(server, values)]
  const [a, b] = await Promise.all([
    batch(client, variant, mine, count),
    batch(server, variant, theirs, count),
    deal(helper, variant, count),
  ])
  const log: Log = []
  const [toServer, toClient] = cs.played(log, 'client', 'server')
  const [clientHelper, helperClient] = ch.played(log, 'client', 'helper')
  const [serverHelper, helperServer] = sh.played(log, 'server', 'helper')
  const alone = {
    client: { ...client, peer: toServer, helper: clientHelper },
    server: { ...server, peer: toClient, helper: serverHelper },
    helper: { ...helper, client: helperClient, server: helperServer },
  }
  const play = {
    client: async () => done(await batch(alone.client, variant, mine, count)),
    server: async () => done(await batch(alone.server, variant, theirs, count)),
    helper: () => deal(alone.helper, variant, count),
  }
  return {
    ...play,
    async work() {
      const work: Partial<Record<Role, number[]>> = {}
      for (const role of ['client', 'server', 'helper'] as const) {
        const plays: number[][] = []
        for (let i = 0; i < PLAYS; i++) {
          log.length = 0
          const started = performance.now()
          await play[role]()
          plays.push(between(started, log, messagesOf(role, messages), role, performance.now()))
        }
        work[role] = plays[0].map((_, step) => median(plays.map((steps) => steps[step])))
      }
      return work
    },
    signs() {
      const [low, other] = [a.bit.u32(), b.bit.u32()]
      return Uint8Array.from({ length: count }, (_, i) => (low[2 * i] + other[2 * i]) & 1)
    },
    results() {
      const [half, other] = [a.value?.u64(), b.value?.u64()]
      return half && other ? BigInt64Array.from(half, (word, i) => BigInt.asIntN(64, word + other[i])) : null
    },
    release() {
      for (const region of [mine, theirs]) region.release()
      for (const result of [a, b]) done(result)
    },
  }
}

/** From one message to the next: when the last frame of each left or was asked for, by the party that played alone. */
function between(started: number, log: Log, messages: readonly Message[], role: Role, ended: number): number[] {
  const taken = new Map<string, number>()
  let last = started
  const steps = messages.map((message) => {
    const { from, to } = message
    const frames = framesOf(message)
    const line = `${from} ${to}`
    const first = taken.get(line) ?? 0
    taken.set(line, first + frames)
    const { at } = log.filter((event) => event.from === from && event.to === to)[first + frames - 1]
    const step = Math.max(0, at - last)
    last = Math.max(last, at)
    return step
  })
  // What the helper does after its last message keeps nobody waiting.
  return [...steps, role === 'helper' ? 0 : ended - last]
}

function done({ bit, value }: Result): void {
  bit.release()
  value?.release()
}
