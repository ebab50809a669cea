// What runs in a worker thread of `startDealers`: it holds the registered models and deals bundles of them.
import { parentPort } from 'node:worker_threads'
import { RingfenceError } from '../../errors.js'
import { loadKernels } from '../../kernels/instance.js'
import type { MccSteps } from '../../protocol/mcc/step.js'
import { layOut } from '../../protocol/step.js'
import { type DealJob, type DealtModel, LocalDealer, wipeJob } from './dealing.js'
import { shareOf } from './registered.js'
import type { ThreadAnswer, ThreadOrder } from './threads.node.js'

const k = loadKernels()
const models = new Map<number, { dealer: LocalDealer; release(): void }>()

async function open({ plan, filters }: DealtModel) {
  const share = await shareOf(k, plan, (at) => filters[at])
  const planned = layOut(k, plan)
  const dealer = new LocalDealer(k, planned as MccSteps, share)
  const release = () => {
    dealer.release()
    share.release()
    planned.release()
  }
  return { dealer, release }
}

async function deal(dealer: LocalDealer, job: DealJob): Promise<Uint8Array<ArrayBuffer>[]> {
  try {
    const messages: Uint8Array<ArrayBuffer>[] = []
    const bundle = await dealer.begin(job)
    await bundle.send((_, message) => {
      messages.push((message instanceof Uint8Array ? message : message.u8()).slice())
    })
    return messages
  } finally {
    wipeJob(job)
  }
}

async function obey(order: ThreadOrder): Promise<Uint8Array<ArrayBuffer>[]> {
  if (order.order === 'open') {
    models.set(order.model, await open(order.dealt))
    return []
  }
  const model = models.get(order.model)
  if (order.order === 'close') {
    model?.release()
    models.delete(order.model)
    return []
  }
  if (!model) throw new RingfenceError('HOST', 'a thread that deals has no memory for this network')
  if (order.order === 'deal') return deal(model.dealer, order.job)
  try {
    if (order.order === 'transposes') model.dealer.addTransposes(order.packed)
    else model.dealer.guard(order.seed)
  } catch (error) {
    // Without its guard it deals nothing.
    models.delete(order.model)
    model.release()
    throw error
  }
  return []
}

function answer(answer: ThreadAnswer, transfer: ArrayBuffer[] = []): void {
  parentPort!.postMessage(answer, transfer)
}

async function attempt(order: ThreadOrder): Promise<void> {
  try {
    const messages = await obey(order)
    answer(
      { messages },
      messages.map(({ buffer }) => buffer),
    )
  } catch (error) {
    const message = error instanceof Error ? error.message : String(error)
    answer({ failure: { message, ...(error instanceof RingfenceError ? { code: error.code } : {}) } })
  }
}

// One after the other, in the order in which they came.
let last = Promise.resolve()
parentPort!.on('message', (order: ThreadOrder) => {
  last = last.then(() => attempt(order))
})
answer({ messages: [] })
