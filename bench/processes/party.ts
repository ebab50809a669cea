// One party as a process of its own, which loads what its role needs and nothing else: its memory is that of a user's.
import { PerformanceObserver } from 'node:perf_hooks'
import type { ClientOrder, Order, ServerOrder } from './parties.js'
import { countGarbage } from './roles/report.js'
import { timeParts } from './timed.js'

async function play(order: Order): Promise<void> {
  if (order.role === 'helper') await (await import('./roles/helper.js')).playHelper(order)
  else if (order.role === 'server') await (await import('./roles/server.js')).playServer(order as ServerOrder)
  else await (await import('./roles/client.js')).playClient(order as ClientOrder)
}

new PerformanceObserver((list) => {
  for (const { duration } of list.getEntries()) countGarbage(duration)
}).observe({ entryTypes: ['gc'] })
process.once('message', (order: Order) => {
  if (order.job.timed) timeParts()
  play(order).catch((error: unknown) => {
    process.stderr.write(`${order.role}: ${error instanceof Error ? error.stack : error}\n`)
    process.exit(1)
  })
})
process.once('disconnect', () => process.exit(0))
