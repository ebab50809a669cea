// Clients that keep so many inferences in flight, for a while.
import { ask, type ClientReport, type Job, report, withParties } from './parties.js'

export interface Load {
  /** Inferences of all clients. */
  perSecond: number
  /** Of each client. */
  done: number[]
  /** Processor time of one inference. */
  cpuMs: { client: number; server: number; helper: number }
  peakMemoryMB: { client: number; server: number; helper: number }
}

export interface LoadJob extends Pick<Job, 'workload' | 'profile'> {
  clients: number
  inFlight: number
  seconds: number
}

/** Room for everything that any case has in flight, prepared or running. */
const STORE_BYTES = 3 * 2 ** 30 - 1

/** What they do in so many seconds, from when each has done as many as it has in flight. */
export function measureLoad({ clients: count, seconds, ...job }: LoadJob): Promise<Load> {
  const whole = { ...job, warmup: 0, runs: 0, storeBytes: STORE_BYTES }
  return withParties(whole, count, async ({ helper, server, clients }) => {
    const counts = async () =>
      (await Promise.all(clients.map((client) => ask<ClientReport>(client, 'report')))).map(({ done }) => done)
    const cpu = async () => {
      const [ofHelper, ofServer, ...ofClients] = (await report([helper, server, ...clients])).map(({ cpuMs }) => cpuMs)
      return { client: ofClients.reduce((sum, ms) => sum + ms, 0), server: ofServer, helper: ofHelper }
    }
    for (const client of clients) client.send('load')
    while ((await counts()).some((done) => done < job.inFlight)) await pause(200)
    const [before, used, began] = [await counts(), await cpu(), performance.now()]
    await pause(1000 * seconds)
    const [after, usedThen, ended] = [await counts(), await cpu(), performance.now()]
    const done = after.map((each, i) => each - before[i])
    const all = done.reduce((sum, each) => sum + each, 0)
    const each = (role: keyof typeof used) => (usedThen[role] - used[role]) / all
    const peaks = (await report([helper, server, ...clients])).map(({ peakMB }) => peakMB)
    return {
      perSecond: (1000 * all) / (ended - began),
      done,
      cpuMs: { client: each('client'), server: each('server'), helper: each('helper') },
      peakMemoryMB: { client: Math.max(...peaks.slice(2)), server: peaks[1], helper: peaks[0] },
    }
  })
}

const pause = (ms: number): Promise<void> => new Promise((resolve) => setTimeout(resolve, ms))
