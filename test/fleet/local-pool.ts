// A pool of dealers on this thread, for tests.
import { loadKernels } from '../../src/kernels/instance.js'
import { type DealerPool, LocalDealer } from '../../src/party/helper/dealing.js'
import { shareOf } from '../../src/party/helper/registered.js'
import type { MccSteps } from '../../src/protocol/mcc/step.js'
import { layOut } from '../../src/protocol/step.js'

export function localPool(threads = 1): DealerPool {
  return {
    threads,
    open: async ({ plan, filters }) => {
      const k = loadKernels()
      const share = await shareOf(k, plan, (at) => filters[at])
      const planned = layOut(k, plan)
      const dealer = new LocalDealer(k, planned as MccSteps, share)
      return {
        width: dealer.width,
        addTransposes: (packed) => dealer.addTransposes(packed),
        guard: (seed) => dealer.guard(seed),
        begin: (job) => dealer.begin(job),
        release: () => {
          dealer.release()
          planned.release()
          share.release()
        },
      }
    },
    release: async () => undefined,
  }
}
