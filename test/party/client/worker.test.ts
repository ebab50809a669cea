// What a page's worker answers, with a page that is a list of messages; whole pages are in test/browser.
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { hostClient, type WorkerScope } from '../../../src/party/worker/host.js'
import type { Answer, Order } from '../../../src/party/worker/messages.js'
import { type Parties, partiesFor } from '../../browser/site.js'

describe('a client in a worker', () => {
  let parties: Parties
  beforeAll(async () => {
    parties = await partiesFor('mnist-cnn3')
  })
  afterAll(() => parties.close())

  const answers: Answer[] = []
  const scope: WorkerScope = { onmessage: null, postMessage: (answer) => answers.push(answer) }
  /** What it says from the order to its answer. */
  async function told(order: Order): Promise<Answer[]> {
    answers.length = 0
    await scope.onmessage!({ data: order })
    return [...answers]
  }

  it('tells a page how far a call is only where the page asked for it', async () => {
    hostClient(scope)
    expect(answers).toEqual([{ ready: true }])
    const options = { server: parties.server.url, helper: parties.helper.url }
    const [created] = await told({ id: 0, call: 'create', options })
    const { steps } = (created as { value: { steps: readonly unknown[] } }).value
    const input = new Float32Array(28 * 28)

    expect(await told({ id: 1, call: 'prepare', count: 1, watched: false })).toHaveLength(1)
    expect(await told({ id: 2, call: 'run', lane: 0, input, watched: false })).toHaveLength(1)
    for (const order of [
      { id: 3, call: 'prepare', count: 1, watched: true },
      { id: 4, call: 'run', lane: 0, input, watched: true },
    ] as const) {
      const all = await told(order)
      expect(all.map((answer) => 'progress' in answer && answer.progress.step)).toEqual([
        ...steps.map((_, i) => i + 1),
        false,
      ])
    }
    const another = (await told({ id: 6, call: 'another' })).find((answer) => 'id' in answer)
    const { value: lane } = another as { value: number }
    for (const each of [lane, 0]) {
      const ran = await told({ id: 7 + each, call: 'run', lane: each, input, watched: false })
      expect(ran).toMatchObject([{ value: { raw: { length: 10 } } }])
    }
    for (const each of [lane, 0]) await told({ id: 20 + each, call: 'release', lane: each })
  })
})
