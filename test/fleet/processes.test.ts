// A helper on several processes and a real broker: what is killed costs time, and no answer.
import { chmodSync, mkdtempSync, rmSync, statSync, writeFileSync } from 'node:fs'
import { readFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { pathToFileURL } from 'node:url'
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest'
import { Client, decodeImage, pictureToInput, ReconnectingClient } from '../../src/index.js'
import type { MccPlan } from '../../src/plan/plan.js'
import { planLayout } from '../../src/protocol/layout.js'
import { planCost } from '../../src/protocol/mcc/cost.js'
import { type Running, ringfence, root, startRingfence } from '../cli/program.js'
import { Broker, noBroker } from '../engine/broker.js'
import { freePort } from '../fixtures/free-port.js'
import { MemoryStore } from '../party/memory-store.js'
import { balancer } from './balancer.js'

const folder = mkdtempSync(join(tmpdir(), 'rf-fleet-'))
const key = join(folder, 'fleet.key')
const running: Running[] = []
const start = (...args: string[]) => {
  const party = startRingfence(...args)
  running.push(party)
  return party
}
beforeAll(() => writeFileSync(key, `${'7a'.repeat(32)}\n`, { mode: 0o600 }))
afterEach(async () => {
  await Promise.all(running.splice(0).map((party) => party.stop('SIGKILL')))
})
afterAll(() => rmSync(folder, { recursive: true, force: true }))

const fleetOf = (queue: string) => ['helper', '--queue', queue, '--fleet-key', key]
const frontAt = async (queue: string, ...args: string[]) => {
  const front = start(...fleetOf(queue), '--listen', '0', '--fleet-listen', '0', ...args)
  return { front, url: await front.says(/ws:\/\/\S+/) }
}
const dealerAt = async (queue: string, ...args: string[]) => {
  const dealer = start(...fleetOf(queue), '--role', 'dealer', ...args)
  await dealer.says(/role\s+dealer/)
  return dealer
}
const serverAt = async (helper: string) =>
  start('serve', '--model', 'mnist-cnn3', '--helper', helper, '--listen', '0').says(/ws:\/\/[^\s"]+/)

async function digits(client: Pick<Client, 'run' | 'plan'>, count: number): Promise<unknown[]> {
  const picture = decodeImage(await readFile(`${root}models/samples/digit-7.png`))
  const found = []
  for (let i = 0; i < count; i++) found.push((await client.run(pictureToInput(picture, client.plan.input))).prediction)
  return found
}

/** Bytes, as a server's page of figures says. */
async function receivedFromHelper(metrics: string): Promise<number> {
  const page = await (await fetch(metrics)).text()
  return Number(/ringfence_link_bytes_total\{link="helper",direction="received"\} (\d+)/.exec(page)?.[1])
}

describe.skipIf(noBroker !== '')(`a fleet on a broker${noBroker}`, () => {
  it('goes on when a dealer and the broker are killed, each once', async () => {
    const broker = await Broker.start()
    const { url: helper } = await frontAt(broker.url, '--role', 'front')
    const dealers = [await dealerAt(broker.url, '--metrics-listen', '0'), await dealerAt(broker.url)]
    const client = await ReconnectingClient.create({ server: await serverAt(helper), helper })
    const found = await digits(client, 3)
    const running = digits(client, 6)
    const killed = dealers[1].stop('SIGKILL')
    found.push(...(await running))
    await killed
    const more = digits(client, 6)
    await broker.kill()
    await broker.up()
    found.push(...(await more))
    expect(found).toEqual(Array(15).fill(7))
    const metrics = await dealers[0].says(/http:\S+/)
    const page = await (await fetch(metrics)).text()
    expect(page).toMatch(/ringfence_deal_jobs_total\{result="dealt"\} [1-9]/)
    expect(page).toMatch(/ringfence_deal_queue\{state="waiting"\} 0/)
    expect(await dealers[0].stop('SIGTERM')).toBe(0)
    await client.release()
    await broker.end()
  })
})

describe('servers of one registration', () => {
  it('get their bundles from the dealers, and find their helper again', async () => {
    const queue = pathToFileURL(join(folder, 'delivered')).href
    const identity = join(folder, 'helper.key')
    const ports = [await freePort(), await freePort()]
    const allowed = ports.map((port) => `127.0.0.1:${port}`)
    const at = String(await freePort())
    const front = ['--role', 'front', '--identity', identity, '--deliver-to', allowed.join(',')]
    const first = start(...fleetOf(queue), '--listen', at, '--fleet-listen', '0', ...front)
    const helper = await first.says(/ws:\/\/\S+/)
    await dealerAt(queue)
    const file = join(folder, 'registration.key')
    const made = await ringfence('register', '--model', 'mnist-cnn3', '--helper', helper, '-o', file)
    expect(made.stderr).toBe('')
    expect(statSync(file).mode & 0o777).toBe(0o600)
    const again = await ringfence('register', '--model', 'mnist-cnn3', '--helper', helper, '-o', file)
    expect(again.stderr).toMatch(/there is a file already/)
    const model = ['serve', '--model', 'mnist-cnn3', '--helper', helper, '--listen', '0', '--registration', file]
    const replicas = ports.map((port) =>
      start(...model, '--no-guard', '--deliver', `http://127.0.0.1:${port}`, '--deliver-listen', String(port)),
    )
    const urls = await Promise.all(replicas.map((each) => each.says(/ws:\/\/[^\s"]+/)))
    for (const server of urls) {
      const client = await Client.create({ server, helper })
      expect(await digits(client, 2)).toEqual([7, 7])
      await client.release()
    }
    // A front that comes in the place of the first has the same key: the registration holds on.
    await first.stop('SIGKILL')
    await start(...fleetOf(queue), '--listen', at, '--fleet-listen', '0', ...front).says(/ws:\/\/\S+/)
    const client = await ReconnectingClient.create({ server: urls[0], helper })
    expect(await digits(client, 2)).toEqual([7, 7])
    await client.release()
    // What it was not made for.
    const other = await ringfence('serve', '--model', 'resnet20-cifar10', ...model.slice(3), '--no-guard')
    expect(other.stderr).toMatch(/PLAN_MISMATCH.*another model/s)
    chmodSync(file, 0o644)
    const open = await ringfence(...model, '--no-guard')
    expect(open.stderr).toMatch(/INSECURE.*chmod 600/s)
  })

  it('keep material that a client finds again behind a balancer', async () => {
    const helper = start('helper', '--listen', '0')
    const atHelper = await helper.says(/ws:\/\/\S+/)
    const address = await balancer()
    const ports = [await freePort(), await freePort()].map(String)
    const model = ['serve', '--model', 'mnist-cnn3', '--helper', atHelper]
    const figures = ['--metrics-listen', '0']
    const servers = ports.map((port) =>
      start(...model, '--listen', port, '--kept-at', `ws://127.0.0.1:${port}`, ...figures),
    )
    const urls = await Promise.all(servers.map((each) => each.says(/ws:\/\/[^\s"]+/)))
    const store = new MemoryStore()
    const losses: string[] = []
    const come = () =>
      Client.create({
        ...{ server: address.url, helper: atHelper, keepMaterial: store },
        onMaterialLost: (why) => losses.push(why),
      })
    address.lead(urls[0])
    const first = await come()
    const received = async () => receivedFromHelper(await servers[0].says(/http:\S+/))
    const before = await received()
    await first.prepare(2)
    await first.release()
    // What it is dealt may be on its way still, and would be lost with the helper.
    const dealt = 2 * planCost(planLayout(first.plan as MccPlan)).total.offline.helperToServer
    await expect.poll(received).toBeGreaterThanOrEqual(before + dealt)
    await helper.stop('SIGKILL')
    address.lead(urls[1])
    const again = await come()
    expect(again.prepared).toBe(2)
    expect(await digits(again, 2)).toEqual([7, 7])
    expect(losses).toEqual([])
    await again.release()
    await address.close()
    const several = await ringfence(...model, '--kept-at', 'ws://127.0.0.1:1', '--workers', '2')
    expect(several.stderr).toMatch(/--kept-at: several processes.*start several servers/s)
    const plain = await ringfence(...model, '--kept-at', 'ws://replica.example')
    expect(plain.stderr).toMatch(/--kept-at: .*use wss/s)
  })

  it.each([
    [['--deliver', 'http://127.0.0.1:9'], /--deliver goes with --registration/],
    [['--registration', 'x', '--deliver', 'http://replica.example:9'], /--deliver: expected https/],
    [['--registration', 'x'], /guarded plans are registered by each server/],
    [
      ['--registration', 'x', '--no-guard', '--deliver', 'http://127.0.0.1:9', '--workers', '2'],
      /start several servers/,
    ],
  ])('refuses %j', async (args, message) => {
    const { status, stderr } = await ringfence(
      'serve',
      '--model',
      'mnist-cnn3',
      '--helper',
      'ws://127.0.0.1:9',
      ...args,
    )
    expect(status).toBe(1)
    expect(stderr.replace(/\s+/g, ' ')).toMatch(message)
  })
})

describe('a fleet on one machine', () => {
  it('shares a folder, and its fronts lead clients to each other', async () => {
    const queue = pathToFileURL(join(folder, 'queue')).href
    const identity = ['--identity', join(folder, 'two-fronts.key')]
    const { front, url: helper } = await frontAt(queue, ...identity)
    const { url: other } = await frontAt(queue, '--role', 'front', ...identity)
    // Who comes first makes it, and says so: a wrong address would be a queue as well, and an empty one.
    expect(front.stdout).toMatch(/warn .*the folder \S+queue was not there and is made/)
    const dealer = await dealerAt(queue)
    expect(dealer.stdout).not.toMatch(/was not there/)
    const server = await serverAt(helper)
    for (const through of [helper, other]) {
      const client = await Client.create({ server, helper: through })
      expect(await digits(client, 3)).toEqual([7, 7, 7])
      await client.release()
    }
    expect(await dealer.stop('SIGTERM')).toBe(0)
    expect(await front.stop('SIGTERM')).toBe(0)
  })
})

describe('the command', () => {
  it.each([
    ['a role without a queue', ['--role', 'dealer'], /--role: goes with --queue/],
    ['a queue without a secret', ['--queue', 'nats://127.0.0.1:4222'], /--fleet-key is missing: openssl rand -hex 32/],
    ['plain text off this machine', ['--queue', 'nats://queue.example', '--fleet-key', key], /INSECURE.*tls:\/\//s],
    [
      'a secret that everybody reads',
      ['--queue', 'file:///tmp/none', '--fleet-key', `${root}package.json`],
      /chmod 600/,
    ],
    [
      'hosts without a port',
      ['--queue', 'file:///tmp/none', '--fleet-key', key, '--deliver-to', 'a.example'],
      /HOST:PORT/,
    ],
    [
      'a front in plain text off this machine',
      ['--queue', pathToFileURL(folder).href, '--fleet-key', key, '--fleet-listen', '0.0.0.0:0'],
      /INSECURE.*certificate/s,
    ],
  ])('refuses %s', async (_, args, message) => {
    const { status, stderr } = await ringfence('helper', '--listen', '0', ...args)
    expect(status).toBe(1)
    expect(stderr.replace(/\s+/g, ' ')).toMatch(message) // lines break where paths are long
  })
})
