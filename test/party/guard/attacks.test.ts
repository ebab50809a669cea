// The published attacks of a client that deviates, over WebSockets: an unguarded network is read weight by weight, a guarded
// one ends them at their first inference.
import { describe, expect, test } from 'vitest'
import { attackLabels, attackLastLayer, attackNetwork } from '../../fixtures/attacks.js'

describe('a client that deviates', () => {
  test.each([
    ['the last layer', attackLastLayer],
    ['a whole small network', attackNetwork],
    ['a last layer whose labels alone go out', attackLabels],
  ])('%s: reads every weight of an unguarded plan, none of a guarded one', async (_, attack) => {
    const { weights, plainRecovered, guardedRecovered, caughtAtInference } = await attack()
    expect(plainRecovered).toBe(weights)
    expect(guardedRecovered).toBe(0)
    expect(caughtAtInference).toBe(1)
  })
})
