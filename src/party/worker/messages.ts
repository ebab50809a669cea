// What a page and its worker tell each other.
import { type ErrorCode, RingfenceError } from '../../errors.js'
import type { MeterReport } from '../../net/index.js'
import type { Plan } from '../../plan/plan.js'
import type { InferenceResult, MaterialLoss, Progress } from '../client/client-options.js'
import { asRingfenceError } from '../options.js'

/** The part of `ClientOptions` that can be copied. */
export interface RemoteOptions {
  readonly server: string
  readonly helper: string
  readonly token?: string | { server?: string; helper?: string }
  readonly plan?: Plan
  readonly planDigest?: Uint8Array
  readonly helperKey?: Uint8Array
  readonly deadlineMs?: number
  readonly keepPrepared?: number
  readonly keepMaterial?: boolean
  readonly wasm?: WebAssembly.Module
}

/** `watched`: the page wants progress. Else it is not told, as every message wakes its thread up. */
interface Watched {
  readonly id: number
  readonly watched: boolean
}

/** Of a client's connections the first, 0, or one that `another` made. */
interface OfLane {
  readonly lane: number
}

export type Order =
  | { readonly id: number; readonly call: 'create'; readonly options: RemoteOptions }
  | ({ readonly call: 'prepare'; readonly count: number } & Watched)
  | ({ readonly call: 'run'; readonly input: Float32Array } & Watched & OfLane)
  /** Answered with the number of the new lane. */
  | { readonly id: number; readonly call: 'another' }
  | ({ readonly id: number; readonly call: 'release' } & OfLane)
  /** Calls order `id` off. */
  | { readonly id: number; readonly call: 'abort' }

/** What a page shows of a client without asking. */
export interface ClientState {
  readonly prepared: number
  readonly traffic: MeterReport
  readonly memoryInUse: number
}

export type Answer =
  | { readonly ready: true }
  /** Something was prepared in the background. */
  | { readonly state: ClientState }
  | { readonly lost: MaterialLoss }
  | { readonly closed: PortableError }
  | { readonly id: number; readonly progress: Progress }
  | { readonly id: number; readonly value: Value; readonly state: ClientState | undefined }
  | { readonly id: number; readonly error: PortableError; readonly state: ClientState | undefined }

/** What an order gives. */
export type Value = Plan | InferenceResult | number | undefined

export interface PortableError {
  readonly code: ErrorCode
  readonly message: string
  readonly problems: readonly string[]
  readonly retryAfterMs: number | undefined
  readonly cause: PortableError | undefined
}

export function portable(cause: unknown): PortableError {
  const error = asRingfenceError(cause)
  const inner = error.cause instanceof RingfenceError ? portable(error.cause) : undefined
  // The message ends in the problems, which go apart.
  const [message] = error.problems.length > 0 ? error.message.split('\n  - ') : [error.message]
  return { code: error.code, message, problems: error.problems, retryAfterMs: error.retryAfterMs, cause: inner }
}

export function restored({ code, message, problems, retryAfterMs, cause }: PortableError): RingfenceError {
  return new RingfenceError(code, message, problems, { retryAfterMs, ...(cause && { cause: restored(cause) }) })
}
