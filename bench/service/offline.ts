// What it costs to deal and to take in what is dealt, in processes of their own over WebSockets: cold, and warm.
import { ask, type Job, report, withParties } from '../processes/parties.js'
import { median } from '../report.js'

/** CPU milliseconds of an inference that is prepared. */
export interface Offline {
  readonly model: string
  /** Of the helper's process, with what it takes to send. */
  readonly dealingMs: number
  /** Of the server's, with what it takes to receive. */
  readonly serverMs: number
  /** Of the server's for the first that it ever took, and for those right after them: its code is not compiled for good yet. */
  readonly coldMs: number
  readonly nextMs: number
  /** Of both, in the quietest round. */
  readonly least: { readonly dealingMs: number; readonly serverMs: number }
}

/** Rounds right after the first, and those that count. */
const [NEXT, WARM] = [2, 5]

/** A client prepares so many and leaves, time and again: the first time all three processes are new, in the end they are warm. */
export function offline(workload: Job['workload'], count: number): Promise<Offline> {
  const job = { workload, warmup: 0, runs: count, storeBytes: 2 ** 31 }
  return withParties(job, 1, async ({ helper, server, clients: [client] }) => {
    const cpu = async () => (await report([helper, server])).map(({ cpuMs }) => cpuMs)
    const rounds: number[][] = []
    for (let round = 0; round < 1 + NEXT + WARM; round++) {
      const before = await cpu()
      await ask(client, 'stock')
      const after = await cpu()
      rounds.push(after.map((ms, i) => (ms - before[i]) / count))
    }
    const of = (party: number, some: readonly number[][]) => some.map((round) => round[party])
    const warm = rounds.slice(1 + NEXT)
    const [dealingMs, serverMs] = [0, 1].map((party) => median(of(party, warm)))
    const [coldMs, nextMs] = [rounds[0][1], median(of(1, rounds.slice(1, 1 + NEXT)))]
    const least = { dealingMs: Math.min(...of(0, warm)), serverMs: Math.min(...of(1, warm)) }
    return { model: workload.name, dealingMs, serverMs, coldMs, nextMs, least }
  })
}
