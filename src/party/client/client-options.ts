// What a client is told and what it tells: the types that its caller, its worker and its back ends share.
import type { RingfenceError } from '../../errors.js'
import type { Channel, Meter, MeterReport } from '../../net/index.js'
import type { NamedOutputs } from '../../plan/outputs.js'
import type { Plan } from '../../plan/plan.js'
import type { PartyOptions } from '../options.js'
import type { MaterialStore } from './client-store.js'

/** How far a call is: told after every step of the plan. */
export interface Progress {
  readonly phase: 'prepare' | 'run'
  readonly inference: number
  /** Steps done, of `steps`. */
  readonly step: number
  readonly steps: number
  /** The layer that was just finished. */
  readonly layer: string
}

/** How one call can be called off and watched. */
export interface CallOptions {
  signal?: AbortSignal
  /** Told after every step of the plan. */
  onProgress?: (progress: Progress) => void
}

/**
 * Why an inference that was kept for later cannot be used: it is older than a day; plan or helper are others now; the server
 * has forgotten it, or used it; the host did not store it.
 */
export type MaterialLoss = 'expired' | 'changed' | 'refused' | 'storage'

/** Opens a channel to a party. It is held as long as the client is: one that refers to the client keeps it from being collected. */
export type OpenChannel = () => Channel | Promise<Channel>

/** How many inputs are worked on at once, and how that is called off and watched. */
export interface ManyOptions {
  /** Inferences at a time, 1 to 256, as far as the server has room for them; each has a connection. Default 8. */
  inFlight?: number
  signal?: AbortSignal
  /** Told after every inference. */
  onProgress?: (progress: ManyProgress) => void
}

/** How far `runMany` is. */
export interface ManyProgress {
  /** Inputs that have an outcome, of which so many failed. */
  readonly done: number
  readonly failed: number
  /** Inputs that are worked on. */
  readonly inFlight: number
  readonly connections: number
}

/** What became of one of many inputs: a result, or why there is none. */
export type Outcome = { /** Of the input, from 0. */ readonly index: number } & (
  | { readonly result: InferenceResult; readonly error?: undefined }
  | { readonly error: RingfenceError; readonly result?: undefined }
)

/** Whom a client connects to, and what it insists on. */
export interface ClientOptions extends PartyOptions {
  /** `wss://…` (or `ws://` on loopback), an open channel, or what opens one: `runMany` opens several. */
  server: string | Channel | OpenChannel
  helper: string | Channel | OpenChannel
  /** Shown to both parties, or one for each, where they do not let everybody in. Channels that are open carry their own. */
  token?: string | { server?: string; helper?: string }
  /** A plan the client already has; the server must run exactly this one. */
  plan?: Plan
  /** SHA-256 of the plan the client will accept. */
  planDigest?: Uint8Array
  /** The helper's public key, when it was learnt over a trusted way; another key is refused. */
  helperKey?: Uint8Array
  meter?: Meter
  signal?: AbortSignal
  /** Prepares in the background until this many inferences are ready, and again whenever one is used. Default 0. */
  keepPrepared?: number
  /** Told how many are ready after every one that was prepared in the background. */
  onPrepared?: (prepared: number) => void
  /**
   * Keeps prepared material over reloads, each inference to be used once: `true` in the page's IndexedDB, elsewhere in a store
   * of your own. The server has to keep its part too, and does so for some minutes; the helper is not needed again. Whoever
   * reads the store *and* what the server sees can open inputs, also some time after: see SECURITY.md. Default false.
   */
  keepMaterial?: boolean | MaterialStore
  /** Told of every kept inference that cannot be used any more. */
  onMaterialLost?: (why: MaterialLoss) => void
  /** The compiled `ringfence/kernels.simd.wasm`, for hosts that compile no WebAssembly at run time. */
  wasm?: WebAssembly.Module
  /**
   * In a web page: `true` (default) works in a worker of the page's own bundle, `false` in the page's thread, a function
   * makes the worker, for bundlers that do not follow `new URL('./worker.js', import.meta.url)`. Open channels and meters
   * cannot leave the thread they are in: with them the client stays there.
   */
  worker?: boolean | (() => Worker)
  /** Told, once, when the worker cannot be started and the page's thread does its work. Default: `console.warn`. */
  onWarning?: (message: string) => void
}

/** What the client has learnt from one input. */
export interface InferenceResult {
  /**
   * Real values that the private part gives, one per class; of several outputs one after another, before what the client
   * computes of them (a softmax at the end). Of a plan that gives the label alone, 1 for it and 0 elsewhere.
   */
  readonly logits: Float32Array
  /** Every output of the network by its name, with its shape (channels first where it is a map). */
  readonly outputs: NamedOutputs
  /** The logits as fixed-point integers of `scale` fraction bits, or of more where the plan's outputs say so. */
  readonly raw: Int32Array
  readonly scale: number
  /** Of one map of classes: the largest channel at every pixel, row by row. */
  readonly classMap?: Uint16Array
  /** Index of the largest value of the first output, and its name where the network gives names to classes. */
  readonly prediction: number
  readonly label: string | undefined
  readonly inference: number
  /**
   * How many values of the input lie beyond the range that the network was calibrated for, margin included, and how many of
   * the output reach into the headroom above that, the upper three quarters of what their words hold (never on `securenn`,
   * whose words hold far more). Where there are any the picture is unlike those calibrated on, and values inside the network,
   * which nobody sees, may have wrapped: do not rely on the answer. That both are 0 does not say that none has.
   */
  readonly beyondRange: { readonly input: number; readonly output: number }
  /** On line, without preparation. */
  readonly milliseconds: number
}

/** @internal A client's connection to its parties: one inference at a time. */
export interface Lane {
  run(input: Float32Array, options: CallOptions): Promise<InferenceResult>
  release(): Promise<void>
}

/** @internal A connected client, wherever it runs. */
export interface ClientEngine extends Lane {
  /** A further connection to the same parties; what is the same for all inferences is shared. */
  another(signal: AbortSignal): Promise<Lane>
  readonly plan: Plan
  readonly prepared: number
  readonly traffic: MeterReport
  readonly memoryInUse: number
  prepare(count: number, options: CallOptions): Promise<void>
  readonly closed: Promise<RingfenceError>
}
