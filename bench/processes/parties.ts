// Helper, server and client as three processes over WebSockets on loopback; the parent only starts them and collects.
import { type ChildProcess, fork } from 'node:child_process'
import { PerformanceObserver } from 'node:perf_hooks'
import { fileURLToPath } from 'node:url'
import { prepareModel } from '../../src/files/prepared-model.js'
import { connect, Meter, type NetworkProfile, networkProfiles, shape, wait } from '../../src/net/index.js'
import { listen } from '../../src/net/websocket-server.node.js'
import { Client } from '../../src/party/client/client.js'
import { Helper } from '../../src/party/helper/helper.js'
import { Server } from '../../src/party/server.js'
import { prepareWorkload, sampleInput, type Workload } from '../../test/fixtures/workloads.js'
import { type Parts, partsSoFar, timeParts } from './timed.js'

export interface Job {
  workload: Workload
  /** Of a model that the server reads in place of making the workload's network: then its memory is that of users'. */
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

const ROLES = ['helper', 'server', 'client'] as const
type Role = (typeof ROLES)[number]

interface Message {
  role: Role
  job: Job
  server?: string
  helper?: string
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
export async function withParties<T>(job: Job, clients: number, use: (parties: Parties) => Promise<T>): Promise<T> {
  const children: ChildProcess[] = []
  const start = (message: Message): ChildProcess => {
    const child = fork(fileURLToPath(import.meta.url), ['--party'], { stdio: ['ignore', 'inherit', 'inherit', 'ipc'] })
    children.push(child)
    child.send(message)
    return child
  }
  try {
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

interface ServerReport extends Used {
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
type Question = 'prepare' | 'infer' | 'run' | 'load' | 'stock' | 'report'

const tell = (message: unknown): void => void process.send!(message)
let gcMs = 0
const used = (): Used => {
  const { userCPUTime, systemCPUTime, maxRSS, minorPageFault: pageFaults } = process.resourceUsage()
  const [cpuMs, systemMs] = [(userCPUTime + systemCPUTime) / 1000, systemCPUTime / 1000]
  return { cpuMs, systemMs, gcMs, pageFaults, peakMB: Math.round(maxRSS / 1024), parts: partsSoFar() }
}
const LOCAL = { host: '127.0.0.1', port: 0 }

async function helper({ job: { deadlineMs } }: Message): Promise<void> {
  const party = await Helper.create({ deadlineMs, onError: complain })
  const { url } = await listen({ ...LOCAL, onConnection: (channel) => void party.run(channel) })
  process.on('message', () => tell(used()))
  tell({ url })
}

async function server({ job, helper: helperUrl }: Message): Promise<void> {
  const { workload, folder } = job
  const read = () => prepareModel(folder!, undefined, workload.options)
  const { compiled, compileMs: compile } = folder ? { ...(await read()), compileMs: 0 } : prepareWorkload(workload)
  const meter = new Meter()
  const began = performance.now()
  const store = job.storeBytes ? { storeBytes: job.storeBytes, storeShare: 1 } : {}
  const options = { meter, deadlineMs: job.deadlineMs, onError: complain, ...store }
  const party = await Server.create(compiled, () => connect(helperUrl!), options)
  const made = { compile, server: performance.now() - began }
  const { url } = await listen({ ...LOCAL, onConnection: (channel) => void party.run(channel) })
  process.on('message', () => {
    const { setup, offline, online } = meter.report().links.helper
    const helper = online.bytesSent + online.bytesReceived
    tell({ helperToServer: offline.bytesReceived, serverToHelper: setup.bytesSent, helper, ...used() })
  })
  tell({ url, ...made })
}

async function client({ job, server: serverUrl, helper: helperUrl }: Message): Promise<void> {
  // The input alone: calibrating the network is the server's work and would count as the client's memory.
  const { profile, deadlineMs } = job
  const near = typeof profile === 'string' ? networkProfiles[profile] : profile
  const far = typeof profile === 'string' ? undefined : profile
  const to = (url: string, between: NetworkProfile | undefined) => async () => {
    const wire = await connect(url)
    return between ? shape(wire, typeof profile === 'string' ? between : { ...between, sleep: wait }) : wire
  }
  const began = performance.now()
  const party = await Client.create({ server: to(serverUrl!, near), helper: to(helperUrl!, far), deadlineMs })
  const setup = party.traffic.links
  const joined = performance.now() - began
  const input = sampleInput({ inputs: [{ shape: party.plan.input.shape }] } as never, 7)
  let inferences = 0
  const run = async (): Promise<Run> => {
    const started = performance.now()
    await party.prepare()
    const offlineMs = performance.now() - started
    if (job.pauseMs) await new Promise((resolve) => setTimeout(resolve, job.pauseMs))
    const { milliseconds } = await party.run(input)
    inferences++
    return { offlineMs, onlineMs: milliseconds }
  }
  let done = 0
  const load = async (): Promise<void> => {
    function* source() {
      for (;;) yield input
    }
    for await (const { error } of party.runMany(source(), { inFlight: job.inFlight })) {
      if (error) throw error
      done++
    }
  }
  const report = (): ClientReport => {
    const { links } = party.traffic
    const each = (bytes: number) => bytes / inferences
    const { online } = links.server
    const helper = each(links.helper.online.bytesSent + links.helper.online.bytesReceived)
    const [up, down, flights] = [online.bytesSent, online.bytesReceived, online.flights].map(each)
    return {
      ...used(),
      done,
      online: { up, down, helper, flights },
      offline: {
        clientUp: each(links.server.offline.bytesSent + links.helper.offline.bytesSent),
        clientDown: each(links.server.offline.bytesReceived + links.helper.offline.bytesReceived),
      },
      setup: {
        clientUp: setup.server.setup.bytesSent + setup.helper.setup.bytesSent,
        clientDown: setup.server.setup.bytesReceived + setup.helper.setup.bytesReceived,
      },
    }
  }
  /** By a client that leaves afterwards, and all that was prepared with it. */
  const stock = async (): Promise<void> => {
    const one = await Client.create({ server: to(serverUrl!, near), helper: to(helperUrl!, far) })
    await one.prepare(job.runs)
    await one.release()
  }
  process.on('message', async (question: Question) => {
    if (question === 'load') void load()
    else if (question === 'stock') tell((await stock()) ?? {})
    else if (question === 'prepare') tell((await party.prepare()) ?? {})
    else if (question === 'infer') tell((await party.run(input)).milliseconds)
    else tell(question === 'run' ? await run() : report())
  })
  tell({ client: joined })
}

function complain(error: Error): void {
  process.stderr.write(`${error.message}\n`)
}

/** In a child: plays the role it is told. */
export function playParty(): void {
  new PerformanceObserver((list) => {
    for (const { duration } of list.getEntries()) gcMs += duration
  }).observe({ entryTypes: ['gc'] })
  process.once('message', (message: Message) => {
    if (message.job.timed) timeParts()
    const play = { helper, server, client }[message.role]
    play(message).catch((error: unknown) => {
      process.stderr.write(`${message.role}: ${error instanceof Error ? error.stack : error}\n`)
      process.exit(1)
    })
  })
  process.once('disconnect', () => process.exit(0))
}
