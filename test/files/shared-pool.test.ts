// A distortion table measured by several at once through one queue: the same to the bit, each task's work done once or so, and
// one that dies is missed by nobody.
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { pathToFileURL } from 'node:url'
import { afterAll, describe, expect, test } from 'vitest'
import { MemoryEngine } from '../../src/engine/memory.js'
import { openEngine } from '../../src/engine/open.node.js'
import { sharedPool } from '../../src/files/shared-pool.js'
import { parseArchitecture } from '../../src/model/architecture.js'
import { calibrateNetwork } from '../../src/tune/calibration/calibrate-network.js'
import { distortion } from '../../src/tune/distortion/distortion.js'
import { formatDistortionTable } from '../../src/tune/distortion/table.js'
import { type StartPool, startHere } from '../../src/tune/workers/pool.js'
import { randomWeights } from '../fixtures/networks.js'
import { sampleInput } from '../fixtures/workloads.js'

const folder = mkdtempSync(join(tmpdir(), 'rf-shared-'))
afterAll(() => rmSync(folder, { recursive: true, force: true }))

const arch = parseArchitecture({
  format: 'arch/1',
  name: 'two',
  inputs: [{ name: 'x', shape: [1, 6, 6] }],
  outputs: ['fc'],
  layers: [
    { id: 'c1', op: 'conv2d', in: ['x'], cout: 4, kernel: [3, 3], pad: [1, 1, 1, 1] },
    { id: 'r1', op: 'relu', in: ['c1'] },
    { id: 'c2', op: 'conv2d', in: ['r1'], cout: 6, kernel: [3, 3], pad: [1, 1, 1, 1] },
    { id: 'r2', op: 'relu', in: ['c2'] },
    { id: 'flat', op: 'flatten', in: ['r2'] },
    { id: 'fc', op: 'linear', in: ['flat'], cout: 3 },
  ],
})
const weights = randomWeights(arch, 1)
const inputs = [1, 2, 3].map((seed) => sampleInput(arch, seed))
const measured = async (startPool: StartPool, masks: number[] = []) =>
  formatDistortionTable(await distortion(arch, weights, inputs, { startPool, masks }))

/** Counts what is done here, and stops answering after so many tasks. */
function mortal(dies: number, done: { tasks: number }): StartPool {
  return async (kind, setup) => {
    const pool = await startHere(kind, setup)
    return {
      ...pool,
      run: (task) => {
        if (++done.tasks > dies) return new Promise(() => undefined)
        return pool.run(task)
      },
    }
  }
}
const forever = Number.POSITIVE_INFINITY

describe('a table', () => {
  test('is the same by one, and by three that share a queue', async () => {
    const alone = { tasks: 0 }
    const expected = await measured(mortal(forever, alone), [0.5])
    const queue = new MemoryEngine({ name: 'measure' })
    const shares = [1, 2, 3].map(() => ({ tasks: 0 }))
    const tables = await Promise.all(shares.map((done) => measured(sharedPool(queue, mortal(forever, done)), [0.5])))
    expect(tables).toEqual([expected, expected, expected])
    expect(shares.reduce((sum, { tasks }) => sum + tasks, 0)).toBe(alone.tasks)
    await queue.close()
  })

  test('is whole when one of two dies in the middle, which costs its task’s time', async () => {
    const expected = await measured(startHere)
    const queue = new MemoryEngine({ name: 'measure', leaseMs: 300 })
    void measured(sharedPool(queue, mortal(1, { tasks: 0 }))).catch(() => undefined)
    expect(await measured(sharedPool(queue, startHere))).toBe(expected)
    await queue.close()
  })

  test('goes through a folder to the bit', async () => {
    const queue = await openEngine(pathToFileURL(folder).href, { name: 'measure' })
    expect(await measured(sharedPool(queue, startHere))).toBe(await measured(startHere))
    expect(await queue.jobs.depth()).toMatchObject({ dead: 0 })
    await queue.close()
  })

  test('ends with the error of a task that cannot be done', async () => {
    const queue = new MemoryEngine({ name: 'measure' })
    const failing: StartPool = async (kind, setup) => ({
      ...(await startHere(kind, setup)),
      run: () => Promise.reject(new Error('no memory')),
    })
    await expect(measured(sharedPool(queue, failing))).rejects.toThrow('no memory')
    await queue.close()
  })
})

describe('a calibration per channel', () => {
  const many = Array.from({ length: 32 }, (_, at) => sampleInput(arch, at + 1))
  const calibrated = async (startPool: StartPool) => {
    const network = { arch, weights, spec: undefined }
    const { calibration } = await calibrateNetwork(network, many, { per: 'channel', source: 'test', startPool })
    return calibration
  }
  /** A task takes as long as any other, whoever does it. */
  const even = (done: { tasks: number }): StartPool => {
    const start = mortal(forever, done)
    return async (kind, setup) => {
      const pool = await start(kind, setup)
      const run: typeof pool.run = async (task) => {
        await new Promise((resolve) => setTimeout(resolve, 10))
        return pool.run(task)
      }
      return { ...pool, threads: 1, run }
    }
  }

  test('is the same by one, and by four that share a queue and do a quarter each', async () => {
    const alone = { tasks: 0 }
    const expected = await calibrated(even(alone))
    const queue = new MemoryEngine({ name: 'measure', attempts: 1000 })
    const shares = [1, 2, 3, 4].map(() => ({ tasks: 0 }))
    const found = await Promise.all(shares.map((done) => calibrated(sharedPool(queue, even(done)))))
    expect(found).toEqual(Array(4).fill(expected))
    const tasks = shares.map((share) => share.tasks)
    expect(tasks.reduce((sum, each) => sum + each)).toBe(alone.tasks)
    expect(Math.max(...tasks)).toBeLessThanOrEqual(0.35 * alone.tasks)
    await queue.close()
  })
})
