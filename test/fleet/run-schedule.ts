// One crash schedule from start to end, and what of the promises did not hold.
import { RingfenceError } from '../../src/errors.js'
import type { DealJob } from '../../src/party/helper/dealing.js'
import { MaterialStore } from '../../src/party/mcc/store.js'
import { createHelper, inputFor, Site, tinyNetwork } from '../party/fixture.js'
import { chances, fleetWorld } from './schedule.js'

const compiled = tinyNetwork(1)
const PATIENT = { deadlineMs: 120_000 }
/** As of the engine. */
const ATTEMPTS = 5

export interface Outcome {
  /** What did not hold. */
  readonly broken: readonly string[]
  readonly answered: number
  /** Errors that clients were told. */
  readonly told: number
  readonly killed: number
  readonly faults: number
  readonly deals: number
}

/** @param remake what dealers make of a job, for the test of the test */
export async function runSchedule(
  seed: number,
  remake?: (job: DealJob) => DealJob,
  { calm = false } = {},
): Promise<Outcome> {
  const chance = chances(seed)
  const broken: string[] = []
  const fleet = fleetWorld(chance, remake)
  if (calm) fleet.calm()
  const { world, front, keys, engine, seen } = fleet
  const stores = watchStores()
  const helper = await createHelper({ ...PATIENT, dealers: front, epoch: keys.epoch })
  const site = await Site.create(compiled, helper, { server: PATIENT })
  let answered = 0
  let told = 0

  const live = async (inferences: number, mustSucceed = false) => {
    const { client, compare } = await site.seat(PATIENT)
    try {
      for (let done = 0; done < inferences; ) {
        const some = Math.min(inferences - done, chance.between(1, 4))
        await client.prepare(some)
        for (let i = 0; i < some; i++) {
          const difference = await compare(inputFor(compiled, i))
          if (difference !== null) broken.push(`an answer differs from the reference: ${difference}`)
          answered++
        }
        done += some
      }
    } catch (error) {
      told++
      if (!(error instanceof RingfenceError)) broken.push(`an error without a code: ${error}`)
      if (mustSucceed) broken.push(`nothing goes wrong any more, and still: ${error}`)
    } finally {
      await client.release()
    }
  }
  await Promise.all(Array.from({ length: chance.between(1, 4) }, () => live(chance.between(1, 5))))
  fleet.calm()
  await live(2, true)
  const depth = () => engine.jobs.depth()
  for (let waited = 0; waited < 40; waited++) {
    const { waiting, leased } = await depth()
    if (waiting + leased === 0) break
    await world.sleep(15_000)
  }
  await fleet.drain()
  const { waiting, leased } = await depth()
  if (waiting + leased > 0) broken.push(`${waiting} jobs wait and ${leased} are leased after all is over`)
  if (front.waiting > 0) broken.push(`the front waits for ${front.waiting} bundles after all is over`)
  await site.server.release()
  await helper.release()
  await engine.close()
  world.end()
  if (site.server.memoryInUse + helper.memoryInUse > 0) broken.push('memory is left')
  broken.push(...stores.end(), ...inspect(seen))
  const { killed, faults, deals } = seen
  return { broken, answered, told, killed, faults, deals }
}

function inspect({ sent, broker, secrets, deals }: ReturnType<typeof fleetWorld>['seen']): string[] {
  const broken: string[] = []
  for (const [first, ...others] of sent.values()) {
    if (others.some((other) => Buffer.compare(first, other) !== 0)) broken.push('two bundles of one number differ')
  }
  const leaked = broker.some((message) => secrets.some((secret) => Buffer.from(message).includes(Buffer.from(secret))))
  if (leaked) broken.push('the broker was given a secret')
  // Each job at most twice in the queue, as the faulty broker doubles it.
  if (deals > 2 * ATTEMPTS * broker.length) broken.push(`${deals} deals of ${broker.length} jobs`)
  return broken
}

/** What stores hand out, all of them. */
function watchStores() {
  const { take } = MaterialStore.prototype
  const taken = new Map<string, number>()
  MaterialStore.prototype.take = async function (session, inference, deadlineMs) {
    const material = await take.call(this, session, inference, deadlineMs)
    const name = `${session} ${inference}`
    taken.set(name, (taken.get(name) ?? 0) + 1)
    return material
  }
  return {
    end: () => {
      MaterialStore.prototype.take = take
      return [...taken].filter(([, times]) => times > 1).map(([name]) => `handed out twice: ${name}`)
    },
  }
}
