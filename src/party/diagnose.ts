// What this host can do, and whether parties can be reached from it: every finding in a sentence.
import { bestVariant, loadKernels } from '../kernels/instance.js'
import { connect, hasWebSocket } from '../net/index.js'
import { freshSeed } from '../random/seed.js'
import { LocalClient } from './client/local-client.js'
import { asRingfenceError } from './options.js'

/** One thing that works here, or does not, and why. */
export interface Finding {
  readonly about: string
  /** `warning`: it works, but slower or not everywhere. */
  readonly state: 'ok' | 'warning' | 'failed'
  readonly says: string
}

/** What is to be reached. */
export interface DiagnoseOptions {
  /** Parties to reach; with both, a client's whole handshake is tried. */
  server?: string
  helper?: string
  deadlineMs?: number
}

const ok = (about: string, says: string): Finding => ({ about, state: 'ok', says })
const warning = (about: string, says: string): Finding => ({ about, state: 'warning', says })
const failed = (about: string, says: string): Finding => ({ about, state: 'failed', says })

/** Tries what a client needs. Never rejects. */
export async function diagnose(options: DiagnoseOptions = {}): Promise<Finding[]> {
  return [webAssembly(), randomness(), await webSocket(), threads(), worker(), ...(await endpoints(options))]
}

function webAssembly(): Finding {
  const about = 'WebAssembly'
  try {
    loadKernels()
    if (bestVariant() === 'simd') return ok(about, 'the kernels run with SIMD.')
    return warning(about, 'this host has no SIMD: the scalar kernels run, several times slower.')
  } catch (error) {
    const why = error instanceof Error ? error.message : String(error)
    const advice =
      "allow 'wasm-unsafe-eval' in the page's script-src, or give Client.create a compiled module as `wasm`"
    return failed(about, `the kernels cannot be compiled (${why}); ${advice}.`)
  }
}

function randomness(): Finding {
  try {
    freshSeed()
    return ok('randomness', 'crypto.getRandomValues gives seeds.')
  } catch (error) {
    return failed('randomness', asRingfenceError(error).message)
  }
}

async function webSocket(): Promise<Finding> {
  const about = 'WebSocket'
  if (await hasWebSocket()) return ok(about, 'connections can be opened.')
  return failed(about, 'this host has none; open channels yourself and pass them as server and helper.')
}

function threads(): Finding {
  const cores = globalThis.navigator?.hardwareConcurrency
  const isolated = (globalThis as { crossOriginIsolated?: boolean }).crossOriginIsolated
  const shared = isolated === false ? 'not isolated, so no memory is shared between threads' : 'memory can be shared'
  return ok('threads', `${cores ? `${cores} cores; ` : ''}${shared}. A client needs one thread and no isolation.`)
}

function worker(): Finding {
  if (typeof document === 'undefined') return ok('worker', 'no page: the client works in the thread that calls it.')
  if (typeof Worker === 'function') return ok('worker', 'the client works in a worker of the page.')
  return warning('worker', "this page has no workers: the client works in the page's thread.")
}

async function endpoints({ server, helper, deadlineMs = 5000 }: DiagnoseOptions): Promise<Finding[]> {
  const findings = await Promise.all([
    ...(server ? [reach('server', server, deadlineMs)] : []),
    ...(helper ? [reach('helper', helper, deadlineMs)] : []),
  ])
  if (!server || !helper || findings.some(({ state }) => state === 'failed')) return findings
  return [...findings, await handshake(server, helper, deadlineMs)]
}

async function reach(about: string, url: string, deadlineMs: number): Promise<Finding> {
  const started = performance.now()
  try {
    const channel = await connect(url, { deadlineMs })
    channel.close()
    return ok(about, `${url} answers within ${(performance.now() - started).toFixed(0)} ms.`)
  } catch (error) {
    return failed(about, asRingfenceError(error).message)
  }
}

async function handshake(server: string, helper: string, deadlineMs: number): Promise<Finding> {
  const about = 'session'
  try {
    const client = await LocalClient.create({ server, helper, deadlineMs })
    const { network, backend, steps } = client.plan
    await client.release()
    return ok(about, `the server offers ${network} on ${backend}, ${steps.length} steps; all sides speak one version.`)
  } catch (error) {
    return failed(about, asRingfenceError(error).message)
  }
}
