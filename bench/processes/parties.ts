// Helper, server and client as three processes over WebSockets on loopback; the parent only starts them and collects.
import { type ChildProcess, fork } from 'node:child_process'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import type { NetworkProfile, networkProfiles } from '../../src/net/index.js'
import { type Workload, writeWorkload } from '../../test/fixtures/workloads.js'
import type { Parts } from './timed.js'

export interface Job {
  workload: Workload
  /** Of a model that the server reads; without it the workload is written into one, so that the server's memory is a user's. */
  folder?: string
  warmup: number
  runs: number
  /**
   * Emulated between client and server; one without a name on the client's link to the helper too, and as precisely as timers
   * are, which leaves the processor to the parties. None is bare loopback.
   */
  profile?: keyof typeof networkProfiles | NetworkProfile
  /** Whether each process times its parts. */
  timed?: boolean
  /** Inferences that `load` has in flight. */
  inFlight?: number
  /** The server's memory for material, all of it for whoever asks. */
  storeBytes?: number
  /** Between preparation and inference, so that what is still on its way arrives; 0 when not given. */
  pauseMs?: number
  /** Longest silence that a party waits for, where the default is not enough. */
  deadlineMs?: number
}

export interface Run {
  offlineMs: number
  onlineMs: number
}

/** Bytes of one inference, frame headers included. */
export interface Bytes {
  /** `flights` between client and server; `helper`: both of the helper's links, both ways. */
  online: { up: number; down: number; helper: number; flights: number }
  offline: { clientUp: number; clientDown: number; helperToServer: number }
  setup: { clientUp: number; clientDown: number; serverToHelper: number }
}

export interface Measured {
  runs: Run[]
  /** Those of the warm-up, which nothing else counts. */
  warmups: Run[]
  bytes: Bytes
  /** Largest resident set of each process. */
  peakMemoryMB: Record<Role, number>
  /** Of one inference, off line and on; the warm-up's does not count. */
  used: Record<Role, Work>
  /** Once, before the first inference: the plan made; the server's weights packed and sent to the helper; the client connected. */
  startMs: { compile: number; server: number; client: number }
}

/** What a process does, in milliseconds of processor time, and how often memory was touched for the first time. */
export interface Work {
  cpuMs: number
  /** Of that in the kernel: sockets, and pages touched for the first time. */
  systemMs: number
  /** Collecting garbage: pauses of its main thread. */
  gcMs: number
  pageFaults: number
}

export type Role = 'helper' | 'server' | 'client'

/** What a child is told first. */
export interface Order {
  role: Role
  job: Job
  server?: string
  helper?: string
}

/** Of a server. */
export interface ServerOrder extends Order {
  job: Job & { folder: string }
  helper: string
}

/** Of a client. */
export interface ClientOrder extends Order {
  server: string
  helper: string
}

/**
 * Runs a job in three fresh processes.
 * @param between runs in this process before every inference that counts, while the three are at rest
 */
export async function measure(job: Job, between: () => void = () => {}): Promise<Measured> {
  return withParties(job, 1, async ({ server, helper, clients: [client], startMs }) => {
    const warmups: Run[] = []
    for (let i = 0; i < job.warmup; i++) warmups.push(await ask<Run>(client, 'run'))
    const runs: Run[] = []
    const before = await report([client, server, helper])
    for (let i = 0; i < job.runs; i++) {
      between()
      runs.push(await ask<Run>(client, 'run'))
    }
    const after = await report([client, server, helper])
    const each = (i: number, of: keyof Work) => (after[i][of] - before[i][of]) / job.runs
    const workOf = (i: number): Work => ({
      cpuMs: each(i, 'cpuMs'),
      systemMs: each(i, 'systemMs'),
      gcMs: each(i, 'gcMs'),
      pageFaults: each(i, 'pageFaults'),
    })
    const result = await ask<ClientReport>(client, 'report')
    const served = await ask<ServerReport>(server, 'report')
    const dealt = await ask<Used>(helper, 'report')
    const inferences = job.warmup + job.runs
    return {
      runs,
      warmups,
      bytes: {
        online: { ...result.online, helper: result.online.helper + served.helper / inferences },
        offline: { ...result.offline, helperToServer: served.helperToServer / inferences },
        setup: { ...result.setup, serverToHelper: served.serverToHelper },
      },
      peakMemoryMB: { client: result.peakMB, server: served.peakMB, helper: dealt.peakMB },
      used: { client: workOf(0), server: workOf(1), helper: workOf(2) },
      startMs,
    }
  })
}

interface Parties {
  readonly helper: ChildProcess
  readonly server: ChildProcess
  readonly clients: readonly ChildProcess[]
  readonly startMs: Measured['startMs']
  readonly urls: { readonly server: string; readonly helper: string }
}

/** Starts the three, with so many clients; what they are for is called once all are connected. */
export async function withParties<T>(given: Job, clients: number, use: (parties: Parties) => Promise<T>): Promise<T> {
  const children: ChildProcess[] = []
  const start = (order: Order): ChildProcess => {
    const child = fork(fileURLToPath(new URL('party.js', import.meta.url)), {
      stdio: ['ignore', 'inherit', 'inherit', 'ipc'],
    })
    children.push(child)
    child.send(order)
    return child
  }
  const written = given.folder === undefined ? mkdtempSync(join(tmpdir(), 'ringfence-bench-')) : undefined
  try {
    if (written !== undefined) writeWorkload(given.workload, written)
    const job = { ...given, folder: given.folder ?? written }
    const helper = start({ role: 'helper', job })
    const { url: helperUrl } = await answer<{ url: string }>(helper)
    const server = start({ role: 'server', job, helper: helperUrl })
    const { url, ...made } = await answer<{ url: string; compile: number; server: number }>(server)
    const started = Array.from({ length: clients }, () =>
      start({ role: 'client', job, helper: helperUrl, server: url }),
    )
    const joined = await Promise.all(started.map((client) => answer<{ client: number }>(client)))
    const startMs = { ...made, client: Math.max(...joined.map(({ client }) => client)) }
    return await use({ helper, server, clients: started, startMs, urls: { server: url, helper: helperUrl } })
  } finally {
    for (const child of children) child.kill()
    if (written !== undefined) rmSync(written, { recursive: true })
  }
}

/** What each of several has used so far. */
export const report = (children: readonly ChildProcess[]): Promise<Used[]> =>
  Promise.all(children.map((child) => ask<Used>(child, 'report')))

/** What a process has used so far. */
export interface Used extends Work {
  peakMB: number
  parts: Parts
}

export interface ServerReport extends Used {
  helperToServer: number
  serverToHelper: number
  /** On line. */
  helper: number
}

export interface ClientReport extends Used, Pick<Bytes, 'online'> {
  /** Inferences of `load`. */
  done: number
  offline: { clientUp: number; clientDown: number }
  setup: { clientUp: number; clientDown: number }
}
/** A child's next message. @throws when it ends instead */
export function answer<T>(child: ChildProcess): Promise<T> {
  return new Promise((resolve, reject) => {
    const ended = (code: number | null) => reject(new Error(`a party ended early with status ${code}`))
    child.once('exit', ended)
    child.once('message', (message) => {
      child.off('exit', ended)
      resolve(message as T)
    })
  })
}

export function ask<T>(child: ChildProcess, what: Question): Promise<T> {
  child.send(what)
  return answer<T>(child)
}

/**
 * What a parent asks a party, over and over: a client to prepare an inference, to run one, to do both, to classify one input after
 * another from now on, to prepare all of the job's and leave; or what there is to tell.
 */
export type Question = 'prepare' | 'infer' | 'run' | 'load' | 'stock' | 'report'
