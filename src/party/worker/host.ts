// The worker's end: a client that works for a page.

import { provideKernels } from '../../kernels/instance.js'
import type { CallOptions } from '../client/client-options.js'
import { LocalClient } from '../client/local-client.js'
import { type Answer, type ClientState, type Order, portable, type Value } from './messages.js'

/** The worker's global scope, as far as it is needed here. */
export interface WorkerScope {
  onmessage: ((event: { data: Order }) => void) | null
  postMessage(answer: Answer): void
}

/** Answers a page's orders until it ends the worker. */
export function hostClient(scope: WorkerScope): void {
  let client: LocalClient | undefined
  const lanes = new Map<number, LocalClient>()
  const calls = new Map<number, AbortController>()
  const state = (): ClientState | undefined =>
    client && { prepared: client.prepared, traffic: client.traffic, memoryInUse: client.memoryInUse }

  const obey = async (order: Order, options: CallOptions): Promise<Value> => {
    switch (order.call) {
      case 'create':
        if (order.options.wasm) provideKernels(order.options.wasm)
        client = await LocalClient.create({
          ...order.options,
          signal: options.signal,
          onPrepared: () => scope.postMessage({ state: state()! }),
          onMaterialLost: (lost) => scope.postMessage({ lost }),
        })
        lanes.set(order.id, client)
        void client.closed.then((error) => scope.postMessage({ closed: portable(error) }))
        return client.plan
      case 'prepare':
        await client!.prepare(order.count, options)
        return undefined
      case 'run':
        return lanes.get(order.lane)!.run(order.input, options)
      case 'another':
        lanes.set(order.id, await client!.another(options.signal!))
        return order.id
      case 'release':
        await lanes.get(order.lane)?.release()
        lanes.delete(order.lane)
        return undefined
      default:
        return undefined
    }
  }

  scope.onmessage = async ({ data: order }) => {
    const { id } = order
    if (order.call === 'abort') {
      calls.get(id)?.abort()
      return
    }
    const controller = new AbortController()
    calls.set(id, controller)
    try {
      const tell: CallOptions['onProgress'] = (progress) => scope.postMessage({ id, progress })
      const onProgress = 'watched' in order && order.watched ? tell : undefined
      const value = await obey(order, { signal: controller.signal, onProgress })
      scope.postMessage({ id, value, state: state() })
    } catch (error) {
      scope.postMessage({ id, error: portable(error), state: state() })
    } finally {
      calls.delete(id)
    }
  }
  scope.postMessage({ ready: true })
}
