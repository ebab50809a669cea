// How a measurement of ResNet-18 on 32 pictures of CIFAR-100 spreads over machines that share a queue, in simulated time: the real
// tasks, queue and pools, each task taking as long as its multiplications say.
import { expect, test } from 'vitest'
import { MemoryEngine } from '../../src/engine/memory.js'
import type { Timers } from '../../src/engine/timers.js'
import { sharedPool } from '../../src/files/shared-pool.js'
import { countNetwork } from '../../src/model/count.js'
import { COMMON_BLOCKS, distortion } from '../../src/tune/distortion/distortion.js'
import type { DistortionTask } from '../../src/tune/distortion/job.js'
import type { StartPool, WorkerPool } from '../../src/tune/workers/pool.js'
import { workloadNetwork } from '../fixtures/workloads.js'

const { arch } = workloadNetwork('resnet18-cifar100')
const inputs = Array.from({ length: 32 }, () => new Float32Array(3 * 32 * 32))
const candidates = COMMON_BLOCKS.length

/** Of the longest task: a channel of the first layer. */
const LONGEST_MS = 3_000

/** Milliseconds of a task: what lies behind its layer, and a picture's pass, once for each candidate. */
const costs = (() => {
  let behind = 1e5
  const work = new Map<string, number>()
  for (const { id, macs } of countNetwork(arch).layers.toReversed()) {
    work.set(id, behind)
    behind += macs
  }
  const changes = (task: DistortionTask) => ('from' in task ? candidates : 1)
  return (task: DistortionTask) => (LONGEST_MS * work.get(task.layer)! * changes(task)) / (behind * candidates)
})()

/** Time that passes when nothing else is to be done. */
class SimulatedTime implements Timers {
  #now = 0
  readonly #due = new Map<number, Set<() => void>>()

  now = () => this.#now
  date = () => this.#now

  after(ms: number, call: () => void): () => void {
    const at = this.#now + ms
    const calls = this.#due.get(at) ?? new Set()
    this.#due.set(at, calls.add(call))
    return () => {
      calls.delete(call)
      if (calls.size === 0 && this.#due.get(at) === calls) this.#due.delete(at)
    }
  }

  async passUntil(over: () => boolean): Promise<void> {
    while (!over()) {
      // Whatever follows at once from what has happened does so before the next event.
      await new Promise((resolve) => setImmediate(resolve))
      const at = Math.min(...this.#due.keys())
      const calls = this.#due.get(at)
      if (!calls) continue
      this.#due.delete(at)
      this.#now = at
      for (const call of calls) call()
    }
  }
}

/** A machine of one thread, which only takes its time. */
function machine(time: Timers, done: { tasks: number; ms: number }): StartPool {
  const pool: WorkerPool<'distortion'> = {
    threads: 1,
    run: async (task) => {
      done.tasks++
      done.ms += costs(task)
      await new Promise<void>((resolve) => void time.after(costs(task), resolve))
      return new Float64Array('from' in task ? candidates : 1)
    },
    release: async () => undefined,
  }
  return (async () => pool) as unknown as StartPool
}

/** Simulated time that so many machines take, and what all of them did. */
async function measure(count: number) {
  const time = new SimulatedTime()
  const queue = new MemoryEngine({ name: 'measure', leaseMs: 60_000 }, time)
  const machines = Array.from({ length: count }, () => ({ tasks: 0, ms: 0 }))
  let [left, ms] = [count, 0]
  for (const done of machines) {
    const startPool = sharedPool(queue, machine(time, done), time)
    void distortion(arch, new Map() as never, inputs, { startPool }).then(() => {
      left--
      ms = time.now()
    })
  }
  await time.passUntil(() => left === 0)
  await queue.close()
  const sum = (of: 'tasks' | 'ms') => machines.reduce((total, machine) => total + machine[of], 0)
  return { ms, tasks: sum('tasks'), work: sum('ms') }
}

test.each([4, 32])(
  '%i machines take a twentieth more than their share at most, and do no task twice',
  async (count) => {
    const { ms, tasks, work } = await measure(count)
    const channels = [64, 128, 256, 512].reduce((sum, width) => sum + 4 * width, 64)
    expect(tasks).toBe(channels + 17) // and every layer as identity
    expect(ms).toBeLessThan((1.05 * work) / count)
  },
)
