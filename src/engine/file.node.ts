// An engine in a folder that the processes of one machine share: a file per job, which whoever renames it first has.
import { link, open, readdir, readFile, rename, stat, unlink } from 'node:fs/promises'
import { join } from 'node:path'
import { RingfenceError } from '../errors.js'
import { wait } from '../net/clock.js'
import {
  type Claims,
  checkName,
  type Depth,
  type Engine,
  type EngineOptions,
  type EngineTerms,
  GIVEN_UP,
  type Jobs,
  type Lease,
  queueFull,
  termsOf,
} from './engine.js'
import { makeFolders } from './folders.node.js'

/** How often a folder without jobs is looked into. */
const LOOK_MS = 100

const FOLDERS = ['waiting', 'leased', 'dead', 'ids', 'claims', 'unfinished'] as const

/** What the name of a job's file says: TIME-COUNT.ATTEMPT.ID, in milliseconds since 1970. */
interface Named {
  readonly name: string
  /** Can be leased from then on; where it is leased, until then. */
  readonly at: number
  readonly attempt: number
  readonly id: string
}

/** @throws RingfenceError HOST where the folder cannot be written */
export async function openFileEngine(folder: string, options: EngineOptions): Promise<Engine> {
  const terms = termsOf(options)
  const root = join(folder, terms.name)
  try {
    if (await makeFolders(folder, 0o700)) options.onMade?.(`the folder ${folder}`)
    for (const each of FOLDERS) await makeFolders(join(root, each), 0o700)
  } catch (cause) {
    const { code } = cause as NodeJS.ErrnoException
    throw new RingfenceError(
      'HOST',
      `${folder}: the queue needs a folder that can be written (${code}); change its permissions, or name another`,
      [],
      { cause },
    )
  }
  const jobs = new FileJobs(root, terms)
  return { jobs, claims: new FileClaims(root), close: async () => jobs.close() }
}

class FileJobs implements Jobs {
  readonly #closed = new AbortController()
  #count = 0
  /** Jobs that may be put before the folder is counted again: other processes put, too. */
  #room = 0
  /** Seen waiting at the last look. */
  #seen: Named[] = []
  #looking: Promise<void> | undefined

  constructor(
    private readonly root: string,
    private readonly terms: EngineTerms,
  ) {}

  async put(job: Uint8Array, id: string): Promise<'queued' | 'duplicate'> {
    checkName('a job', id)
    const mark = join(this.root, 'ids', id)
    const known = await stat(mark).catch(missing)
    if (known && known.mtimeMs + this.terms.windowMs > Date.now()) return 'duplicate'
    await this.#makeRoom()
    await this.#write(job, 'waiting', nameOf(Date.now(), this.#count++, 0, id))
    // Marked last: a putter that dies in between puts it twice, and never not at all.
    await write(mark, new Uint8Array(0), 'w')
    return 'queued'
  }

  async *take(signal?: AbortSignal): AsyncGenerator<Lease, void> {
    const ended = signal ? AbortSignal.any([signal, this.#closed.signal]) : this.#closed.signal
    while (!ended.aborted) {
      const next = this.#seen.shift()
      if (!next) await this.#look(ended)
      else if (next.attempt < this.terms.attempts) yield* this.#lease(next)
      else await this.#bury(next, 'waiting', GIVEN_UP)
    }
  }

  async depth(): Promise<Depth> {
    const [waiting, leased, dead] = await Promise.all(
      (['waiting', 'leased', 'dead'] as const).map(
        async (each) => (await readdir(join(this.root, each))).filter(read).length,
      ),
    )
    return { waiting, leased, dead }
  }

  close(): void {
    this.#closed.abort()
  }

  async #makeRoom(): Promise<void> {
    if (this.#room <= 0) {
      const { waiting, leased } = await this.depth()
      this.#room = Math.min(100, this.terms.limit - waiting - leased)
      await this.#forget()
    }
    if (this.#room <= 0) throw queueFull(this.terms)
    this.#room--
  }

  /** Marks of ids that may be used again. */
  async #forget(): Promise<void> {
    const before = Date.now() - this.terms.windowMs
    for (const id of await readdir(join(this.root, 'ids'))) {
      const mark = join(this.root, 'ids', id)
      const known = await stat(mark).catch(missing)
      if (known && known.mtimeMs < before) await unlink(mark).catch(missing)
    }
  }

  /** Once for all takers of this process. */
  async #look(ended: AbortSignal): Promise<void> {
    this.#looking ??= this.#lookOnce(ended).finally(() => {
      this.#looking = undefined
    })
    await this.#looking
  }

  async #lookOnce(ended: AbortSignal): Promise<void> {
    for (const leased of await this.#list('leased')) await this.#offerAgain(leased)
    this.#seen = await this.#list('waiting')
    if (this.#seen.length === 0) await wait(LOOK_MS, ended)
  }

  /** Those whose time has come. */
  async #list(folder: 'waiting' | 'leased'): Promise<Named[]> {
    const names = (await readdir(join(this.root, folder))).sort().map(read)
    const now = Date.now()
    return names.filter((each): each is Named => each !== undefined && each.at <= now)
  }

  async #offerAgain(leased: Named, afterMs = 0): Promise<boolean> {
    const name = nameOf(Date.now() + afterMs, this.#count++, leased.attempt, leased.id)
    return this.#move(leased, 'leased', 'waiting', name)
  }

  async *#lease({ name, attempt: before, id }: Named): AsyncGenerator<Lease, void> {
    const attempt = before + 1
    const named = (): Named => {
      const at = Date.now() + this.terms.leaseMs
      return { name: nameOf(at, this.#count++, attempt, id), at, attempt, id }
    }
    let held = named()
    if (!(await this.#move({ name }, 'waiting', 'leased', held.name))) return
    const job = await readFile(join(this.root, 'leased', held.name)).catch(missing)
    if (!job) return
    yield {
      job: new Uint8Array(job),
      attempt,
      extend: async () => {
        const next = named()
        if (await this.#move(held, 'leased', 'leased', next.name)) held = next
      },
      done: async () => void (await unlink(join(this.root, 'leased', held.name)).catch(missing)),
      retry: async (afterMs) => void (await this.#offerAgain(held, afterMs)),
      dead: async (reason) => this.#bury(held, 'leased', reason),
    }
  }

  async #bury({ name }: Pick<Named, 'name'>, from: 'waiting' | 'leased', reason: string): Promise<void> {
    if (!(await this.#move({ name }, from, 'dead', name))) return
    await write(join(this.root, 'dead', `${name}.why`), new TextEncoder().encode(`${reason}\n`), 'w')
  }

  /** False where somebody else has moved it. */
  async #move({ name }: Pick<Named, 'name'>, from: string, to: string, as: string): Promise<boolean> {
    const moved = await rename(join(this.root, from, name), join(this.root, to, as)).then(() => true, missing)
    return moved === true
  }

  async #write(bytes: Uint8Array, folder: string, name: string): Promise<void> {
    const unfinished = join(this.root, 'unfinished', `${name}.${process.pid}`)
    await write(unfinished, bytes, 'wx')
    await rename(unfinished, join(this.root, folder, name))
    await synced(join(this.root, folder))
  }
}

class FileClaims implements Claims {
  #count = 0

  constructor(private readonly root: string) {}

  async create(key: string, value: Uint8Array): Promise<boolean> {
    checkName('a claim', key)
    const unfinished = join(this.root, 'unfinished', `${key}.${process.pid}.${this.#count++}`)
    await write(unfinished, value, 'wx')
    try {
      await link(unfinished, join(this.root, 'claims', key))
      await synced(join(this.root, 'claims'))
      return true
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code === 'EEXIST') return false
      throw error
    } finally {
      await unlink(unfinished)
    }
  }

  async get(key: string): Promise<Uint8Array | undefined> {
    checkName('a claim', key)
    const value = await readFile(join(this.root, 'claims', key)).catch(missing)
    return value && new Uint8Array(value)
  }
}

const nameOf = (at: number, count: number, attempt: number, id: string): string =>
  `${String(Math.ceil(at)).padStart(14, '0')}-${String(count).padStart(9, '0')}.${attempt}.${id}`

function read(name: string): Named | undefined {
  const [, at, attempt, id] = /^(\d+)-\d+\.(\d+)\.([\w-]+)$/.exec(name) ?? []
  return id === undefined ? undefined : { name, at: Number(at), attempt: Number(attempt), id }
}

/** It survives the machine. */
async function write(path: string, bytes: Uint8Array, flag: 'w' | 'wx'): Promise<void> {
  const file = await open(path, flag, 0o600)
  try {
    await file.writeFile(bytes)
    await file.sync()
  } finally {
    await file.close()
  }
}

async function synced(folder: string): Promise<void> {
  const handle = await open(folder, 'r')
  try {
    await handle.sync()
  } finally {
    await handle.close()
  }
}

function missing(error: NodeJS.ErrnoException): undefined {
  if (error.code !== 'ENOENT') throw error
}
