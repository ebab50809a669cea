// A page's end of a client that runs in a worker.
import { RingfenceError } from '../../errors.js'
import type { Plan } from '../../plan/plan.js'
import type {
  CallOptions,
  ClientEngine,
  ClientOptions,
  InferenceResult,
  Lane,
  Progress,
} from '../client/client-options.js'
import { AUDIT, SEEDS } from '../options.js'
import { type Answer, type ClientState, type Order, type RemoteOptions, restored, type Value } from './messages.js'

/** A worker that says nothing for this long cannot be started here. */
const START_MS = 10_000

type Call<C extends Order['call']> = Omit<Extract<Order, { call: C }>, 'id'>

/**
 * A client in a worker of the page.
 * @returns null where this is no page, where the options keep the client in this thread, or where no worker starts (then
 *   `onWarning` is told)
 * @throws RingfenceError as `Client.create`
 */
export async function remoteClient(options: ClientOptions): Promise<ClientEngine | null> {
  const portable = portableOptions(options)
  if (!portable) return null
  let worker: Worker
  try {
    worker = await started(typeof options.worker === 'function' ? options.worker : ownWorker)
  } catch (cause) {
    const reason = cause instanceof Error ? cause.message : String(cause)
    const text = `the client works in the page's thread: its worker cannot be started (${reason})`
    ;(options.onWarning ?? ((message: string) => console.warn(`ringfence: ${message}`)))(text)
    return null
  }
  const client = new RemoteClient(worker, options.onPrepared, options.onMaterialLost)
  try {
    await client.open(portable, options.signal)
    return client
  } catch (error) {
    worker.terminate()
    throw error
  }
}

/** What goes to the worker; null when something cannot, or when there is no page. */
function portableOptions(options: ClientOptions): RemoteOptions | null {
  const {
    server,
    helper,
    token,
    plan,
    planDigest,
    helperKey,
    deadlineMs,
    keepPrepared,
    keepMaterial,
    wasm,
    worker = true,
  } = options
  const inPage = typeof document !== 'undefined' && typeof Worker === 'function'
  if (
    !inPage ||
    worker === false ||
    typeof keepMaterial === 'object' ||
    options.meter ||
    options[AUDIT] ||
    options[SEEDS]
  )
    return null
  if (typeof server !== 'string' || typeof helper !== 'string') return null
  const page = location.href // a worker may lie elsewhere
  const [serverUrl, helperUrl] = [server, helper].map((url) => new URL(url, page).href)
  const addresses = { server: serverUrl, helper: helperUrl }
  return { ...addresses, token, plan, planDigest, helperKey, deadlineMs, keepPrepared, keepMaterial, wasm }
}

// In one expression, as bundlers look for it.
const ownWorker = (): Worker =>
  new Worker(new URL('./worker.js', import.meta.url), { type: 'module', name: 'ringfence' })

async function started(make: () => Worker): Promise<Worker> {
  const worker = make()
  let timer: ReturnType<typeof setTimeout> | undefined
  try {
    await new Promise<void>((resolve, reject) => {
      worker.onmessage = () => resolve()
      worker.onerror = (event) => reject(new Error(event.message || 'its script cannot be loaded'))
      timer = setTimeout(() => reject(new Error(`no sign of life within ${START_MS} ms`)), START_MS)
    })
    return worker
  } catch (error) {
    worker.terminate()
    throw error
  } finally {
    clearTimeout(timer)
    worker.onmessage = worker.onerror = null
  }
}

/** The lane of the order that made the client. */
const FIRST = 0

interface Waiting {
  resolve(value: Value): void
  reject(error: RingfenceError): void
  progress(progress: Progress): void
}

class RemoteClient implements ClientEngine {
  readonly #worker: Worker
  readonly #waiting = new Map<number, Waiting>()
  #next = 0
  #plan: Plan | undefined
  #state: ClientState | undefined
  #close!: (error: RingfenceError) => void
  readonly closed = new Promise<RingfenceError>((resolve) => {
    this.#close = resolve
  })

  constructor(
    worker: Worker,
    readonly onPrepared: ClientOptions['onPrepared'],
    readonly onLost: ClientOptions['onMaterialLost'],
  ) {
    this.#worker = worker
    worker.onmessage = ({ data }: MessageEvent<Answer>) => this.#hear(data)
    worker.onerror = (event) => {
      const error = new RingfenceError('HOST', `the client's worker failed: ${event.message || 'no reason given'}`)
      for (const waiting of this.#waiting.values()) waiting.reject(error)
      this.#waiting.clear()
      this.#close(error)
    }
  }

  async open(options: RemoteOptions, signal: AbortSignal | undefined): Promise<void> {
    this.#plan = (await this.#call<'create'>({ call: 'create', options }, { signal })) as Plan
  }

  get plan(): Plan {
    return this.#plan!
  }

  get prepared(): number {
    return this.#state!.prepared
  }

  get traffic() {
    return this.#state!.traffic
  }

  get memoryInUse(): number {
    return this.#state!.memoryInUse
  }

  async prepare(count: number, options: CallOptions): Promise<void> {
    await this.#call<'prepare'>({ call: 'prepare', count, watched: !!options.onProgress }, options)
  }

  run(input: Float32Array, options: CallOptions): Promise<InferenceResult> {
    return this.#run(FIRST, input, options)
  }

  async #run(lane: number, input: Float32Array, options: CallOptions): Promise<InferenceResult> {
    const order = { call: 'run', lane, input, watched: !!options.onProgress } as const
    return (await this.#call<'run'>(order, options)) as InferenceResult
  }

  /** In the same worker. */
  async another(signal: AbortSignal): Promise<Lane> {
    const lane = (await this.#call<'another'>({ call: 'another' }, { signal })) as number
    return {
      run: (input, options) => this.#run(lane, input, options),
      release: async () => void (await this.#call<'release'>({ call: 'release', lane }, {})),
    }
  }

  async release(): Promise<void> {
    await this.#call<'release'>({ call: 'release', lane: FIRST }, {})
    this.#worker.terminate()
  }

  #call<C extends Order['call']>(call: Call<C>, { signal, onProgress }: CallOptions) {
    const id = this.#next++
    return new Promise<Value>((resolve, reject) => {
      if (signal?.aborted) {
        reject(new RingfenceError('ABORTED', 'the call was aborted before it began'))
        return
      }
      const abort = () => this.#worker.postMessage({ id, call: 'abort' } satisfies Order)
      signal?.addEventListener('abort', abort)
      const settle =
        <T>(use: (value: T) => void) =>
        (value: T) => {
          signal?.removeEventListener('abort', abort)
          use(value)
        }
      this.#waiting.set(id, {
        resolve: settle(resolve),
        reject: settle(reject),
        progress: (progress) => onProgress?.(progress),
      })
      this.#worker.postMessage({ ...call, id })
    })
  }

  #hear(answer: Answer): void {
    if ('ready' in answer) return
    if ('lost' in answer) {
      this.onLost?.(answer.lost)
      return
    }
    if ('closed' in answer) {
      this.#close(restored(answer.closed))
      return
    }
    if (!('id' in answer)) {
      this.#state = answer.state
      this.onPrepared?.(answer.state.prepared)
      return
    }
    const waiting = this.#waiting.get(answer.id)
    if ('progress' in answer) {
      waiting?.progress(answer.progress)
      return
    }
    this.#waiting.delete(answer.id)
    this.#state = answer.state ?? this.#state
    if ('error' in answer) waiting?.reject(restored(answer.error))
    else waiting?.resolve(answer.value)
  }
}
