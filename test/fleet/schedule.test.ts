// What a fleet promises, whatever goes wrong: invariants over crash schedules that seeds stand for.
import { afterEach, describe, expect, test } from 'vitest'
import { FleetKeys } from '../../src/fleet/keys.js'
import { freshSeed } from '../../src/random/seed.js'
import { watchRejections } from '../party/fixture.js'
import { runSchedule } from './run-schedule.js'

const rejections = watchRejections()
afterEach(() => expect(rejections).toEqual([]))

/** `SCHEDULES=2000 npx vitest run test/fleet/schedule.test.ts` runs as many. */
const SEEDS = Number(process.env.SCHEDULES ?? 200)

describe('over crash schedules', () => {
  test(`nothing is used twice, nothing differs, everything ends: ${SEEDS} seeds`, { timeout: 7_200_000 }, async () => {
    const broken: string[] = []
    const sums = { answered: 0, told: 0, killed: 0, faults: 0, deals: 0 }
    for (let seed = 1; seed <= SEEDS; seed++) {
      const outcome = await runSchedule(seed)
      broken.push(...outcome.broken.map((what) => `seed ${seed}: ${what}`))
      for (const key of Object.keys(sums) as (keyof typeof sums)[]) sums[key] += outcome[key]
    }
    expect(broken).toEqual([])
    // The schedules do something.
    expect(sums.answered).toBeGreaterThan(SEEDS)
    expect(sums.killed).toBeGreaterThan(SEEDS / 4)
    expect(sums.faults).toBeGreaterThan(5 * SEEDS)
    expect(sums.deals).toBeGreaterThan(sums.answered)
  })

  test('a dealer that draws a k_H of its own is noticed', async () => {
    const broken: string[] = []
    for (let seed = 1; seed <= 12; seed++) {
      broken.push(...(await runSchedule(seed, (job) => ({ ...job, own: freshSeed() }))).broken)
    }
    expect(broken.some((what) => what.startsWith('two bundles'))).toBe(true)
  })

  test('a broker that is given what is not sealed is noticed', async () => {
    const seal = FleetKeys.prototype.seal
    const open = FleetKeys.prototype.open
    FleetKeys.prototype.seal = (clear) => clear.slice()
    FleetKeys.prototype.open = (sealed) => sealed.slice()
    try {
      const { broken } = await runSchedule(1, undefined, { calm: true })
      expect(broken).toContain('the broker was given a secret')
    } finally {
      FleetKeys.prototype.seal = seal
      FleetKeys.prototype.open = open
    }
  })
})
