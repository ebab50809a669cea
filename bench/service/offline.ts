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
  /** Of the server's for the first that it ever took. */
  readonly coldMs: number
}

/** A client prepares so many and leaves, four times: the first time all three processes are new, the others are warm. */
export function offline(workload: Job['workload'], count: number): Promise<Offline> {
  const job = { workload, warmup: 0, runs: count, storeBytes: 2 ** 31 }
  return withParties(job, 1, async ({ helper, server, clients: [client] }) => {
    const cpu = async () => (await report([helper, server])).map(({ cpuMs }) => cpuMs)
    const rounds: number[][] = []
    for (let round = 0; round < 4; round++) {
      const before = await cpu()
      await ask(client, 'stock')
      const after = await cpu()
      rounds.push(after.map((ms, i) => (ms - before[i]) / count))
    }
    const [first, ...warm] = rounds
    const [dealingMs, serverMs] = [0, 1].map((party) => median(warm.map((round) => round[party])))
    return { model: workload.name, dealingMs, serverMs, coldMs: first[1] }
  })
}
