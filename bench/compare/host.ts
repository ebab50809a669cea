// What the bench asks of the machine it runs on; beyond this it needs nothing that a browser lacks.
import type { Circumstances } from '../../src/cli/report/circumstances.js'
import { type Channel, memoryPair } from '../../src/net/index.js'
import { type Activations, type Backend, ROLES, type Role } from './backend.js'
import { type Job, type PartReports, playPart } from './parties.js'

export interface Host {
  /** Where the parties of `endToEnd` live, as a report calls it. */
  readonly place: string
  /** Bytes that one party may take. */
  readonly memory: number
  /** Plays a job with three connected parties. */
  endToEnd(job: Job): Promise<PartReports>
  /** Inputs of a layer of the shipped ResNet-20; null where the model is not at hand. */
  activations(): Promise<Activations | null>
  circumstances(): Circumstances
  /** Columns that a table may have. */
  readonly columns: number
  print(text: string): void
  /** What is being measured now, apart from the report. */
  progress(text: string): void
  /** What keeps `file` from being written, or null. */
  unwritable(file: string): Promise<string | null>
  write(file: string, text: string): Promise<void>
  close(): void
}

/** Three parties in this thread, on channels in memory: for tests, and for browsers as they are. */
export async function playInThread(
  backends: readonly Backend[],
  job: Job,
  pair: (a: Role, b: Role) => [Channel, Channel] = () => memoryPair(),
): Promise<PartReports> {
  const backend = backends.find(({ name }) => name === job.variant.backend)!
  const [hs, sh] = pair('helper', 'server')
  const [hc, ch] = pair('helper', 'client')
  const [sc, cs] = pair('server', 'client')
  const ends = {
    helper: { server: hs, client: hc },
    server: { helper: sh, client: sc },
    client: { helper: ch, server: cs },
  }
  const parts = await Promise.all(ROLES.map((role) => playPart(backend, role, job, ends[role])))
  return Object.fromEntries(ROLES.map((role, i) => [role, parts[i]])) as Record<Role, (typeof parts)[number]>
}
