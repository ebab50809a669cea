// One crash schedule from start to end, and what of the promises did not hold.
import { RingfenceError } from '../../src/errors.js'
import type { FleetFront } from '../../src/fleet/front.js'
import { Fronts } from '../../src/fleet/fronts.js'
import { type Channel, HEADER_BYTES, memoryPair, type PeerRole } from '../../src/net/index.js'
import type { Client } from '../../src/party/client/client.js'
import type { DealJob } from '../../src/party/helper/dealing.js'
import type { Helper } from '../../src/party/helper/helper.js'
import { MaterialStore } from '../../src/party/mcc/store.js'
import { fromHex, readInference } from '../../src/party/messages.js'
import { newRegistration } from '../../src/party/registration.js'
import type { SharedRegistration } from '../../src/party/server-options.js'
import { Kind } from '../../src/protocol/kinds.js'
import { keyPair } from '../../src/random/seed.js'
import { createHelper, eventually, inputFor, kindOf, Site, tinyNetwork, type Wire, wire } from '../party/fixture.js'
import { type Chances, chances, fleetWorld } from './schedule.js'

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
  const { world, engine, seen } = fleet
  const stores = watchStores()
  const inputs = watchInputs()
  const members = await helpersOf(fleet)
  const sites = await sitesOf(fleet, members, chance)
  const any = <T>(some: readonly T[]): T => some[chance.between(0, some.length - 1)]
  let answered = 0
  let told = 0

  const live = async (inferences: number, { site } = any(sites), mustSucceed = false) => {
    let client: Client | undefined
    try {
      const seat = await site.seat({ ...PATIENT, toServer: inputs.wire(), toHelper: toHelper(any(living(members))) })
      client = seat.client
      for (let done = 0; done < inferences; ) {
        const some = Math.min(inferences - done, chance.between(1, 4))
        await client.prepare(some)
        for (let i = 0; i < some; i++) {
          const difference = await seat.compare(inputFor(compiled, i))
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
      await client?.release()
    }
  }
  const dying: Promise<void>[] = []
  const inTime = (kill: () => Promise<void>) => {
    const killed = world.sleep(chance.between(0, 30_000)).then(() => {
      seen.killed++
      return kill()
    })
    dying.push(killed)
  }
  // One of several fronts is killed for good, one of several servers and its sessions as well.
  if (!calm && members.length > 1 && chance.happens(0.3)) inTime(() => members[0].kill())
  if (!calm && sites.length > 1 && chance.happens(0.3)) inTime(() => sites.shift()!.kill())
  await Promise.all(Array.from({ length: chance.between(1, 4) }, () => live(chance.between(1, 5))))
  fleet.calm()
  await Promise.all(dying)
  for (const each of sites) {
    // Servers of a front that was killed find another.
    if (!(await eventually(() => each.site.server.status.registered, 30_000))) broken.push('a server stays alone')
    await live(2, each, true)
  }
  const depth = () => engine.jobs.depth()
  for (let waited = 0; waited < 40; waited++) {
    const { waiting, leased } = await depth()
    if (waiting + leased === 0) break
    await world.sleep(15_000)
  }
  await fleet.drain()
  const { waiting, leased } = await depth()
  if (waiting + leased > 0) broken.push(`${waiting} jobs wait and ${leased} are leased after all is over`)
  const orders = living(members).reduce((sum, { front }) => sum + front.waiting, 0)
  if (orders > 0) broken.push(`fronts wait for ${orders} bundles after all is over`)
  await Promise.all(sites.map((each) => each.kill()))
  await Promise.all(living(members).map((each) => each.kill()))
  await engine.close()
  world.end()
  const left = [...members.map(({ helper }) => helper), ...sites.map(({ site }) => site.server)]
  if (left.some(({ memoryInUse }) => memoryInUse > 0)) broken.push('memory is left')
  broken.push(...stores.end(), ...inputs.end(), ...inspect(seen))
  const { killed, faults, deals } = seen
  return { broken, answered, told, killed, faults, deals }
}

type FleetOf = ReturnType<typeof fleetWorld>

/** A front's helper, and the way to it. */
interface Member {
  readonly helper: Helper
  readonly front: FleetFront
  alive: boolean
  enter(role: PeerRole): Channel
  kill(): Promise<void>
}

const living = (members: readonly Member[]): Member[] => members.filter(({ alive }) => alive)

function toHelper(member: Member): Wire {
  const [unused, end] = memoryPair()
  end.close()
  return { a: member.enter('client'), b: unused } as Wire
}

/** One identity at all fronts, which lead clients to each other. */
async function helpersOf({ fronts: places, desks, engine, keys }: FleetOf): Promise<Member[]> {
  const identity = keyPair()
  const members: (Member & { readonly fronts: Fronts; readonly url: string })[] = []
  const open = async (url: string, { token, role }: { token: string; role: PeerRole }) => {
    const { host } = new URL(url)
    const other = members.find((each) => each.alive && new URL(each.url).host === host)
    if (!other?.fronts.admits(fromHex(token))) throw new Error('no such front')
    const [near, far] = memoryPair()
    void other.helper.run(far, { role })
    return near
  }
  for (const { url, front } of places) {
    const fronts = new Fronts({ engine, keys: () => keys, url, open })
    await fronts.announce()
    const options = { dealers: front, epoch: keys.epoch, tag: fronts.tag, keys: identity }
    const helper = await createHelper({ ...PATIENT, ...options })
    const member = {
      ...{ helper, front, fronts, url, alive: true },
      enter: (role: PeerRole) => {
        const [near, far] = memoryPair()
        void fronts.run(far, role, (channel) => helper.run(channel, { role }))
        return near
      },
      kill: async () => {
        member.alive = false
        desks.delete(url)
        await front.release()
        await helper.release()
      },
    }
    members.push(member)
  }
  return members
}

/** Servers: each registered by itself, or with others by one registration, and of these some where dealers bring bundles. */
async function sitesOf({ desks }: FleetOf, members: readonly Member[], chance: Chances) {
  const enter = () => {
    const some = living(members)
    return some[chance.between(0, some.length - 1)].enter('server')
  }
  let shared: SharedRegistration | undefined
  const sites: { site: Site; kill(): Promise<void> }[] = []
  const count = chance.between(1, 3)
  for (let i = 0; i < count; i++) {
    if (chance.happens(0.5)) shared ??= await newRegistration(compiled, enter(), PATIENT)
    const registration = chance.happens(0.7) ? shared : undefined
    const url = registration && chance.happens(0.6) ? `http://127.0.0.1:${100 + i}` : undefined
    let site: Site | undefined
    if (url) desks.set(url, { expects: (path, token) => site?.server.expects(path, token) ?? 503 })
    const server = { ...PATIENT, registration, deliverAt: url }
    site = await Site.create(compiled, members[0].helper, { connect: enter, server })
    const { server: its } = site
    const kill = async () => {
      if (url) desks.delete(url)
      await its.release()
    }
    sites.push({ site, kill })
  }
  return sites
}

/** Inputs that clients send, all of them: under one mask one at most. */
function watchInputs() {
  const sent: Map<number, number>[] = []
  return {
    wire: () => {
      const mine = new Map<number, number>()
      sent.push(mine)
      return wire((message, _, from) => {
        if (from === 'a' && kindOf(message) === Kind.input) {
          const inference = readInference(message.subarray(HEADER_BYTES))
          mine.set(inference, (mine.get(inference) ?? 0) + 1)
        }
        return message
      })
    },
    end: () =>
      sent.some((mine) => [...mine.values()].some((times) => times > 1)) ? ['two inputs under one mask'] : [],
  }
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
