// The models of a server, by name: those it was told to offer, taken in and let go while it serves.
import { RingfenceError } from '../errors.js'
import type { RefusalReason } from '../net/access/credentials.js'
import { type Exchange, isExchange } from '../net/exchange/exchange.js'
import type { Channel } from '../net/index.js'
import type { ServerStatus } from '../party/events.js'
import type { Server } from '../party/server.js'
import { type ModelOptions, ServedModel, UNAVAILABLE } from './served-model.js'
import type { Connection, Party } from './service.js'

/** The first is also at every path that names none. */
export class Models implements Party {
  #models = new Map<string, ServedModel>()
  readonly #leaving = new Set<Promise<void>>()
  /** What is to be there: `compile` brings it about, and once it serves `reload`. */
  wanted: ReadonlyMap<string, ModelOptions> = new Map()
  /** How long the clients of a model that leaves may take for what they are at. */
  drainMs = 0

  all(): IterableIterator<[string, ServedModel]> {
    return this.#models.entries()
  }

  /** Bundles for the first, as `Server.expects`. */
  expects(path: string, token: Uint8Array): ReturnType<Server['expects']> {
    return this.#models.values().next().value?.expects(path, token) ?? UNAVAILABLE
  }

  *statuses(): Iterable<readonly [string, ServerStatus]> {
    for (const [name, { status }] of this.#models) if (status) yield [name, status]
  }

  async compile(): Promise<void> {
    for (const [name, options] of this.wanted) this.#models.set(name, await ServedModel.compile(options))
  }

  /** Resolves when all are registered. */
  async register(): Promise<'registered'> {
    await Promise.all([...this.#models.values()].map((model) => model.register()))
    return 'registered'
  }

  run(channel: Channel, peer: Connection): Promise<void> {
    const model = this.#at(peer.target)
    return model ? model.run(channel, peer) : Promise.resolve(channel.close())
  }

  exchange(target: string): Exchange | undefined {
    return isExchange(target) ? this.#at(target)?.exchange : undefined
  }

  refuses(target: string): RefusalReason | undefined {
    const named = nameIn(target)
    if (named !== undefined && !this.#models.has(named)) return this.#models.size > 0 ? 'not found' : 'unavailable'
    return this.#at(target)?.status ? undefined : 'unavailable'
  }

  problems(): string[] {
    if (this.#models.size === 0) return ['models are still being read']
    return [...this.#models].flatMap(([name, { problem }]) => (problem ? [`${name}: ${problem}`] : []))
  }

  /**
   * Each for itself: what is wrong with one holds up no other.
   * @throws RingfenceError BAD_FILE that names all that could not be replaced or added
   */
  async reload(): Promise<void> {
    const problems: string[] = []
    const next = new Map<string, ServedModel>()
    for (const [name, options] of this.wanted) {
      try {
        const model = this.#models.get(name)
        if (model) {
          next.set(name, model)
          await model.reload(options, this.drainMs)
        } else next.set(name, await this.#added(options))
      } catch (error) {
        problems.push(`${name}: ${(error as Error).message}`)
      }
    }
    const gone = [...this.#models].filter(([name]) => !next.has(name))
    this.#models = next
    for (const [, model] of gone) this.#letGo(model)
    if (problems.length > 0) {
      throw new RingfenceError('BAD_FILE', 'models that cannot be replaced go on, new ones are left out', problems)
    }
  }

  async drain(withinMs: number): Promise<boolean> {
    return (await Promise.all([...this.#models.values()].map((model) => model.drain(withinMs)))).every(Boolean)
  }

  async release(): Promise<void> {
    await Promise.all([...[...this.#models.values()].map((model) => model.release()), ...this.#leaving])
  }

  /** It serves from when its helper has it. */
  async #added(options: ModelOptions): Promise<ServedModel> {
    const model = await ServedModel.compile(options)
    void model.register().catch((error: RingfenceError) => options.hooks.onError(error))
    return model
  }

  #letGo(model: ServedModel): void {
    const leaving = model
      .drain(this.drainMs)
      .then(() => model.release())
      .finally(() => this.#leaving.delete(leaving))
    this.#leaving.add(leaving)
  }

  #at(target: string): ServedModel | undefined {
    const named = nameIn(target)
    return named === undefined ? this.#models.values().next().value : this.#models.get(named)
  }
}

const nameIn = (target: string): string | undefined => /^\/m\/([^/?]+)/.exec(target)?.[1]
