// A helper on several processes and a real broker: what is killed costs time, and no answer.
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { readFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { pathToFileURL } from 'node:url'
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest'
import { Client, decodeImage, pictureToInput, ReconnectingClient } from '../../src/index.js'
import { type Running, ringfence, root, startRingfence } from '../cli/program.js'
import { Broker, noBroker } from '../engine/broker.js'

const folder = mkdtempSync(join(tmpdir(), 'rf-fleet-'))
const key = join(folder, 'fleet.key')
const running: Running[] = []
const start = (...args: string[]) => {
  const party = startRingfence(...args)
  running.push(party)
  return party
}
beforeAll(() => writeFileSync(key, `${'7a'.repeat(32)}\n`))
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

describe('a fleet on one machine', () => {
  it('shares a folder', async () => {
    const queue = pathToFileURL(join(folder, 'queue')).href
    const { front, url: helper } = await frontAt(queue)
    const dealer = await dealerAt(queue)
    const client = await Client.create({ server: await serverAt(helper), helper })
    expect(await digits(client, 3)).toEqual([7, 7, 7])
    await client.release()
    expect(await dealer.stop('SIGTERM')).toBe(0)
    expect(await front.stop('SIGTERM')).toBe(0)
  })
})

describe('the command', () => {
  it.each([
    ['a role without a queue', ['--role', 'dealer'], /--role: goes with --queue/],
    ['a queue without a secret', ['--queue', 'nats://127.0.0.1:4222'], /--fleet-key is missing: openssl rand -hex 32/],
    ['plain text off this machine', ['--queue', 'nats://queue.example', '--fleet-key', key], /INSECURE.*tls:\/\//s],
    ['a secret that is none', ['--queue', 'file:///tmp/none', '--fleet-key', `${root}package.json`], /64 hexadecimal/],
    [
      'a front in plain text off this machine',
      ['--queue', pathToFileURL(folder).href, '--fleet-key', key, '--fleet-listen', '0.0.0.0:0'],
      /INSECURE.*certificate/s,
    ],
  ])('refuses %s', async (_, args, message) => {
    const { status, stderr } = await ringfence('helper', '--listen', '0', ...args)
    expect(status).toBe(1)
    expect(stderr).toMatch(message)
  })
})
