// The yardstick: TensorFlow.js on its WASM back end, one thread, plain float32.
import { createRequire } from 'node:module'
import { dirname } from 'node:path'
import { RingfenceError } from '../../src/errors.js'
import type { Variant } from '../round-robin.js'

export async function load() {
  try {
    const tf = await import('@tensorflow/tfjs-core')
    const wasm = await import('@tensorflow/tfjs-backend-wasm')
    const main = createRequire(import.meta.url).resolve('@tensorflow/tfjs-backend-wasm')
    wasm.setWasmPaths(`${dirname(main)}/`)
    wasm.setThreadsCount(1)
    await tf.setBackend('wasm')
    await tf.ready()
    return tf
  } catch (cause) {
    throw new RingfenceError(
      'HOST',
      'the kernel benchmark compares with @tensorflow/tfjs-core and @tensorflow/tfjs-backend-wasm, which did not load; run npm install with dev dependencies',
      [],
      { cause },
    )
  }
}

export interface Square {
  readonly channels: number
  readonly size: number
}

export interface Peers {
  matMul(m: number, kk: number, n: number): Variant
  /** 3×3, stride 1, same padding. */
  conv2d(layer: Square): Variant
  depthwise(layer: Square): Variant
}

/** Each call runs one operation and reads its result back, as a user would. */
export async function tensorflow(): Promise<Peers> {
  const tf = await load()
  const random = (shape: number[]) => tf.randomUniform(shape, -1, 1)
  const timed = (name: string, work: number, op: () => { dataSync(): unknown; dispose(): void }): Variant => ({
    name,
    work,
    run() {
      const result = op()
      result.dataSync()
      result.dispose()
    },
  })
  return {
    matMul(m, kk, n) {
      const a = random([m, kk]) as ReturnType<typeof tf.tensor2d>
      const b = random([kk, n]) as ReturnType<typeof tf.tensor2d>
      return timed(`tfjs matMul ${m}×${kk}×${n}`, m * kk * n, () => tf.matMul(a, b))
    },
    conv2d({ channels: c, size }) {
      const x = random([1, size, size, c]) as ReturnType<typeof tf.tensor4d>
      const w = random([3, 3, c, c]) as ReturnType<typeof tf.tensor4d>
      return timed(`tfjs conv2d ${c}@${size}`, 9 * c * c * size * size, () => tf.conv2d(x, w, 1, 'same'))
    },
    depthwise({ channels: c, size }) {
      const x = random([1, size, size, c]) as ReturnType<typeof tf.tensor4d>
      const w = random([3, 3, c, 1]) as ReturnType<typeof tf.tensor4d>
      const work = 9 * c * size * size
      return timed(`tfjs depthwise ${c}@${size}`, work, () => tf.depthwiseConv2d(x, w, 1, 'same'))
    },
  }
}
