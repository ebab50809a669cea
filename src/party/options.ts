// What all three parties take, and the two hooks that only tests and the demo's judge use.
import { type ErrorCode, RingfenceError } from '../errors.js'
import { type Channel, Link, Meter, type Peer } from '../net/index.js'
import { PIECE_BYTES } from '../protocol/pieces.js'
import type { Seed } from '../random/seed.js'
import { freshSeed } from '../random/seed.js'
import type { PartyEvent } from './events.js'

/** What all three parties take. */
export interface PartyOptions {
  /** Longest silence of a peer that is waited for, in milliseconds. Default 30,000. */
  deadlineMs?: number
  /** @internal See `AUDIT`. */
  [AUDIT]?: Audit
  /** @internal See `SEEDS`. */
  [SEEDS]?: () => Seed
}

/** What a party takes that others connect to. */
export interface HostOptions extends PartyOptions {
  /** Longest time a client may stay without a request, in milliseconds; then its material is freed. Default one hour. */
  idleMs?: number
  /** The same for a client that has reserved nothing and run nothing yet. Default one minute. */
  unusedMs?: number
  /** Clients that may join per second, in bursts of as many; others wait, then are told BUSY. Default 50. */
  joinsPerSecond?: number
  /**
   * Called when a connection ends with an error; the party goes on serving the others. `peer` is what `run` was given;
   * absent where the connection is one of the party's own.
   */
  onError?: (error: RingfenceError, peer?: Peer) => void
  /** Called with what happens, for logs and metrics. */
  onEvent?: (event: PartyEvent) => void
}

/**
 * Reveals a session's mask seeds to the caller, so that a judge who holds both parties' can rerun the inference in plain
 * text. Only `ringfence/testing` hands it out.
 * @internal
 */
export const AUDIT: unique symbol = Symbol('ringfence.audit')
/** `model`: the client's κ_B, from which B follows. */
export type Audit = (session: { session: Uint8Array; seed: Seed; model?: Seed }) => void

/**
 * Replaces the CSPRNG by chosen seeds. Only `ringfence/testing` hands it out; refused on anything but in-process channels.
 * @internal
 */
export const SEEDS: unique symbol = Symbol('ringfence.seeds')

/**
 * Marks a connection that a server opened to itself, in its own process, to try what it serves: it is nobody's.
 * @internal
 */
export const OWN: unique symbol = Symbol('ringfence.own')

const inProcess = new WeakSet<Channel>()

/** @internal Marks channels on which chosen seeds are allowed. */
export function allowChosenSeeds<C extends Channel>(channel: C): C {
  inProcess.add(channel)
  return channel
}

/** The seed source of a party on these channels: the CSPRNG, or chosen seeds where nothing leaves the process. */
export function seedSource(options: PartyOptions, channels: readonly Channel[]): () => Seed {
  const chosen = options[SEEDS]
  if (!chosen) return freshSeed
  if (channels.every((channel) => inProcess.has(channel))) return chosen
  throw new RingfenceError('INSECURE', 'chosen seeds are for tests inside one process; they are refused over a network')
}

const DEFAULT_DEADLINE_MS = 30_000
const DEFAULT_IDLE_MS = 3_600_000
const DEFAULT_UNUSED_MS = 60_000

export const deadlineOf = ({ deadlineMs }: PartyOptions): number => deadlineMs ?? DEFAULT_DEADLINE_MS
export const idleOf = ({ idleMs }: HostOptions): number => idleMs ?? DEFAULT_IDLE_MS
export const unusedOf = ({ unusedMs, ...options }: HostOptions): number =>
  Math.min(idleOf(options), unusedMs ?? DEFAULT_UNUSED_MS)

/** The token a client shows to one of the two. */
export const tokenFor = (
  party: 'server' | 'helper',
  { token }: { token?: string | { server?: string; helper?: string } },
): string | undefined => (typeof token === 'string' ? token : token?.[party])

/** A framed, metered link over a channel. */
export function linkTo(
  name: string,
  channel: Channel,
  options: PartyOptions,
  meter = new Meter(),
  patient = false,
): Link {
  const maxFrame = 2 * PIECE_BYTES + 2 ** 20
  return new Link(channel, { name, meter, deadlineMs: deadlineOf(options), maxFrame, patient })
}

/** Runs so many tasks at a time, the others in the order in which they came; a failed one does not stop the next. */
export class Turns {
  #free: number
  readonly #waiting: (() => void)[] = []

  constructor(places = 1) {
    this.#free = places
  }

  async take<T>(task: () => Promise<T>): Promise<T> {
    if (this.#free > 0) this.#free--
    else await new Promise<void>((resolve) => this.#waiting.push(resolve))
    try {
      return await task()
    } finally {
      const next = this.#waiting.shift()
      if (next) next()
      else this.#free++
    }
  }
}

/** The error as one of ours: what a peer is told and a caller catches. */
export function asRingfenceError(error: unknown): RingfenceError {
  if (error instanceof RingfenceError) return error
  return new RingfenceError('PROTOCOL', 'an internal check failed; see the cause', [], { cause: error })
}

/** Why a peer that has closed its connection did: the failure it told, or PEER_GONE. */
export async function whyGone(link: Link): Promise<RingfenceError> {
  const words = await link.receiveAny(0).catch(asRingfenceError)
  return words instanceof RingfenceError ? words : new RingfenceError('PEER_GONE', `the ${link.name} is gone`)
}

/** Tells how long a task took, and the code of the error it ended with, if any. */
export async function timed<T>(
  task: Promise<T>,
  ended?: (milliseconds: number, error?: ErrorCode) => void,
): Promise<T> {
  const began = performance.now()
  try {
    const result = await task
    ended?.(performance.now() - began)
    return result
  } catch (cause) {
    ended?.(performance.now() - began, asRingfenceError(cause).code)
    throw cause
  }
}
