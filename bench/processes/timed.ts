// Where a process spends its processor time: kernels, copies and sockets, each timed in place by wrapping what does it. Of nested
// calls each counts what is its own. Other programs on the machine do not count; a look at the clock costs about a microsecond.
import { createRequire } from 'node:module'

/** Milliseconds so far, by what took them. */
export type Parts = Record<string, number>

const spent: Parts = {}
/** Of the calls in progress: what those inside them took. */
const inside: number[] = []

/** Names of kernels, by what they do. */
const KINDS: readonly (readonly [kind: string, names: RegExp])[] = [
  ['convolution', /^(conv|depthwise|matmul|naiveMatmul|pack3x3|packWeights|pool|affine)/i],
  ['random streams (ChaCha12)', /^(chacha|sampleBelow)/],
  ['packing of bits', /^(packBits|unpackBits|toPlanes|fromPlanes|split64|join64)/],
  ['comparisons and selections', /^mcc/],
]

const kindOf = (name: string): string => KINDS.find(([, names]) => names.test(name))?.[0] ?? 'other kernels'

/** Of this process so far. */
function processorMs(): number {
  const { user, system } = process.cpuUsage()
  return (user + system) / 1000
}

function timed<A extends unknown[], R>(part: string, call: (...args: A) => R): (...args: A) => R {
  return function (this: unknown, ...args: A): R {
    const began = processorMs()
    inside.push(0)
    try {
      return call.apply(this, args)
    } finally {
      const took = processorMs() - began
      spent[part] = (spent[part] ?? 0) + took - inside.pop()!
      if (inside.length > 0) inside[inside.length - 1] += took
    }
  }
}

/** Copies of fewer bytes are left alone: a look at the clock would take longer. */
const COPY_BYTES = 4096

/** Wraps all of it in this process, before anything is loaded that keeps what it finds. */
export function timeParts(): void {
  const { Instance } = WebAssembly
  function TimedInstance(module: WebAssembly.Module, imports?: WebAssembly.Imports) {
    const { exports } = new Instance(module, imports)
    const wrapped = Object.entries(exports).map(([name, each]) => [
      name,
      typeof each === 'function' ? timed(kindOf(name), each as (...args: unknown[]) => unknown) : each,
    ])
    return { exports: Object.fromEntries(wrapped) }
  }
  WebAssembly.Instance = TimedInstance as never
  const bytes = Object.getPrototypeOf(Uint8Array.prototype) as Uint8Array
  const { set } = bytes
  const copied = timed('copies of messages', set)
  bytes.set = function (source, offset) {
    return (source.length >= COPY_BYTES ? copied : set).call(this, source, offset)
  }
  const { Sender, Receiver } = createRequire(import.meta.url)('ws')
  Sender.prototype.sendFrame = timed('sending on sockets', Sender.prototype.sendFrame)
  Receiver.prototype._write = timed('receiving from sockets', Receiver.prototype._write)
}

export const partsSoFar = (): Parts => ({ ...spent })
